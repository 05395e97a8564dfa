//! Live streams.

use crate::id::Jid;
use crate::lenient::payload;

payload! {
    /// A live stream of the meeting began.
    ///
    /// It carries the room and nothing else (documented): neither where the stream goes nor who started it.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event LiveStreamStarted {
        /// The address of the room.
        conference: Option<Jid> = "conference",
    }

    /// A live stream of the meeting stopped.
    ///
    /// It carries the room and nothing else; the documented example lacks even `appId`.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event LiveStreamEnded {
        /// The address of the room.
        conference: Option<Jid> = "conference",
    }
}
