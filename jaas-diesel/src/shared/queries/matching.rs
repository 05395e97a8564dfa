//! Which events match a query, and how they are found without reading the table.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`, and
//! `dialect` the backend's module of this name.
//!
//! One field of the query chooses an index whose rows are in the order of the page. The other fields are compared row by row,
//! and rows that match can be rare. So a page ends after a number of candidates, even if it is not full.

use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::store::{EventQuery, EventState};

use super::super::dialect::{self, Connection, RunQueryDsl as _};
use super::claim::queues;
use super::{DEAD, WAITING};
use crate::rows::text;
use crate::schema::{jaas_events, jaas_queues};

/// How many candidates a page looks at.
const CANDIDATES: i64 = 2_000;

/// The candidates behind the start of the page, in the order of their index, with the selected columns.
macro_rules! candidates {
    ($query:expr, $plan:expr, $select:expr) => {{
        use diesel::sql_types::BigInt;
        use $crate::rows::{Span, indexed, text};
        use $crate::schema::jaas_events::dsl;
        use super::super::dialect;
        use super::matching::By;
        let (query, plan): (&EventQuery, &super::matching::Plan) = ($query, &$plan);
        let newest_first = query.page.newest_first;
        let span = Span::of(query.page, plan.bound);
        let (least, most) = span.ends();
        let rows = dsl::jaas_events.select($select).into_boxed();
        let rows = match plan.by {
            By::Ids => rows.filter(dsl::id.eq_any(plan.ids.clone())).filter(dsl::id.between(least, most)),
            By::Key => {
                let key = query.idempotency_key.as_ref().map(|key| text(key.as_str()));
                rows.filter(dsl::endpoint.eq_any(plan.endpoints.clone()))
                    .filter(dsl::idempotency_key.eq(key.unwrap_or_default()))
                    .filter(diesel::dsl::sql::<BigInt>("jaas_events.id + 0").between(least, most))
            }
            By::Session => {
                let session = query.session_id.as_ref().map(|session| text(session.as_str()));
                rows.filter(dialect::in_index!(jaas_events, session_id, session.unwrap_or_default(), span))
            }
            By::Room => {
                let fqn = query.fqn.as_ref().map(|fqn| indexed(text(fqn.as_str())));
                rows.filter(dialect::in_index!(jaas_events, fqn, fqn.unwrap_or_default(), span))
            }
            // No event has the state of a query that no event can match.
            By::State => {
                let state = super::matching::state(query).unwrap_or_default();
                rows.filter(dialect::in_index!(jaas_events, state, state.to_owned(), span))
            }
            By::Row if plan.bound.is_some() => rows.filter(dsl::id.between(least, most)),
            // Only one bound: with two, the planner assumes that few rows match, and sorts them.
            By::Row if newest_first => rows.filter(dsl::id.le(most)),
            By::Row => rows.filter(dsl::id.ge(least)),
        };
        // By the column of the index first. Otherwise the planner would read the table in the order of its ids until enough
        // rows match, even when few do.
        match (plan.by, newest_first) {
            // They are few, and are sorted.
            (By::Ids | By::Key, false) => rows.order(diesel::dsl::sql::<BigInt>("jaas_events.id + 0")),
            (By::Ids | By::Key, true) => rows.order(diesel::dsl::sql::<BigInt>("jaas_events.id + 0").desc()),
            (By::Session, false) => rows.order((dsl::session_id, dsl::id)),
            (By::Session, true) => rows.order((dsl::session_id.desc(), dsl::id.desc())),
            (By::Room, false) => rows.order((dsl::fqn, dsl::id)),
            (By::Room, true) => rows.order((dsl::fqn.desc(), dsl::id.desc())),
            (By::State, false) => rows.order((dsl::state, dsl::id)),
            (By::State, true) => rows.order((dsl::state.desc(), dsl::id.desc())),
            (By::Row, false) => rows.order(dsl::id),
            (By::Row, true) => rows.order(dsl::id.desc()),
        }
    }};
}
pub(super) use candidates;

/// The events that match, with the selected columns: one row more than the page holds.
macro_rules! matching {
    ($query:expr, $plan:expr, $select:expr) => {{
        use super::matching::By;
        use diesel::dsl::sql;
        use diesel::sql_types::{BigInt, Bool, Text};
        use $crate::rows::{indexed, text};
        use $crate::schema::jaas_events::dsl;
        let (query, plan): (&EventQuery, &super::matching::Plan) = ($query, &$plan);
        let mut rows = super::matching::candidates!(query, plan, $select).limit(super::one_more(query.page));
        // From here on, columns are compared as the results of a function: an index of theirs would be read instead of the one
        // that was chosen.
        if plan.by != By::State && (query.state.is_some() || query.dead_letter.is_some()) {
            rows = rows.filter(sql::<Bool>(&match super::matching::state(query) {
                Some(state) => format!("concat(jaas_events.state, '') = '{state}'"),
                None => "1 = 0".to_owned(),
            }));
        }
        if !plan.running.is_empty() {
            rows = rows.filter(sql::<BigInt>("jaas_events.id + 0").ne_all(plan.running.clone()));
        }
        if let Some(group) = &query.dead_letter {
            rows = rows.filter(dsl::event_type.eq(text(&group.event_type)));
            rows = match &group.error {
                Some(error) => rows.filter(dsl::note.eq(text(error))),
                None => rows.filter(dsl::note.is_null()),
            };
        }
        if let Some(event_type) = &query.event_type {
            rows = rows.filter(dsl::event_type.eq(text(event_type)));
        }
        if let Some(session) = query.session_id.as_ref().filter(|_| plan.by != By::Session) {
            rows = rows.filter(sql::<Text>("concat(jaas_events.session_id, '')").eq(text(session.as_str())));
        }
        if let Some(fqn) = query.fqn.as_ref().filter(|_| plan.by != By::Room) {
            rows = rows.filter(sql::<Text>("concat(jaas_events.fqn, '')").eq(indexed(text(fqn.as_str()))));
        }
        if let Some(key) = query.idempotency_key.as_ref().filter(|_| plan.by != By::Key) {
            rows = rows.filter(sql::<Text>("concat(jaas_events.idempotency_key, '')").eq(text(key.as_str())));
        }
        if let Some(endpoint) = query.endpoint.as_ref().filter(|_| plan.by != By::Key) {
            rows = rows.filter(sql::<Text>("concat(jaas_events.endpoint, '')").eq(text(endpoint)));
        }
        if let Some(from) = query.from {
            rows = rows.filter(dsl::occurred_at.ge(from.as_millis()));
        }
        if let Some(until) = query.until {
            rows = rows.filter(dsl::occurred_at.lt(until.as_millis()));
        }
        rows
    }};
}
pub(super) use matching;

