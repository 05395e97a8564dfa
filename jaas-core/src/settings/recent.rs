//! A map that forgets.

use std::sync::Arc;

use tokio::time::Instant;

use super::meeting::MeetingSettings;
use super::request::SettingsRequest;
use crate::generations::Generations;

/// The meeting, whatever the spelling of its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Meeting {
    endpoint: Arc<str>,
    tenant: Option<String>,
    room: String,
}

impl Meeting {
    pub(super) fn of(request: &SettingsRequest) -> Self {
        Self {
            endpoint: request.endpoint.clone(),
            tenant: request.fqn.app_id().map(str::to_lowercase),
            room: request.room_key(),
        }
    }
}

/// The last answer, and its time.
pub(super) type LastAnswers = Recent<(Arc<MeetingSettings>, Instant)>;

/// Remembers a value for the meetings asked about most recently. When there is no more room, it forgets those that were
/// not written for the longest time, half of all at a time.
#[derive(Debug)]
pub(super) struct Recent<V> {
    known: Generations<Meeting, V>,
    half: usize,
}

impl<V> Recent<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { known: Generations::default(), half: capacity.div_ceil(2).max(1) }
    }

    pub(super) fn get(&self, meeting: &Meeting) -> Option<&V> {
        self.known.get(meeting)
    }

    pub(super) fn insert(&mut self, meeting: Meeting, value: V) {
        if self.known.newer_len() >= self.half && !self.known.is_new(&meeting) {
            self.known.end();
        }
        self.known.insert(meeting, value);
    }

    pub(super) fn remove(&mut self, meeting: &Meeting) {
        self.known.remove(meeting);
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(room: usize) -> Meeting {
        Meeting { endpoint: "main".into(), tenant: None, room: room.to_string() }
    }

    #[test]
    fn it_never_holds_more_than_its_capacity_and_keeps_the_newest() {
        let mut recent = Recent::new(10);
        for room in 0..1000 {
            recent.insert(meeting(room), room);
            recent.insert(meeting(room), room);
            assert!(recent.known.len() <= 10);
            for newest in room.saturating_sub(4)..=room {
                assert_eq!(recent.get(&meeting(newest)), Some(&newest));
            }
        }
        assert_eq!(recent.get(&meeting(900)), None);
    }
}
