#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "archive")]
pub mod archive;
mod attempt;
mod auth;
mod background;
mod backoff;
mod clock;
mod config;
mod deadline;
mod delivery;
mod direct;
mod dispatcher;
mod envelope;
#[macro_use] // The tables of fields, for the docs of the handler methods.
pub mod event;
mod file_name;
pub mod files;
mod generations;
mod handler;
mod handlers;
mod head;
mod id;
mod inbox;
mod lenient;
pub mod meetings;
mod monitor;
mod named;
mod places;
mod private;
mod purger;
mod receiver;
mod reply;
#[cfg(feature = "rtcstats")]
pub mod rtcstats;
pub mod settings;
pub mod signature;
pub mod store;
pub mod telemetry;
mod timestamp;
pub mod watch;
mod worker;

pub use self::auth::{Auth, AuthError, AuthMethod, Credentials};
pub use self::backoff::Backoff;
pub use self::clock::{Clock, SystemClock};
pub use self::config::{ConfigError, ConfigErrorKind};
pub use self::delivery::{Body, Delivery, Incoming, Unreadable};
pub use self::direct::{Direct, DirectBuilder};
pub use self::dispatcher::{DispatchError, DispatchErrorKind, Dispatcher};
pub use self::envelope::{Envelope, EnvelopeError, EnvelopeErrorKind};
pub use self::file_name::file_name;
pub use self::handler::{Context, EventHandler, Handled, HandlerError, HandlerResult, Retry};
pub use self::handlers::{Handlers, Rehearsed};
pub use self::head::RequestHead;
pub use self::id::{
    AppId, BreakoutRoomId, CustomerId, Fqn, IdempotencyKey, Jid, ParticipantId, PollId, RecordingSessionId,
    Room, SessionId, UserId, room_key,
};
pub use self::inbox::Inbox;
pub use self::monitor::{Monitor, MonitorHandle};
pub use self::private::{Link, Personal};
pub use self::purger::{Purger, PurgerHandle};
pub use self::receiver::{Receiver, ReceiverBuilder};
pub use self::reply::{Disposition, Reply};
pub use self::timestamp::Timestamp;
#[cfg(any(feature = "chrono", feature = "time"))]
pub use self::timestamp::TimestampRangeError;
pub use self::worker::{StopReport, Worker, WorkerBuilder, WorkerHandle};

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Receiver>();
    shared_between_threads::<Inbox<store::MemoryStore>>();
    shared_between_threads::<Direct>();
    shared_between_threads::<Worker<store::MemoryStore>>();
    shared_between_threads::<WorkerHandle>();
    shared_between_threads::<Delivery>();
    fn moves_between_threads(_: impl Send) {}
    let _ = |receiver: &'static Receiver, body| {
        moves_between_threads(receiver.receive(Credentials::default(), body));
    };
};
