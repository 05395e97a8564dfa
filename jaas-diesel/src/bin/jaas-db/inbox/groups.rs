//! `jaas inbox groups`: dead letters by their type and error.

use clap::Args;
use jaas_core::store::{DeadLetterGroup, DeadLetterKey, EventAdmin};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, Table, short};

/// Groups the dead letters by type and error, the most frequent first
#[derive(Debug, Args)]
#[command(after_help = "\
The newest 1,000 dead letters are counted, and at most 100 groups are shown. The name of a group selects its events:
  jaas inbox list --group 9c1185a5c5e9fc54
  jaas inbox replay --group 9c1185a5c5e9fc54 --reason 'fixed in 1.4.2'")]
pub(super) struct Groups {}

impl Groups {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let groups = store.dead_letters().await?;
        let all: Vec<Value> = groups
            .iter()
            .map(|group| {
                json!({
                    "group": name(&group.key),
                    "event_type": group.key.event_type,
                    "error": group.key.error,
                    "count": group.count,
                    "first_at": group.first_at,
                    "last_at": group.last_at,
                })
            })
            .collect();
        output.result(&json!({"groups": all}), || {
            if groups.is_empty() {
                return "there are no dead letters\n".into();
            }
            let mut table = Table::new(["GROUP", "COUNT", "TYPE", "FIRST", "LAST", "ERROR"]);
            for group in &groups {
                table.row([
                    name(&group.key),
                    group.count.to_string(),
                    short(&group.key.event_type, 40),
                    group.first_at.to_string(),
                    group.last_at.to_string(),
                    short(group.key.error.as_deref().unwrap_or_default(), 100),
                ]);
            }
            table.text()
        })
    }
}

/// The group of this name.
pub(super) async fn named<S: EventAdmin>(store: &S, wanted: &str) -> Result<DeadLetterGroup, Failure> {
    let mut groups = store.dead_letters().await?;
    groups.retain(|group| name(&group.key) == wanted);
    match groups.pop() {
        Some(group) if groups.is_empty() => Ok(group),
        Some(_) => Err(Failure::no("two groups have this name; select with --type and --state dead")),
        None => Err(Failure::no(format!("there is no group {wanted}; see jaas inbox groups"))),
    }
}

/// A short name that the same group always has: FNV-1a of its type and error.
fn name(key: &DeadLetterKey) -> String {
    let error = key.error.iter().flat_map(|error| std::iter::once(0).chain(error.bytes()));
    let hash = key.event_type.bytes().chain(error).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_group_depends_on_its_type_and_its_error() {
        let key = |event_type: &str, error: Option<&str>| {
            name(&DeadLetterKey { event_type: event_type.into(), error: error.map(Into::into) })
        };
        // The published value of FNV-1a of "foobar".
        assert_eq!(key("foobar", None), "85944171f73967e8");
        assert_ne!(key("A", None), key("A", Some("")));
        assert_ne!(key("A", Some("b")), key("A", Some("c")));
    }
}
