//! Dead letters by type and error, and those of one group.

use askama::Template;
use jaas_core::store::{DeadLetterGroup, DeadLetterKey, EventQuery, EventState, PageRequest, StoreError};
use sha2::{Digest as _, Sha256};

use super::rows::{EventRow, Pager};
use crate::console::access::Right;
use crate::console::failure::Failure;
use crate::console::shelf::Shelf;
use crate::console::show::{At, count, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/dead.html")]
struct Dead {
    frame: Frame,
    groups: Vec<GroupRow>,
    is_cut: bool,
}

#[derive(Template)]
#[template(path = "console/dead_group.html")]
struct Group {
    frame: Frame,
    group: GroupRow,
    rows: Vec<EventRow>,
    pager: Pager,
    can_replay: bool,
    can_rehearse: bool,
    can_discard: bool,
}

/// A group of dead letters.
#[derive(Debug)]
pub(crate) struct GroupRow {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) error: String,
    pub(crate) count: String,
    pub(crate) first: At,
    pub(crate) last: At,
}

impl GroupRow {
    pub(crate) fn all(visit: &Visit, groups: &[DeadLetterGroup]) -> Vec<Self> {
        groups.iter().map(|group| Self::new(visit, group, how_many(groups, group))).collect()
    }

    fn new(visit: &Visit, group: &DeadLetterGroup, count: String) -> Self {
        Self {
            id: group_id(&group.key),
            event_type: cut(&group.key.event_type, 60),
            error: group
                .key
                .error
                .as_deref()
                .map_or_else(|| "(no error)".to_owned(), |error| cut(error, 160)),
            count,
            first: visit.at(group.first_at),
            last: visit.at(group.last_at),
        }
    }
}

pub(crate) async fn groups(visit: Visit) -> Result<Shown, Failure> {
    let groups = visit.desk.store.dead_letters().await?;
    Shown::page(&Dead {
        frame: visit.frame("Dead letters"),
        is_cut: may_be_more(&groups),
        groups: GroupRow::all(&visit, &groups),
    })
}

pub(crate) async fn group(visit: Visit) -> Result<Shown, Failure> {
    let group = find(&*visit.desk.store, visit.query.get("group").unwrap_or_default()).await?;
    let Some((group, how_many)) = group else {
        return Err(Failure::NotFound(
            "There are no dead letters in this group any more: they were replayed, discarded or purged. See the \
             overview of dead letters."
                .to_owned(),
        ));
    };
    let mut query = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    query.page = PageRequest { after: visit.query.row("after")?, limit: PAGE, newest_first: true };
    query.dead_letter = Some(group.key.clone());
    let page = visit.desk.store.events(&query).await?;
    Shown::page(&Group {
        frame: visit.frame("Dead letters of one group"),
        group: GroupRow::new(&visit, &group, how_many),
        rows: EventRow::all(&visit, &page.items),
        pager: Pager::new(&visit, &page),
        can_replay: visit.can(Right::Replay),
        can_rehearse: visit.can(Right::Replay) && visit.desk.store.can_rehearse(),
        can_discard: visit.can(Right::Discard),
    })
}

/// The group with this id, if it has dead letters and is among those that the store lists; and how many they are.
pub(crate) async fn find(
    store: &dyn Shelf,
    id: &str,
) -> Result<Option<(DeadLetterGroup, String)>, StoreError> {
    let groups = store.dead_letters().await?;
    let group = groups.iter().find(|group| group_id(&group.key) == id);
    Ok(group.map(|group| (group.clone(), how_many(&groups, group))))
}

/// The number of dead letters of a group. Older ones than the store has grouped may belong to it too.
fn how_many(groups: &[DeadLetterGroup], group: &DeadLetterGroup) -> String {
    let more = if may_be_more(groups) { " or more" } else { "" };
    format!("{}{more}", count(group.count))
}

/// Whether there may be more dead letters than the store has grouped, or more groups than it has returned.
fn may_be_more(groups: &[DeadLetterGroup]) -> bool {
    groups.len() >= DeadLetterGroup::MAX_GROUPS
        || groups.iter().map(|group| group.count).sum::<u64>() >= DeadLetterGroup::MAX_EVENTS as u64
}

/// A short name of a group for links: its error can be longer than a URL may be.
pub(crate) fn group_id(key: &DeadLetterKey) -> String {
    let mut hash = Sha256::new();
    hash.update((key.event_type.len() as u64).to_be_bytes());
    hash.update(&key.event_type);
    if let Some(error) = &key.error {
        hash.update([1]);
        hash.update(error);
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_differ_have_different_ids() {
        let id = |event_type: &str, error: Option<&str>| {
            group_id(&DeadLetterKey { event_type: event_type.into(), error: error.map(Into::into) })
        };
        let ids =
            [id("A", None), id("A", Some("")), id("", Some("A")), id("A", Some("b")), id("AB", Some(""))];
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
    }
}
