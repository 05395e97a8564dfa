//! The table of settings, as a [`SettingsProvider`].
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`, and `asked!` runs a query on one of
//! its connections.

use std::fmt;

use async_trait::async_trait;
use jaas_core::settings::{MeetingSettings, NoSettingsForRoom, SettingsProvider, SettingsRequest};
use jaas_core::store::{Page, PageRequest, StoreError};
use jaas_core::{Fqn, HandlerError};

use super::{Store, asked, settings as queries};
use crate::error::{exists, not_found};
use crate::rows::page_of;
use crate::settings::{Key, NewSettings, SettingsRow, TableRow};

/// The table `jaas_settings`: settings by meeting, and a default row. Rows can be changed while the application runs.
///
/// A row is for `<AppID>/<room>`, or for a `<room>` of any tenant. Names are compared as
/// [`Fqn::same_room`](jaas_core::Fqn::same_room) compares them. As a [`SettingsProvider`] the table returns the row of the
/// meeting, else the row of its room for any tenant, else the default row, else the error [`NoSettingsForRoom`].
///
/// Get it from the store: `store.settings_table()`. Cloning is cheap.
#[derive(Clone)]
pub struct SettingsTable {
    store: Store,
}

impl Store {
    /// The table of settings, through which rows are changed. It is also a provider for a
    /// [`SettingsService`](jaas_core::settings::SettingsService).
    pub fn settings_table(&self) -> SettingsTable {
        SettingsTable { store: self.clone() }
    }
}

impl SettingsTable {
    /// Adds a row.
    ///
    /// # Errors
    /// [`Exists`](jaas_core::store::StoreErrorKind::Exists) when this meeting has a row, [`Refused`](jaas_core::store::StoreErrorKind::Refused) when it
    /// has no room or its name is too long.
    pub async fn insert(&self, fqn: &Fqn, settings: &MeetingSettings) -> Result<(), StoreError> {
        let row = NewSettings::new(Key::to_write(fqn)?, fqn.as_str(), settings)?;
        let is_new = asked!(write, self.store, "insert settings", [row] connection => queries::insert(connection, &row))?;
        if is_new {
            return Ok(());
        }
        Err(exists(
            "cannot insert settings: this meeting already has a row in jaas_settings; use update or put",
        ))
    }

    /// Changes a row.
    ///
    /// # Errors
    /// [`NotFound`](jaas_core::store::StoreErrorKind::NotFound) when this meeting has no row.
    pub async fn update(&self, fqn: &Fqn, settings: &MeetingSettings) -> Result<(), StoreError> {
        let row = NewSettings::new(Key::to_write(fqn)?, fqn.as_str(), settings)?;
        let is_there = asked!(write, self.store, "update settings", [row] connection => queries::update(connection, &row))?;
        if is_there { Ok(()) } else { Err(no_row()) }
    }

    /// Adds a row, or changes the row that is there.
    ///
    /// # Errors
    /// [`Refused`](jaas_core::store::StoreErrorKind::Refused) when the meeting has no room or its name is too long.
    pub async fn put(&self, fqn: &Fqn, settings: &MeetingSettings) -> Result<(), StoreError> {
        self.put_row(NewSettings::new(Key::to_write(fqn)?, fqn.as_str(), settings)?).await
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// [`NotFound`](jaas_core::store::StoreErrorKind::NotFound) when this meeting has no row.
    pub async fn delete(&self, fqn: &Fqn) -> Result<(), StoreError> {
        let key = Key::to_write(fqn)?;
        self.delete_row(key).await?.then_some(()).ok_or_else(no_row)
    }

    /// The row of exactly this meeting. [`decide`](Self::decide) returns the settings that the meeting would get.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn get(&self, fqn: &Fqn) -> Result<Option<SettingsRow>, StoreError> {
        let Key { tenant, room } = Key::of(fqn);
        let rows = self.find(vec![tenant], vec![room]).await?;
        rows.into_iter().next().map(SettingsRow::try_from).transpose()
    }

    /// Adds or changes the default row: the settings of the meetings that have no row.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put_default(&self, settings: &MeetingSettings) -> Result<(), StoreError> {
        self.put_row(NewSettings::new(Key::DEFAULT, "", settings)?).await
    }

    /// Deletes the default row. Meetings without a row then cause [`NoSettingsForRoom`], and the failure policy decides.
    ///
    /// # Errors
    /// [`NotFound`](jaas_core::store::StoreErrorKind::NotFound) when there is no default row.
    pub async fn delete_default(&self) -> Result<(), StoreError> {
        self.delete_row(Key::DEFAULT).await?.then_some(()).ok_or_else(no_row)
    }

    /// Lists every row, including the default row, in the order in which they were added.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn list(&self, page: PageRequest) -> Result<Page<SettingsRow>, StoreError> {
        let rows =
            asked!(read, self.store, "list settings", [] connection => queries::list(connection, page))?;
        page_of(rows, page, |row: &SettingsRow| row.id)
    }

    /// The settings that this meeting gets: from its row, else from the row of its room for any tenant, else from the default
    /// row.
    ///
    /// # Errors
    /// When the table cannot be read, and [`Corrupt`](jaas_core::store::StoreErrorKind::Corrupt) when the row that decides was edited by
    /// hand and its settings are not allowed, or its room is the whole name `<AppID>/<room>`.
    pub async fn decide(&self, fqn: &Fqn) -> Result<Option<MeetingSettings>, StoreError> {
        let Key { tenant, room } = Key::of(fqn);
        // Silently ignoring a row that was meant for this meeting would give it the default settings, or leave it open.
        let whole = format!("{tenant}/{room}");
        let rows = self.find(vec![tenant, String::new()], vec![room, String::new(), whole.clone()]).await?;
        let (whole_names, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.room() == whole);
        // A room whose own name contains a `/` belongs to another meeting.
        if let Some(row) = whole_names.iter().find(|row| row.is_misplaced()) {
            return Err(row.misplaced());
        }
        TableRow::nearest(rows).map(|row| row.settings()).transpose()
    }

    async fn find(&self, tenants: Vec<String>, rooms: Vec<String>) -> Result<Vec<TableRow>, StoreError> {
        asked!(read, self.store, "look settings up", [tenants, rooms] connection =>
            queries::find(connection, &tenants, &rooms))
    }

    async fn put_row(&self, row: NewSettings) -> Result<(), StoreError> {
        asked!(write, self.store, "write settings", [row] connection => queries::put(connection, &row))
    }

    async fn delete_row(&self, key: Key) -> Result<bool, StoreError> {
        asked!(write, self.store, "delete settings", [key] connection => queries::delete(connection, &key))
    }
}

fn no_row() -> StoreError {
    not_found("this meeting has no row in jaas_settings; use put to add one")
}

#[async_trait]
impl SettingsProvider for SettingsTable {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        self.decide(&request.fqn).await?.ok_or_else(|| NoSettingsForRoom.into())
    }
}

impl fmt::Debug for SettingsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsTable").field("store", &self.store).finish()
    }
}
