//! Rows of the settings tables, and the values of `jaas_core` that they are decoded into.

use std::time::Duration;

use diesel::prelude::*;
use jaas_core::settings::{MeetingSettings, SettingsError, SettingsFailure, SettingsRecord, SettingsSource};
use jaas_core::store::tools::MAX_INDEXED_BYTES;
use jaas_core::store::{RowId, StoreError};
use jaas_core::{Fqn, Timestamp};

use crate::error::{corrupt, refused};
use crate::rows::{indexed, text, unknown};
use crate::schema::{jaas_settings, jaas_settings_records};

/// A row of `jaas_settings`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SettingsRow {
    /// The number of the row.
    pub id: RowId,
    /// The meeting as the caller named it; `None` for the default row.
    pub fqn: Option<Fqn>,
    /// The settings of the meeting. An error if they cannot be parsed, as in a row that was edited by hand.
    pub settings: Result<MeetingSettings, SettingsError>,
}

/// The unique key of a row: tenant and room, normalized for comparison. Both are empty for the default row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) tenant: String,
    pub(crate) room: String,
}

impl Key {
    pub(crate) const DEFAULT: Self = Self { tenant: String::new(), room: String::new() };

    /// The key of this meeting's row.
    pub(crate) fn of(fqn: &Fqn) -> Self {
        let tenant = fqn.app_id().map(str::to_lowercase).unwrap_or_default();
        Self { tenant: text(&tenant), room: text(&fqn.room_key()) }
    }

    /// The key of the row to write for this meeting.
    ///
    /// # Errors
    /// `Refused` when the meeting has no room, or a name that is too long.
    pub(crate) fn to_write(fqn: &Fqn) -> Result<Self, StoreError> {
        let key = Self::of(fqn);
        let why = if key.room.is_empty() {
            "the name of the meeting has no room; use put_default for the default row".to_owned()
        } else if key.room.len() > MAX_INDEXED_BYTES || key.tenant.len() > MAX_INDEXED_BYTES {
            format!(
                "the tenant and the room of a meeting have {MAX_INDEXED_BYTES} bytes each at most, percent-decoded"
            )
        } else if fqn.as_str().len() > MAX_FQN_BYTES {
            format!("the name of a meeting has {MAX_FQN_BYTES} bytes at most")
        } else {
            return Ok(key);
        };
        Err(refused("change a row of jaas_settings", why))
    }

    /// How specific the row is; the lowest rank decides. First comes the row of the meeting, then that of its room for any
    /// tenant, then the default row.
    fn rank(&self) -> u8 {
        u8::from(self.room.is_empty()) * 2 + u8::from(self.tenant.is_empty())
    }
}

/// The length up to which a name is stored.
const MAX_FQN_BYTES: usize = 3 * MAX_INDEXED_BYTES;

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = jaas_settings)]
pub(crate) struct NewSettings {
    pub(crate) tenant: String,
    pub(crate) room: String,
    fqn: String,
    pub(crate) settings: String,
}

impl NewSettings {
    pub(crate) fn new(key: Key, fqn: &str, settings: &MeetingSettings) -> Result<Self, StoreError> {
        let settings = serde_json::to_string(settings).map_err(|error| {
            refused("write the settings", "they cannot be encoded as JSON").with_source(error)
        })?;
        Ok(Self { tenant: key.tenant, room: key.room, fqn: text(fqn), settings })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_settings)]
pub(crate) struct TableRow {
    id: i64,
    tenant: String,
    room: String,
    fqn: String,
    settings: String,
}

impl TableRow {
    /// The most specific of the rows that match a meeting.
    pub(crate) fn nearest(rows: Vec<Self>) -> Option<Self> {
        rows.into_iter().min_by_key(|row| row.key().rank())
    }

    fn key(&self) -> Key {
        Key { tenant: self.tenant.clone(), room: self.room.clone() }
    }

