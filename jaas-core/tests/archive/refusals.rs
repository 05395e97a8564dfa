//! What a server does that is not followed.

use std::time::Duration;

use jaas_core::Link;
use jaas_core::archive::{Fetch as _, FetchErrorKind, HttpFetcher};
use jaas_testkit::archive::{FileServer, Reply};

async fn kind(reply: Reply) -> FetchErrorKind {
    let server = FileServer::start().await.expect("a server");
    let link = server.serve("/p/token", [reply]);
    let fetcher = HttpFetcher::builder().local_files().build().expect("a fetcher");
    let error = fetcher.fetch(&Link::new(link), None).await.expect_err("refused");
    assert_eq!(server.requests().len(), 1, "nothing else was asked for");
    assert!(!error.to_string().contains("token"), "{error}");
    error.kind()
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for to in ["http://127.0.0.1:1/token", "https://8x8.vc/token", "/other-token"] {
        assert_eq!(kind(Reply::redirect(to)).await, FetchErrorKind::NotAllowed, "{to}");
    }
}

#[tokio::test]
async fn only_404_and_410_mean_that_a_file_is_gone() {
    for status in [404, 410] {
        assert_eq!(kind(Reply::status(status)).await, FetchErrorKind::Gone);
    }
    for status in [204, 400, 401, 403, 416, 429, 500, 502, 503] {
        assert_eq!(kind(Reply::status(status)).await, FetchErrorKind::Failed, "{status}");
    }
}

#[tokio::test]
async fn a_link_to_this_machine_is_refused_by_default() {
    let server = FileServer::start().await.expect("a server");
    let link = server.serve("/p/token", [Reply::file("secret")]);
    let fetcher = HttpFetcher::new().expect("a fetcher");
    let error = fetcher.fetch(&Link::new(link), None).await.expect_err("refused");
    assert_eq!(error.kind(), FetchErrorKind::Refused);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_respond_is_not_waited_for_long() {
    let server = FileServer::start().await.expect("a server");
    let fetcher = HttpFetcher::builder()
        .local_files()
        .response_timeout(Duration::from_millis(100))
        .build()
        .expect("a fetcher");
    // It accepts connections, and nothing reads them.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("http://{}/token", silent.local_addr().expect("an address"));
    let error = fetcher.fetch(&Link::new(link), None).await.expect_err("too slow");
    assert!(error.to_string().contains("waiting for the response took longer"), "{error}");
    drop(server);
}
