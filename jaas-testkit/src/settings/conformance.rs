//! Tests for implementations of [`SettingsLog`]: one for every bullet of the `# Behavior` sections of the trait.
//!
//! Mount them beside those of the store, with the same harness:
//!
//! ```
//! use jaas_core::store::MemoryStore;
//! use jaas_testkit::conformance::Harness;
//! use std::sync::Arc;
//!
//! struct Memory(Arc<MemoryStore>);
//!
//! #[async_trait::async_trait]
//! impl Harness for Memory {
//!     type Store = Arc<MemoryStore>;
//!
//!     async fn start() -> Self {
//!         Self(Arc::new(MemoryStore::new()))
//!     }
//!
//!     fn store(&self) -> Self::Store {
//!         self.0.clone()
//!     }
//! }
//!
//! jaas_testkit::settings_log_conformance!(Memory);
//! # fn main() {}
//! ```
// Each mounted name is a test, and says what it tests.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use std::time::Duration;

use jaas_core::settings::{SettingsFailure, SettingsLog, SettingsQuery, SettingsRecord, SettingsSource};
use jaas_core::store::{Keep, PageRequest, RowId};
use jaas_core::{Fqn, Timestamp};

use crate::conformance::Harness;

/// Mounts the tests of a [`SettingsLog`], in a module `settings_log`.
#[macro_export]
macro_rules! settings_log_conformance {
    ($Harness:ty) => {
        mod settings_log {
            #[allow(unused_imports)]
            use super::*;

            $crate::settings_log_conformance! { $Harness:
                every_field_is_kept_in_the_order_of_arrival
                records_are_listed_in_pages
                records_are_filtered_by_every_field_of_the_query
                records_are_purged_by_age_and_beyond_a_count
            }
        }
    };
    ($Harness:ty: $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                use $crate::conformance::Harness as _;
                if <$Harness>::skipped().is_none() {
                    $crate::settings::conformance::$name::<$Harness>().await;
                }
            }
        )*
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn record(fqn: &str, second: i64) -> SettingsRecord {
    SettingsRecord::new("main", Fqn::new(fqn), at(second), SettingsSource::Provider, "{}")
}

async fn found(log: &impl SettingsLog, query: &SettingsQuery) -> Vec<SettingsRecord> {
    let mut query = query.clone();
    query.page = PageRequest { limit: 2, ..PageRequest::first() };
    let mut all = Vec::new();
    loop {
        let page = log.settings_records(&query).await.expect("listed");
        assert!(page.items.len() <= 2, "more than requested");
        all.extend(page.items);
        let Some(next) = page.next else { return all };
        query.page.after = Some(next);
    }
}

async fn seconds(log: &impl SettingsLog, query: &SettingsQuery) -> Vec<i64> {
    found(log, query).await.iter().map(|record| record.received_at.as_secs()).collect()
}

