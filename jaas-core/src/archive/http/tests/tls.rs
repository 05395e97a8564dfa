//! TLS to a server whose certificate is of an authority that the fetcher trusts, or not.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::memory::InMemory;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::archive::store::{ArtifactQuery, ArtifactRecord, ArtifactState, ArtifactStore as _, NewArtifact};
use crate::archive::{Archive, ArtifactHandler, ArtifactKind, ObjectSink};
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::Delivery;
use crate::store::{EventStore as _, MemoryStore};

const AUTHORITY: &[u8] = include_bytes!("../../../../tests/archive/tls/authority.crt");
const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/archive/tls/server.crt");
const KEY: &[u8] = include_bytes!("../../../../tests/archive/tls/server.key");

const LINK: &str = "https://files.example.org/token";

/// A network in which every name leads to one server of this machine.
struct OneServer {
    address: SocketAddr,
    connections: AtomicUsize,
}

#[async_trait]
impl Network for OneServer {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![[93, 184, 216, 34].into()])
    }

    async fn connect(&self, _: SocketAddr) -> io::Result<TcpStream> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        TcpStream::connect(self.address).await
    }
}

/// Starts a server that has the certificate of `files.example.org`, and sends a file.
async fn server() -> Arc<OneServer> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na file").await;
            let _ = stream.shutdown().await;
        }
    });
    Arc::new(OneServer { address, connections: AtomicUsize::new(0) })
}

fn fetcher(network: &Arc<OneServer>, roots: RootCertStore) -> HttpFetcher {
    let builder = HttpFetcher::builder().host("files.example.org").host("other.example.org");
    builder.over(roots, network.clone()).expect("a fetcher")
}

fn known() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).expect("a certificate")).expect("an authority");
    roots
}

#[tokio::test]
async fn a_file_is_fetched_from_a_server_whose_authority_is_trusted() {
    let network = server().await;
    let fetched = fetcher(&network, known()).fetch(&Link::new(LINK), None).await.expect("fetched");
    let bytes: Vec<Bytes> = fetched.body.try_collect().await.expect("whole");
    assert_eq!(bytes.concat(), b"a file");
}

#[tokio::test]
async fn a_server_whose_authority_is_unknown_is_refused_after_one_handshake() {
    let network = server().await;
    let error = fetcher(&network, RootCertStore::empty()).fetch(&Link::new(LINK), None).await;
    let error = error.expect_err("refused");
    assert_eq!(error.kind(), FetchErrorKind::Failed);
    let text = error.to_string();
    for part in
        ["TLS with files.example.org failed", "UnknownIssuer", "install the certificate of its authority"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("token"), "{text}");
    assert_eq!(network.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let network = server().await;
    let link = Link::new("https://other.example.org/token");
    let error = fetcher(&network, known()).fetch(&link, None).await.expect_err("refused");
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

struct Nothing;
impl ArtifactHandler for Nothing {}

#[tokio::test]
async fn an_archiver_waits_before_it_tries_an_untrusted_server_again() {
    let network = server().await;
    let store = Arc::new(MemoryStore::new());
    let archive = Archive::builder(store.clone(), ObjectSink::new(InMemory::new()))
        .fetcher(fetcher(&network, RootCertStore::empty()))
        .build()
        .expect("an archive");
    let now = SystemClock.now();
    let body = format!(
        r#"{{"idempotencyKey":"k-1","eventType":"CHAT_UPLOADED","timestamp":{},
            "data":{{"preAuthenticatedLink":"{LINK}"}}}}"#,
        now.as_millis()
    );
    let event = Delivery::parse("main", now, body.into()).expect("an envelope");
    store.accept(event.clone()).await.expect("accepted");
    let deadline = now.saturating_add(Duration::from_secs(24 * 60 * 60));
    let new = NewArtifact {
        slot: "preAuthenticatedLink".to_owned(),
        kind: ArtifactKind::Chat,
        deadline,
        risk_at: deadline,
    };
    store.add_artifacts(&mut (), &event, &[new]).await.expect("added");
    let archiver = archive.spawn(Nothing);
    let record = tokio::time::timeout(Duration::from_secs(20), failed(&store)).await.expect("in time");
    archiver.stop(Duration::ZERO).await;
    assert_eq!((record.state, record.kept), (ArtifactState::Waiting, None));
    assert!(record.error.expect("an error").contains("UnknownIssuer"));
    assert!(record.due_at.duration_since(now) >= Duration::from_secs(1), "the first wait");
    assert_eq!(network.connections.load(Ordering::Relaxed), 1, "one handshake for one try");
}

/// The artifact, once a try has failed.
async fn failed(store: &MemoryStore) -> ArtifactRecord {
    loop {
        let record = store.artifacts(&ArtifactQuery::default()).await.expect("listed").items.remove(0);
        if record.failures > 0 {
            return record;
        }
        // An archiver sends no signal when it has recorded a try.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
