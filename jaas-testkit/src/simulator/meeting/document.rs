//! Files that participants share.

use std::time::Duration;

use jaas_core::Personal;
use jaas_core::event::EventKind;

use super::Meeting;
use super::presence::Presence;
use crate::event;

/// A file shared in a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Document(usize);

#[derive(Debug, Clone)]
pub(super) struct State {
    id: String,
    name: String,
    deleted: bool,
}

impl Meeting {
    /// A participant shares a file.
    pub fn share_document(&mut self, by: Presence, name: &str) -> Document {
        self.assert_here(by);
        self.assert_active(by);
        let id = self.dice.uuid();
        let link = self.artifact(EventKind::DocumentAdded, Some(&id));
        let (size, user, now) = (self.dice.between(100..=5_000_000), self.chain(by).user_id(), self.now);
        let added = event::document_added().with(|added| {
            added.pre_authenticated_link = Some(link);
            added.link_expiration = Some(now.saturating_add(Duration::from_secs(24 * 60 * 60)));
            added.file_name = Some(Personal::new(name));
            added.file_id = Some(id.clone());
            added.file_size = i64::try_from(size).ok();
            added.initiator_id = user;
            added.file_created_at = Some(now);
        });
        let added = self.maybe_without(added, &["data.initiatorId"]);
        self.emit(added);
        self.documents.push(State { id, name: name.to_owned(), deleted: false });
        Document(self.documents.len() - 1)
    }

    /// A participant deletes a shared file, possibly another participant's (asserted by jitsi-meet's tests).
    #[allow(clippy::panic)]
    pub fn delete_document(&mut self, by: Presence, document: Document) {
        self.assert_here(by);
        self.assert_active(by);
        let user = self.chain(by).user_id();
        let Some(state) = self.documents.get_mut(document.0) else {
            panic!("{document:?} belongs to another meeting")
        };
        assert!(!state.deleted, "{document:?} was deleted already");
        state.deleted = true;
        let state = state.clone();
        self.emit(event::document_deleted().with(|deleted| {
            deleted.initiator_id = user;
            deleted.file_id = Some(state.id);
            deleted.file_name = Some(Personal::new(state.name));
        }));
    }

    /// The files that are shared and not deleted.
    pub fn documents(&self) -> Vec<Document> {
        (0..self.documents.len()).filter(|index| !self.documents[*index].deleted).map(Document).collect()
    }
}
