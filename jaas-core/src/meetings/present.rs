//! Who is there now.

use super::sitting::Sitting;
use super::stay::Stay;

/// Who is in a room now, and who waits in its lobby.
///
/// Each connection is listed: a user with two tabs is there twice. Who goes from one room to another is in neither for the
/// moment in between.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Present {
    /// Who is in the main room or a breakout room, phones too; first come first.
    pub people: Vec<Stay>,
    /// Who waits in the lobby; first come first.
    pub lobby: Vec<Stay>,
}

impl Present {
    /// Who is there, of the stays of this sitting. Once it has ended, nobody is.
    pub fn of<'a>(sitting: &Sitting, stays: impl IntoIterator<Item = &'a Stay>) -> Self {
        if sitting.has_ended() {
            return Self::default();
        }
        let of_sitting = stays.into_iter().filter(|stay| stay.session == sitting.session);
        let mut open: Vec<Stay> = of_sitting.filter(|stay| stay.left_at.is_none()).cloned().collect();
        open.sort_by(Stay::by_time);
        let (lobby, people) = open.into_iter().partition(|stay| stay.place.is_lobby());
        Self { people, lobby }
    }
}
