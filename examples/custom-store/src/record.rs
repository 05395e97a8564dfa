//! What the journal is made of: each record is a row as it is from now on.

use std::sync::Arc;

use jaas_core::store::{AttemptOutcome, AuditAction, EventState, RowId};
use jaas_core::{Body, Fqn, IdempotencyKey, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Record {
    /// An event, without its body.
    Event(Box<Event>),
    Body(RowId, Blob),
    Conflict(Kept),
    Quarantined(Kept),
    Attempt(Attempt),
    Audit(Audit),
    /// A value of the application's, under its key.
    Value(String, String),
    /// The event is gone, and with it its attempts and conflicts.
    ForgetEvent(RowId),
    ForgetConflict(RowId),
    ForgetQuarantined(RowId),
    /// The attempts of this event have no error text any more, and its conflicts no body.
    Hush(RowId),
    /// No number up to this one is given to a new row.
    LastId(i64),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: RowId,
    pub(crate) endpoint: Arc<str>,
    pub(crate) key: IdempotencyKey,
    pub(crate) event_type: String,
    pub(crate) session: Option<SessionId>,
    pub(crate) fqn: Fqn,
    pub(crate) occurred_at: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) hash: String,
    /// A trace context as text.
    pub(crate) trace: Option<String>,
    #[serde(with = "state")]
    pub(crate) state: EventState,
    pub(crate) failures: u32,
    pub(crate) crashes: u32,
    pub(crate) interruptions: u32,
    pub(crate) completed: Vec<String>,
    pub(crate) due_at: Timestamp,
    pub(crate) worker: Option<Arc<str>>,
    pub(crate) fence: i64,
    pub(crate) leased_until: Timestamp,
    pub(crate) settled_at: Option<Timestamp>,
    pub(crate) note: Option<String>,
    pub(crate) erased_at: Option<Timestamp>,
    /// Written once, apart from what changes.
    #[serde(skip)]
    pub(crate) body: Body,
}

/// A body that is not an event: in conflict with one, or in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: RowId,
    pub(crate) endpoint: Arc<str>,
    /// The key that both bodies carry; or why this one cannot be read.
    pub(crate) why: String,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    pub(crate) seen: u32,
    pub(crate) hash: String,
    pub(crate) body: Blob,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) id: RowId,
    pub(crate) event: RowId,
    pub(crate) fence: i64,
    pub(crate) worker: Option<Arc<str>>,
    #[serde(with = "outcome")]
    pub(crate) outcome: AttemptOutcome,
    pub(crate) error: Option<String>,
    pub(crate) ended_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Audit {
    pub(crate) id: RowId,
    pub(crate) event: RowId,
    pub(crate) endpoint: Arc<str>,
    pub(crate) key: IdempotencyKey,
    #[serde(with = "action")]
    pub(crate) action: AuditAction,
    pub(crate) by: Arc<str>,
    pub(crate) reason: Arc<str>,
    pub(crate) at: Timestamp,
}

/// Bytes as they came: as text where they are text, so that people can read the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Blob {
    Text(String),
    Bytes(Vec<u8>),
}

impl Blob {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    pub(crate) fn body(&self) -> Body {
        match self {
            Self::Text(text) => text.clone().into_bytes().into(),
            Self::Bytes(bytes) => bytes.clone().into(),
        }
    }
}

/// Hashes as text.
pub(crate) fn hex(hash: [u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A module for `serde(with)`, for an enum that knows its names.
macro_rules! by_name {
    ($module:ident, $Enum:ty) => {
        mod $module {
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            pub(super) fn serialize<S: Serializer>(value: &$Enum, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(value.as_str())
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$Enum, D::Error> {
                let name = String::deserialize(from)?;
                let known = <$Enum>::ALL.into_iter().find(|known| known.as_str() == name);
                known.ok_or_else(|| D::Error::custom(format!("{name:?} is not known")))
            }
        }
    };
}
by_name!(state, jaas_core::store::EventState);
by_name!(outcome, jaas_core::store::AttemptOutcome);
by_name!(action, jaas_core::store::AuditAction);
