//! Files that participants share in a meeting.

use crate::id::UserId;
use crate::lenient::payload;
use crate::private::{Link, Personal};
use crate::timestamp::Timestamp;

payload! {
    /// Somebody shared a file.
    ///
    /// The link is a credential with an end, [`link_expiration`](Self::link_expiration); fetch the file at
    /// once, for a `DOCUMENT_DELETED` can follow.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DocumentAdded {
        /// Where the file is.
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
        /// When the link dies, in ms (documented).
        link_expiration: Option<Timestamp> = "linkExpiration",
        /// The file's name, as the participant has it.
        file_name: Option<Personal> = "fileName",
        /// The file's own id.
        file_id: Option<String> = "fileId",
        /// The size in bytes (documented).
        file_size: Option<i64> = "fileSize",
        /// Who shared it; taken for the user id of the JWT, as in `RECORDING_UPLOADED`.
        initiator_id: Option<UserId> = "initiatorId",
        /// When it was shared, in ms (documented).
        file_created_at: Option<Timestamp> = "fileCreatedAt",
    }

    /// Somebody took a shared file back.
    ///
    /// It can arrive before the file's `DOCUMENT_ADDED`; what connects them is
    /// [`file_id`](Self::file_id). Anybody with the right to share may delete another one's file (asserted by
    /// jitsi-meet's tests).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DocumentDeleted {
        /// Who deleted it; taken for the user id of the JWT, as in `RECORDING_UPLOADED`.
        initiator_id: Option<UserId> = "initiatorId",
        /// The file, as in its `DOCUMENT_ADDED`.
        file_id: Option<String> = "fileId",
        /// The file's name.
        file_name: Option<Personal> = "fileName",
    }
}
