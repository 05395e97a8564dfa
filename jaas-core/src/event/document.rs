//! Files that participants share in a meeting.

use crate::id::UserId;
use crate::lenient::payload;
use crate::private::{Link, Personal};
use crate::timestamp::Timestamp;

payload! {
    /// A participant shared a file.
    ///
    /// The link is a credential that expires at [`link_expiration`](Self::link_expiration). Fetch the file immediately,
    /// for a `DOCUMENT_DELETED` can follow.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DocumentAdded {
        /// Where the file is.
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
        /// When the link expires, in ms (documented).
        link_expiration: Option<Timestamp> = "linkExpiration",
        /// The file's name, as the participant has it.
        file_name: Option<Personal> = "fileName",
        /// The file's own id.
        file_id: Option<String> = "fileId",
        /// The size in bytes (documented).
        file_size: Option<i64> = "fileSize",
        /// Who shared it. This crate takes it for the user id of the JWT, as in `RECORDING_UPLOADED`.
        initiator_id: Option<UserId> = "initiatorId",
        /// When it was shared, in ms (documented).
        file_created_at: Option<Timestamp> = "fileCreatedAt",
    }

    /// A participant took back a shared file.
    ///
    /// It can arrive before the file's `DOCUMENT_ADDED`; [`file_id`](Self::file_id) connects them. A participant who
    /// may share files may delete another participant's file (asserted by jitsi-meet's tests).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DocumentDeleted {
        /// Who deleted it. This crate takes it for the user id of the JWT, as in `RECORDING_UPLOADED`.
        initiator_id: Option<UserId> = "initiatorId",
        /// The file, as in its `DOCUMENT_ADDED`.
        file_id: Option<String> = "fileId",
        /// The file's name.
        file_name: Option<Personal> = "fileName",
    }
}