/// The index by which candidates are found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The rows of some ids: of the running events, which are no more than workers hold claims, or of the candidates.
    Ids,
    /// The keys, at one endpoint or at each.
    Key,
    Session,
    Room,
    State,
    /// The rows themselves.
    Row,
}

impl By {
    fn of(query: &EventQuery) -> Self {
        if query.state == Some(EventState::Running) && query.dead_letter.is_none() {
            Self::Ids
        } else if query.idempotency_key.is_some() {
            Self::Key
        } else if query.session_id.is_some() {
            Self::Session
        } else if query.fqn.is_some() {
            Self::Room
        } else if query.state.is_some() || query.dead_letter.is_some() {
            Self::State
        } else {
            Self::Row
        }
    }

    /// Whether there can be many candidates that do not match.
    fn may_miss(self, query: &EventQuery) -> bool {
        let by_state = query.state.is_some() || query.dead_letter.is_some();
        let others = [
            by_state && self != Self::State,
            query.dead_letter.is_some(),
            query.fqn.is_some() && self != Self::Room,
            query.event_type.is_some(),
            query.endpoint.is_some(),
            query.from.is_some(),
            query.until.is_some(),
        ];
        !matches!(self, Self::Ids | Self::Key) && others.contains(&true)
    }
}

/// What was found out before the events are read.
pub(super) struct Plan {
    pub(super) by: By,
    pub(super) ids: Vec<i64>,
    /// The events to leave out, because they run: they are stored as waiting.
    pub(super) running: Vec<i64>,
    pub(super) endpoints: Vec<String>,
    /// The last candidate to look at, if more candidates follow it.
    pub(super) bound: Option<i64>,
}

pub(super) async fn plan(connection: &mut Connection, query: &EventQuery) -> QueryResult<Plan> {
    let by = By::of(query);
    let mut plan = Plan { by, ids: Vec::new(), running: Vec::new(), endpoints: Vec::new(), bound: None };
    let of_waiting = query.state == Some(EventState::Waiting) && query.dead_letter.is_none();
    if by == By::Ids || of_waiting {
        // No more rows than the workers hold claims.
        let running: Vec<Option<i64>> = queues!("2").select(jaas_queues::event_id).load(connection).await?;
        let running = running.into_iter().flatten().collect();
        if of_waiting { plan.running = running } else { plan.ids = running }
    }
    if by == By::Key {
        plan.endpoints = match &query.endpoint {
            Some(endpoint) => vec![text(endpoint)],
            None => endpoints(connection).await?,
        };
    }
    if by.may_miss(query) {
        let ids: Vec<i64> =
            candidates!(query, plan, jaas_events::id).limit(CANDIDATES).load(connection).await?;
        plan.bound = ids.last().copied().filter(|_| ids.len() as i64 == CANDIDATES);
        if plan.bound.is_some() && by != By::Row && !dialect::ENDS_IN_INDEX {
            plan = Plan { by: By::Ids, ids, ..plan };
        }
    }
    Ok(plan)
}

/// The state that the events have in the table, where a running event is waiting; `None` when no event can match.
pub(super) fn state(query: &EventQuery) -> Option<&'static str> {
    match (&query.dead_letter, query.state) {
        (Some(_), None) => Some(DEAD),
        (Some(_), Some(state)) => Some(DEAD).filter(|_| state == EventState::Dead),
        (None, Some(EventState::Running)) => Some(WAITING),
        (None, state) => state.map(EventState::as_str),
    }
}

/// The endpoints that events have, found one by one in the index of keys, which begins with the endpoint.
async fn endpoints(connection: &mut Connection) -> QueryResult<Vec<String>> {
    use jaas_events::dsl;
    let mut endpoints: Vec<String> = Vec::new();
    loop {
        let mut next = dsl::jaas_events.order(dsl::endpoint).limit(1).select(dsl::endpoint).into_boxed();
        if let Some(known) = endpoints.last() {
            next = next.filter(dsl::endpoint.gt(known.clone()));
        }
        match next.load(connection).await?.pop() {
            Some(next) => endpoints.push(next),
            None => return Ok(endpoints),
        }
    }
}
