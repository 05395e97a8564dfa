//! One file for each page.

#[cfg(feature = "archive")]
pub(crate) mod artifacts;
pub(crate) mod audit;
pub(crate) mod conflicts;
pub(crate) mod dead;
pub(crate) mod discard;
pub(crate) mod event;
pub(crate) mod gaps;
pub(crate) mod inbox;
mod life;
pub(crate) mod meetings;
pub(crate) mod overview;
pub(crate) mod quarantine;
pub(crate) mod rehearse;
pub(crate) mod replay;
mod rows;
mod said;
pub(crate) mod session;
pub(crate) mod settings;
mod target;

/// The id of the largest group of dead letters, for tests.
#[cfg(test)]
pub(crate) async fn group_of(store: &jaas_core::store::MemoryStore) -> String {
    use jaas_core::store::EventAdmin as _;

    let groups = store.dead_letters().await.unwrap();
    groups.first().map(|group| dead::group_id(&group.key)).unwrap_or_default()
}
