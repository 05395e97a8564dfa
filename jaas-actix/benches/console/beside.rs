//! What an operator costs the receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::Signer;

use crate::addresses::Address;
use crate::client::{Client, percentile};
use crate::support::{SECRET, request};

/// How many connections send events.
const CONNECTIONS: usize = 8;
/// How many events arrive in a second, over all connections.
const RATE: u32 = 200;
/// How long a turn lasts, and how many there are of each kind.
const TURN: Duration = Duration::from_secs(4);
const TURNS: usize = 12;
/// How long the operator looks at a page.
const LOOK: Duration = Duration::from_millis(500);

/// Sends events in turns, with and without an operator; prints the 99th percentiles and their ratio.
pub(crate) async fn measure(port: u16, addresses: &[Address]) {
    let pages: Vec<&str> = addresses
        .iter()
        .filter(|address| address.is_page())
        .map(|address| &*address.requests.first().expect("a request").0)
        .collect();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut next = 0;
    turn(port, "warm").await;
    for number in 0..TURNS {
        alone.extend(turn(port, &format!("alone-{number}")).await);
        let stop = Arc::new(AtomicBool::new(false));
        let (looking, stopped) = (stop.clone(), pages.clone());
        let operator = async {
            let mut client = Client::connect(port).await;
            while !looking.load(Ordering::Relaxed) {
                let page = stopped[next % stopped.len()];
                next += 1;
                assert_eq!(client.console(page, None).await.status, 200, "{page}");
                tokio::time::sleep(LOOK).await;
            }
        };
        let sender = async {
            let took = turn(port, &format!("beside-{number}")).await;
            stop.store(true, Ordering::Relaxed);
            took
        };
        let ((), took) = tokio::join!(operator, sender);
        beside.extend(took);
    }
    let (without, with) = (percentile(&alone, 99), percentile(&beside, 99));
    println!(
        "  {RATE} events/s: p50 {:.1} ms, p99 {without:.1} ms; beside an operator p50 {:.1} ms, p99 {with:.1} ms, {:.2} x \
         (wanted: at most 1.1)",
        percentile(&alone, 50),
        percentile(&beside, 50),
        with / without
    );
}

/// How long the webhook took for each event of a turn, from when it should have been sent.
async fn turn(port: u16, name: &str) -> Vec<Duration> {
    let began = Instant::now();
    let connections = (0..CONNECTIONS).map(|connection| {
        let requests = requests(name, connection);
        tokio::spawn(async move {
            let mut client = Client::connect(port).await;
            let mut took = Vec::with_capacity(requests.len());
            for (number, request) in requests.iter().enumerate() {
                let due =
                    began + (Duration::from_secs(1) / RATE) * (number * CONNECTIONS + connection) as u32;
                tokio::time::sleep_until(due.into()).await;
                let sent = client.send(request).await;
                assert_eq!(sent.status, 200);
                took.push(sent.took);
            }
            took
        })
    });
    let connections: Vec<_> = connections.collect();
    let mut took = Vec::new();
    for connection in connections {
        took.extend(connection.await.unwrap());
    }
    took
}

/// The requests of one connection, signed before they are sent.
fn requests(name: &str, connection: usize) -> Vec<Vec<u8>> {
    let signer = Signer::new(SECRET).unwrap();
    let now = SystemClock.now();
    let events = (TURN.as_secs_f64() * f64::from(RATE)) as usize / CONNECTIONS;
    let key = |number| format!("{}-{name}-{connection}-{number}", std::process::id());
    (0..events).map(|number| request(&signer, now, number, &key(number))).collect()
}
