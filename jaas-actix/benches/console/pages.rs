//! How long each page takes.

use std::time::Duration;

use crate::addresses::Address;
use crate::client::{Client, percentile};

/// How many bytes a page may have.
const MAX_SIZE: usize = 50 * 1024;
/// How often a page is asked for before it is measured, for what is made at first use.
const WARM: usize = 10;

/// Asks for every page and prints how long that took; names those that are slower or larger than wanted.
pub(crate) async fn measure(port: u16, addresses: &[Address], wanted_ms: f64) {
    let mut client = Client::connect(port).await;
    let mut over = Vec::new();
    println!("  {:<46} {:>9} {:>9} {:>9}", "", "p50", "p99", "size");
    for address in addresses {
        if address.is_page() {
            for (path, form) in address.requests.iter().take(WARM) {
                client.console(path, form.as_deref()).await;
            }
        }
        let (mut took, mut size): (Vec<Duration>, usize) = (Vec::new(), 0);
        for (path, form) in &address.requests {
            let response = client.console(path, form.as_deref()).await;
            assert!(matches!(response.status, 200 | 303), "{}: {}", address.name, response.status);
            took.push(response.took);
            size = size.max(response.size);
        }
        let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
        let is_over = size > MAX_SIZE || (address.is_page() && p99 > wanted_ms);
        let kind = if address.is_page() { "" } else { " (act)" };
        let mark = if is_over { "  OVER" } else { "" };
        println!("  {:<46} {p50:>6.1} ms {p99:>6.1} ms {size:>7} B{mark}", format!("{}{kind}", address.name));
        if is_over {
            over.push(&*address.name);
        }
    }
    if over.is_empty() {
        println!("  every page is as fast and as small as wanted");
    } else {
        println!("  over what is wanted: {}", over.join("; "));
    }
}
