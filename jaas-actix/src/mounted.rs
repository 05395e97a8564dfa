//! Which webhooks are mounted in this process.

use std::sync::Weak;

use jaas_core::telemetry::target;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::body::Account;

/// The webhooks that were mounted and are alive.
static MOUNTED: Mutex<Vec<Mounted>> = Mutex::new(Vec::new());

struct Mounted {
    endpoint: String,
    path: String,
    account: Weak<Semaphore>,
}

/// Notes that a webhook is mounted, and warns when another one is mounted for the same endpoint and path with a
/// separate account: then it was built inside the closure of `HttpServer::new`, once for each worker thread. It warns
/// about the second one only.
pub(crate) fn note(endpoint: &str, path: &str, account: &Account) {
    let account = account.downgrade();
    // No code panics while it holds the lock.
    let mut mounted = MOUNTED.lock();
    mounted.retain(|other| other.account.strong_count() > 0);
    let same = mounted.iter().filter(|other| other.endpoint == endpoint && other.path == path);
    let same: Vec<_> = same.map(|other| &other.account).collect();
    if same.iter().any(|other| other.ptr_eq(&account)) {
        return;
    }
    let is_second = same.len() == 1;
    mounted.push(Mounted { endpoint: endpoint.to_owned(), path: path.to_owned(), account });
    drop(mounted);
    if is_second {
        tracing::warn!(
            target: target::HTTP, endpoint, path,
            "a second Webhook is mounted for this endpoint and path, so max_bytes_in_flight holds for each alone, and so do the \
             limits of a Receiver that is built with it; build both once, outside the closure of HttpServer::new"
        );
    }
}
