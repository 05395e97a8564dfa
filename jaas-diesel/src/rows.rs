//! Rows of the tables, and how they are decoded into values of `jaas_core`.

mod activity;
mod attempt;
mod audit;
mod column;
mod conflict;
mod event;
mod head;
mod new_event;
mod page;
mod quarantine;
mod queue;
mod slot;
mod success;

pub(crate) use self::activity::ActivityRow;
pub(crate) use self::attempt::AttemptRow;
pub(crate) use self::audit::{AuditRow, NewAudit};
#[cfg(feature = "postgres")]
pub(crate) use self::column::Blob;
pub(crate) use self::column::{indexed, since, text, unknown};
pub(crate) use self::conflict::{ConflictRow, NewConflict};
pub(crate) use self::event::{CrashedRow, EventRow, state};
pub(crate) use self::head::{Behind, HeadColumns, HeadRow, follow, looked_at};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use self::new_event::Claimant;
pub(crate) use self::new_event::{Inserted, MAX_BYTES, NewEvent, endpoints_and_keys, ordering_key_of};
pub(crate) use self::page::{Span, bounded, changed, page_of};
pub(crate) use self::quarantine::{NewQuarantined, QuarantineRow};
pub(crate) use self::queue::{Arrival, Phase, QueueColumns, QueueRow, earliest};
pub(crate) use self::slot::slot;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use self::slot::slot_of;
#[cfg(feature = "postgres")]
pub(crate) use self::success::handlers_and_reason;
pub(crate) use self::success::{Settled, Success, SuccessOf, line};
