mod tls;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::RootCertStore;
use tokio::net::TcpStream;

use super::*;

/// A network in which every name has the addresses that are given, in turn, and no connection succeeds.
#[derive(Default)]
struct Watched {
    addresses: Mutex<VecDeque<Vec<IpAddr>>>,
    lookups: AtomicUsize,
    connections: Mutex<Vec<SocketAddr>>,
}

#[async_trait]
impl Network for Watched {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let mut addresses = self.addresses.lock().expect("not poisoned");
        Ok(addresses.pop_front().unwrap_or_else(|| vec![[8, 8, 8, 8].into()]))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connections.lock().expect("not poisoned").push(address);
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

fn fetcher(network: &Arc<Watched>) -> HttpFetcher {
    // A host with digits, so that the list of hosts is not what refuses the literals.
    let builder = HttpFetcher::builder().host("*.files.example.org");
    builder.over(RootCertStore::empty(), network.clone()).expect("a fetcher")
}

async fn refused(fetcher: &HttpFetcher, link: &str) -> FetchErrorKind {
    let error = fetcher.fetch(&Link::new(link), None).await.expect_err(link);
    assert!(!error.to_string().contains("token"), "{link}: {error}");
    error.kind()
}

/// Links that are never fetched; the application cannot allow them.
const FORBIDDEN_LINKS: &[&str] = &[
    // Schemes.
    "http://8x8.vc/token",
    "ftp://8x8.vc/token",
    "file:///etc/passwd",
    "gopher://8x8.vc/token",
    "//8x8.vc/token",
    "8x8.vc/token",
    "/token",
    "",
    // Addresses of every family.
    "https://127.0.0.1/token",
    "https://8.8.8.8/token",
    "https://10.0.0.1/token",
    "https://172.16.0.1/token",
    "https://192.168.0.1/token",
    "https://169.254.169.254/latest/meta-data/token",
    "https://100.100.100.200/token",
    "https://0.0.0.0/token",
    "https://255.255.255.255/token",
    "https://[::1]/token",
    "https://[::]/token",
    "https://[fe80::1]/token",
    "https://[fd00:ec2::254]/token",
    "https://[fc00::1]/token",
    "https://[::ffff:127.0.0.1]/token",
    "https://[::ffff:7f00:1]/token",
    "https://[::127.0.0.1]/token",
    "https://[64:ff9b::7f00:1]/token",
    "https://[64:ff9b:1::7f00:1]/token",
    "https://[2002:7f00:1::]/token",
    "https://[2001:0:7f00:1::]/token",
    "https://[ff02::1]/token",
    "https://[2606:4700::1111]/token",
    // Other spellings of addresses.
    "https://2130706433/token",
    "https://017700000001/token",
    "https://0x7f000001/token",
    "https://0x7f.0.0.1/token",
    "https://0177.0.0.1/token",
    "https://127.1/token",
    "https://127.0.1/token",
    "https://0300.0250.0.1/token",
    "https://1.1.1.0x1/token",
    "https://127.0.0.1./token",
    "https://127。0。0。1/token",
    // User info and ports.
    "https://user@8x8.vc/token",
    "https://user:password@8x8.vc/token",
    "https://8x8.vc@127.0.0.1/token",
    "https://8x8.vc%40127.0.0.1/token",
    "https://8x8.vc:22/token",
    "https://8x8.vc:80/token",
    "https://8x8.vc:8443/token",
    "https://8x8.vc:/token",
    // Names of this machine and of its networks.
    "https://localhost/token",
    "https://a.localhost/token",
    "https://metadata/token",
    "https://metadata.google.internal/token",
    "https://printer.local/token",
    "https://router.lan/token",
    "https://8x8.vc./token",
    "https://8x8..vc/token",
    "https://8x8.vc\\@127.0.0.1/token",
    "https://8x8.vc /token",
    "https://8x8.vc\n/token",
];

/// Hosts that the application could allow, and has not.
const OTHER_HOSTS: &[&str] =
    &["https://evil.example/token", "https://8x8.vc.evil.example/token", "https://files.example.org/token"];

/// Addresses of an allowed name that are not connected to.
const FORBIDDEN_ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "10.0.0.1",
    "172.31.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
];

#[tokio::test]
async fn nothing_forbidden_is_connected_to() {
    let network = Arc::new(Watched::default());
    let fetcher = fetcher(&network);
    for link in FORBIDDEN_LINKS {
        assert_eq!(refused(&fetcher, link).await, FetchErrorKind::Refused, "{link:?}");
    }
    for link in OTHER_HOSTS {
        assert_eq!(refused(&fetcher, link).await, FetchErrorKind::NotAllowed, "{link}");
    }
    assert_eq!(network.lookups.load(Ordering::Relaxed), 0, "not even the name is looked up");
    for address in FORBIDDEN_ADDRESSES {
        network.addresses.lock().expect("not poisoned").push_back(vec![address.parse().expect("an address")]);
        assert_eq!(refused(&fetcher, "https://8x8.vc/token").await, FetchErrorKind::NotAllowed, "{address}");
    }
    assert!(FORBIDDEN_LINKS.len() + OTHER_HOSTS.len() + FORBIDDEN_ADDRESSES.len() >= 60);
    assert_eq!(*network.connections.lock().expect("not poisoned"), []);
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let network = Arc::new(Watched::default());
    let fetcher = fetcher(&network);
    // What a second look-up would find is never asked for.
    let public: IpAddr = [93, 184, 216, 34].into();
    network.addresses.lock().expect("not poisoned").extend([vec![public], vec![[127, 0, 0, 1].into()]]);
    assert_eq!(refused(&fetcher, "https://8x8.vc/token").await, FetchErrorKind::Failed);
    assert_eq!(*network.connections.lock().expect("not poisoned"), [SocketAddr::new(public, 443)]);
    assert_eq!(network.lookups.load(Ordering::Relaxed), 1);
    assert_eq!(refused(&fetcher, "https://8x8.vc/token").await, FetchErrorKind::NotAllowed);
    // Of several, those that are public.
    network.addresses.lock().expect("not poisoned").push_back(vec![[10, 0, 0, 1].into(), public]);
    assert_eq!(refused(&fetcher, "https://8x8.vc/token").await, FetchErrorKind::Failed);
    assert_eq!(*network.connections.lock().expect("not poisoned"), [SocketAddr::new(public, 443); 2]);
}

#[test]
fn mistakes_in_the_configuration_are_errors() {
    let network: Arc<Watched> = Arc::default();
    assert!(format!("{:?}", fetcher(&network)).contains("8x8.vc"));
    assert!(HttpFetcher::builder().host("10.0.0.1").build().is_err());
    assert!(HttpFetcher::builder().min_speed(0).build().is_err());
}
