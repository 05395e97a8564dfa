//! The pages and acts of the console: one table.

use futures_util::future::LocalBoxFuture;

use super::access::Right;
use super::failure::Failure;
#[cfg(feature = "archive")]
use super::pages::artifacts;
use super::pages::{
    audit, conflicts, dead, discard, event, inbox, meetings, overview, quarantine, rehearse, replay, session,
    settings,
};
use super::visit::{Shown, Visit};

/// An address below the console's path.
pub(crate) struct Route {
    /// The only segment of its path, so that relative links work everywhere.
    pub(crate) page: &'static str,
    pub(crate) does: Does,
    /// What the operator must be allowed to do.
    pub(crate) right: Right,
    /// The entry of the navigation to which it belongs.
    pub(crate) tab: &'static str,
    pub(crate) run: fn(Visit) -> LocalBoxFuture<'static, Result<Shown, Failure>>,
}

/// What a request to a route does, and so its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Shows something, by `GET` or `HEAD`.
    Show,
    /// Changes something, or writes to the audit, or runs handlers, by `POST` from a page of the console.
    Act,
}

macro_rules! routes {
    ($($(#[$attribute:meta])* $page:literal $does:ident $right:ident $tab:literal $run:path;)*) => {
        /// Every route. The tests go through all of them.
        pub(crate) const ROUTES: &[Route] = &[$(
            $(#[$attribute])*
            Route {
                page: $page,
                does: Does::$does,
                right: Right::$right,
                tab: $tab,
                run: |visit| Box::pin($run(visit)),
            },
        )*];
    };
}

routes! {
    "overview" Show Look "overview" overview::show;
    "inbox" Show Look "inbox" inbox::show;
    "event" Show Look "inbox" event::show;
    "reveal" Act Reveal "inbox" event::reveal;
    "dead" Show Look "dead" dead::groups;
    "dead-group" Show Look "dead" dead::group;
    "confirm-replay" Show Replay "dead" replay::confirm;
    "replay" Act Replay "dead" replay::act;
    "rehearse" Act Replay "dead" rehearse::act;
    "confirm-discard" Show Discard "dead" discard::confirm;
    "discard" Act Discard "dead" discard::act;
    "quarantine" Show Look "quarantine" quarantine::show;
    "replay-quarantine" Act Replay "quarantine" quarantine::replay;
    "conflicts" Show Look "conflicts" conflicts::show;
    "session" Show Look "session" session::show;
    "confirm-erase" Show Erase "session" session::confirm;
    "erase" Act Erase "session" session::erase;
    "meetings" Show Look "meetings" meetings::list;
    "meeting" Show Look "meetings" meetings::show;
    "reveal-meeting" Act Reveal "meetings" meetings::reveal;
    "settings" Show Look "settings" settings::show;
    #[cfg(feature = "archive")]
    "artifacts" Show Look "artifacts" artifacts::show;
    "audit" Show Look "audit" audit::show;
}
