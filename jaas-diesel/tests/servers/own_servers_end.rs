//! The servers that tests start themselves.

use crate::own_servers::{Kind, OwnServer};

#[tokio::test]
async fn a_postgres_is_gone_when_its_test_panics() {
    is_gone_when_its_test_panics(Kind::Postgres).await;
}

#[tokio::test]
async fn a_mariadb_is_gone_when_its_test_panics() {
    is_gone_when_its_test_panics(Kind::Mysql).await;
}

async fn is_gone_when_its_test_panics(kind: Kind) {
    let Some(server) = OwnServer::start(kind, &[]).await else { return };
    let (port, socket) = (server.port(), server.socket());
    assert!(socket.exists() && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let panicked = tokio::spawn(async move {
        let _server = server;
        panic!("as a test does that fails");
    });
    assert!(panicked.await.expect_err("panicked").is_panic());
    std::net::TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens");
    assert!(!socket.parent().expect("a folder").exists());
}
