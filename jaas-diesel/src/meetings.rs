//! Tables of who was in which meeting, from when to when, and who is in it now.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use diesel_async::AsyncConnection as _;
//! use jaas_core::{Fqn, Handlers, SessionId, Worker};
//! use jaas_diesel::SqliteStore;
//! use jaas_diesel::meetings::{Meetings, Names};
//! use jaas_diesel::sqlite::Connection;
//! use std::time::Duration;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("jaas.sqlite");
//! # let path = path.to_str().ok_or("a path")?;
//! let store = SqliteStore::open(path).await?;
//! let meetings = Meetings::builder().grace(Duration::from_secs(600)).names(Names::Keep).build()?;
//! let handlers = Handlers::new().transactional("meetings", meetings.handler());
//! let worker = Worker::builder(store, handlers).build()?.spawn();
//!
//! let mut connection = Connection::establish(path).await?;
//! let present = meetings.present(&mut connection, &Fqn::new("vpaas-magic-cookie-1/math")).await?;
//! assert!(present.people.is_empty());
//! let attendance = meetings.attendance(&mut connection, &SessionId::new("no-such-session")).await?;
//! assert!(attendance.is_none());
//! # worker.stop(Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! The tables hold what the functions of [`jaas_core::meetings`] say of the events that were received: in any order, and
//! whatever came twice. Replaying everything changes no row. They are the library's, and made for being read: join them with
//! your own.
//!
//! | table | a row for each |
//! |---|---|
//! | `jaas_edges` | event about who came to or left a place, or which room opened or closed |
//! | `jaas_stays` | presence in one place, from one joining on |
//! | `jaas_sittings` | session whose main room opened or closed |
//! | `jaas_marks` | event about a recording, a live stream, a file and the like |
//! | `jaas_talk` | connection that spoke |
//! | `jaas_polls`, `jaas_poll_answers` | poll; answer to a poll |
//! | `jaas_reactions` | reaction of a user in one event |
//! | `jaas_feedback` | rating or comment |
//! | `jaas_devices` | device that counts, hashed, if [asked for](MeetingsBuilder::devices) |
//! | `jaas_phrases` | phrase, if [asked for](MeetingsBuilder::phrases) |
//!
//! Rows stay until [`erase_session`](jaas_core::store::EventAdmin::erase_session) or [`Meetings::erase`] deletes them; the
//! purger does not.

mod announce;
pub(crate) mod dialect;
mod handler;
pub(crate) mod note_statements;
pub(crate) mod notes;
mod questions;
mod rebuild;
pub(crate) mod rows;
mod said;
pub(crate) mod schema;
pub(crate) mod tables;
pub(crate) mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::meetings::DeviceKey;
use jaas_core::{Clock, ConfigError, ConfigErrorKind, SystemClock, Timestamp};

pub use self::announce::{Announcer, AnnouncerHandle, MeetingEnded};
pub use self::handler::MeetingsHandler;
use self::note_statements::NoteStatements;
pub use self::questions::SittingsQuery;
pub use self::rebuild::Rebuilt;
use self::tables::Tables;

/// A connection that the tables of meetings can be asked on: those of [`SqliteStore`](crate::SqliteStore),
/// [`PostgresStore`](crate::PostgresStore) and [`MysqlStore`](crate::MysqlStore).
pub trait MeetingsConnection: Tables + NoteStatements + 'static {}

impl<C: Tables + NoteStatements + 'static> MeetingsConnection for C {}

/// Whether names, e-mail addresses, phone numbers and typed texts are kept in the tables of meetings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// They are not: the tables hold ids and addresses of connections only.
    #[default]
    Drop,
    /// They are.
    Keep,
}

/// The tables of meetings: the handler that fills them, and what they can be asked. See the [module](self).
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct Meetings {
    names: Names,
    devices: Option<DeviceKey>,
    phrases: bool,
    grace: Duration,
    clock: Arc<dyn Clock>,
}

/// Configures [`Meetings`].
#[derive(Clone)]
#[must_use]
pub struct MeetingsBuilder {
    names: Names,
    devices: Option<DeviceKey>,
    phrases: bool,
    grace: Duration,
    clock: Arc<dyn Clock>,
}

impl Meetings {
    /// Starts with the defaults.
    pub fn builder() -> MeetingsBuilder {
        MeetingsBuilder {
            names: Names::default(),
            devices: None,
            phrases: false,
            grace: Duration::from_secs(10 * 60),
            clock: Arc::new(SystemClock),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The longest grace period: 30 days.
const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl MeetingsBuilder {
    /// How long after its room has closed a sitting is taken for ended by [`Meetings::on_meeting_ended`]. A sitting that opens
    /// again within it goes on. Defaults to 10 minutes; at most 30 days.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Whether names, e-mail addresses, phone numbers and what participants typed are kept: the comments of feedback, and the
    /// questions and options of polls. Defaults to [`Names::Drop`].
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Keeps the devices that the bill counts, hashed with this key, for [`Meetings::monthly_devices`]. Defaults to not keeping
    /// them.
    pub fn devices(mut self, key: DeviceKey) -> Self {
        self.devices = Some(key);
        self
    }

    /// Whether what was said is kept, for [`Meetings::transcript`]: a row for each `TRANSCRIPTION_CHUNK_RECEIVED`. Defaults to
    /// `false`.
    pub fn phrases(mut self, keep: bool) -> Self {
        self.phrases = keep;
        self
    }

    /// Where the time comes from. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// [`Range`](ConfigErrorKind::Range) when the grace period is longer than 30 days.
    pub fn build(self) -> Result<Meetings, ConfigError> {
        if self.grace > LONGEST_GRACE {
            let why = "the grace period of meetings must not be longer than 30 days";
            return Err(ConfigError::new(ConfigErrorKind::Range, why));
        }
        let Self { names, devices, phrases, grace, clock } = self;
        Ok(Meetings { names, devices, phrases, grace, clock })
    }
}

impl fmt::Debug for Meetings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meetings")
            .field("names", &self.names)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MeetingsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeetingsBuilder")
            .field("names", &self.names)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