    /// The room, normalized for comparison.
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// Whether tenant and room differ from those in the row's name, as in a row that was edited by hand.
    pub(crate) fn is_misplaced(&self) -> bool {
        self.key() != Key::of(&Fqn::new(self.fqn.as_str()))
    }

    /// The error for a row whose room holds a whole name, including the tenant.
    pub(crate) fn misplaced(&self) -> StoreError {
        let (tenant, room) = self.room.split_once('/').unwrap_or_default();
        corrupt(format!(
            "row {} of jaas_settings has the tenant in its room {:?}, so it matches no meeting; write tenant {tenant:?} and \
             room {room:?}, as SettingsTable::put does",
            self.id, self.room
        ))
    }

    /// The settings, marked as decided by this row.
    pub(crate) fn settings(&self) -> Result<MeetingSettings, StoreError> {
        let which = match self.fqn.as_str() {
            "" => "the default row of jaas_settings".to_owned(),
            fqn => format!("the row {fqn:?} of jaas_settings"),
        };
        match MeetingSettings::from_json(&self.settings) {
            Ok(settings) => Ok(settings.with_decided_by(which)),
            Err(error) => Err(corrupt(format!("row {} of jaas_settings is not allowed: {error}", self.id))),
        }
    }
}

impl TryFrom<TableRow> for SettingsRow {
    type Error = StoreError;

    fn try_from(row: TableRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: RowId::new(row.id),
            fqn: (row.key() != Key::DEFAULT).then(|| Fqn::new(row.fqn)),
            settings: MeetingSettings::from_json(&row.settings),
        })
    }
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = jaas_settings_records, treat_none_as_default_value = false)]
pub(crate) struct NewRecord {
    endpoint: String,
    tenant: String,
    room: String,
    fqn: String,
    received_at: i64,
    took_us: i64,
    source: &'static str,
    failure: Option<&'static str>,
    error: Option<String>,
    decided_by: Option<String>,
    answer: String,
}

impl From<&SettingsRecord> for NewRecord {
    fn from(record: &SettingsRecord) -> Self {
        let Key { tenant, room } = Key::of(&record.fqn);
        let mut fqn = text(record.fqn.as_str());
        while fqn.len() > MAX_FQN_BYTES {
            fqn.pop();
        }
        Self {
            endpoint: indexed(text(&record.endpoint)),
            tenant: indexed(tenant),
            room: indexed(room),
            fqn,
            received_at: record.received_at.as_millis(),
            took_us: i64::try_from(record.took.as_micros()).unwrap_or(i64::MAX),
            source: record.source.as_str(),
            failure: record.failure.map(SettingsFailure::as_str),
            error: record.error.as_deref().map(text),
            decided_by: record.decided_by.as_deref().map(text),
            answer: record.answer.replace('\0', "\u{fffd}"),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_settings_records)]
pub(crate) struct RecordRow {
    id: i64,
    endpoint: String,
    fqn: String,
    received_at: i64,
    took_us: i64,
    source: String,
    failure: Option<String>,
    error: Option<String>,
    decided_by: Option<String>,
    answer: String,
}

impl TryFrom<RecordRow> for SettingsRecord {
    type Error = StoreError;

    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        let corrupt = |name: &str| unknown("settings record", row.id, name);
        let failure =
            row.failure.as_deref().map(|name| SettingsFailure::from_name(name).ok_or_else(|| corrupt(name)));
        let mut record = Self::new(
            row.endpoint,
            Fqn::new(row.fqn),
            Timestamp::from_millis(row.received_at),
            SettingsSource::from_name(&row.source).ok_or_else(|| corrupt(&row.source))?,
            row.answer,
        );
        record.id = RowId::new(row.id);
        record.took = Duration::from_micros(u64::try_from(row.took_us).unwrap_or(0));
        record.failure = failure.transpose()?;
        record.error = row.error;
        record.decided_by = row.decided_by;
        Ok(record)
    }
}