pub async fn every_field_is_kept_in_the_order_of_arrival<H: Harness<Store: SettingsLog>>() {
    let harness = H::start().await;
    let log = harness.store();
    let mut records = Vec::new();
    for source in SettingsSource::ALL {
        let mut record = record("App/Room%20One", 1_760_000_000);
        record.source = source;
        records.push(record);
    }
    for failure in SettingsFailure::ALL {
        let mut record = record("", 3);
        record.failure = Some(failure);
        records.push(record);
    }
    let mut full = record("App/\u{1f600}", 2);
    full.took = Duration::from_micros(1_500_123);
    full.error = Some("it said \u{201c}no\u{201d}".to_owned());
    full.decided_by = Some("the rule \"*\"".to_owned());
    full.answer = format!(r#"{{"padding":"{}","passcode":"…"}}"#, "x".repeat(70_000));
    records.push(full);
    log.record_settings(&records[..3]).await.expect("recorded");
    log.record_settings(&records[3..]).await.expect("recorded");
    log.record_settings(&[]).await.expect("nothing to record");

    let mut kept = found(&log, &SettingsQuery::default()).await;
    assert!(kept.windows(2).all(|pair| pair[0].id < pair[1].id), "rows grow");
    for record in &mut kept {
        record.id = RowId::new(0);
    }
    assert_eq!(kept, records);

    // A name that is too long for any index.
    let long = format!("app/{}", "é".repeat(2000));
    log.record_settings(&[record(&long, 9)]).await.expect("recorded");
    let query = SettingsQuery { fqn: Some(Fqn::new(long)), ..SettingsQuery::default() };
    assert_eq!(seconds(&log, &query).await, [9]);
    log.record_settings(&[record("app/a%00b", 10)]).await.expect("recorded");
}

pub async fn records_are_listed_in_pages<H: Harness<Store: SettingsLog>>() {
    let harness = H::start().await;
    let log = harness.store();
    assert!(found(&log, &SettingsQuery::default()).await.is_empty());
    let records: Vec<_> = (0..7).map(|second| record("app/r", second)).collect();
    log.record_settings(&records).await.expect("recorded");
    assert_eq!(seconds(&log, &SettingsQuery::default()).await, (0..7).collect::<Vec<_>>());
    let all = log.settings_records(&SettingsQuery::default()).await.expect("listed");
    assert_eq!((all.items.len(), all.next), (7, None));
    let newest =
        SettingsQuery { page: PageRequest { limit: 3, ..PageRequest::newest() }, ..SettingsQuery::default() };
    let page = log.settings_records(&newest).await.expect("listed");
    let seconds: Vec<i64> = page.items.iter().map(|record| record.received_at.as_secs()).collect();
    assert_eq!(seconds, [6, 5, 4]);
    let older = SettingsQuery { page: PageRequest { after: page.next, ..newest.page }, ..newest };
    let page = log.settings_records(&older).await.expect("listed");
    assert_eq!(page.items.first().map(|record| record.received_at.as_secs()), Some(3));
}

pub async fn records_are_filtered_by_every_field_of_the_query<H: Harness<Store: SettingsLog>>() {
    let harness = H::start().await;
    let log = harness.store();
    let names = ["App/Math", "app/math", "other/math", "app/%6Dath", "app/art", "MATH"];
    let mut records: Vec<_> = names.iter().zip(0..).map(|(fqn, second)| record(fqn, second)).collect();
    records[1].endpoint = "second".into();
    records[2].source = SettingsSource::Fallback;
    records[3].failure = Some(SettingsFailure::TimedOut);
    log.record_settings(&records).await.expect("recorded");
    let none = SettingsQuery::default();
    let of = |fqn: &str| SettingsQuery { fqn: Some(Fqn::new(fqn)), ..none.clone() };
    for (query, wanted) in [
        (of("APP/M%41TH"), &[0, 1, 3][..]),
        (of("math"), &[0, 1, 2, 3, 5]),
        (of("app/nothing"), &[]),
        (SettingsQuery { endpoint: Some("second".into()), ..none.clone() }, &[1]),
        (SettingsQuery { endpoint: Some("Second".into()), ..none.clone() }, &[]),
        (SettingsQuery { from: Some(at(4)), ..none.clone() }, &[4, 5]),
        (SettingsQuery { until: Some(at(2)), ..none.clone() }, &[0, 1]),
        (SettingsQuery { source: Some(SettingsSource::Fallback), ..none.clone() }, &[2]),
        (SettingsQuery { failure: Some(SettingsFailure::TimedOut), ..none.clone() }, &[3]),
        (SettingsQuery { from: Some(at(1)), until: Some(at(4)), ..of("app/math") }, &[1, 3]),
    ] {
        assert_eq!(seconds(&log, &query).await, wanted, "{query:?}");
    }
}

pub async fn records_are_purged_by_age_and_beyond_a_count<H: Harness<Store: SettingsLog>>() {
    let harness = H::start().await;
    let log = harness.store();
    let records: Vec<_> = [5, 1, 4, 2, 3, 0].map(|second| record("app/r", second)).into();
    log.record_settings(&records).await.expect("recorded");
    let age = |seconds| Keep::age(Duration::from_secs(seconds));
    let purge = async |keep, limit| log.purge_settings_records(keep, at(10), limit).await.expect("purged");
    assert_eq!(purge(Keep::FOREVER, 100).await, 0);
    assert_eq!(purge(age(10), 100).await, 0, "none is older than that");
    assert_eq!(purge(age(8), 1).await, 1);
    assert_eq!(purge(age(8), 100).await, 1);
    assert_eq!(seconds(&log, &SettingsQuery::default()).await, [5, 4, 2, 3]);
    assert_eq!(purge(Keep::FOREVER.newest(3), 100).await, 1);
    assert_eq!(seconds(&log, &SettingsQuery::default()).await, [5, 4, 3]);
    assert_eq!(purge(age(6).newest(1), 100).await, 2, "beyond either");
    assert_eq!(seconds(&log, &SettingsQuery::default()).await, [5]);
}
