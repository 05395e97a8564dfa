//! Runs the application as a separate process, and a collector for its traces.
#![allow(dead_code)]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::Signer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

pub const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
pub const TOKEN: &str = "a-token-of-this-test";

/// The timeout for everything that should happen.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Application {
    child: Child,
    base: String,
    client: reqwest::Client,
    signer: Signer,
    log: watch::Receiver<Vec<String>>,
}

impl Application {
    pub async fn start(database: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_existing-app"))
            .args(arguments)
            .env("JAAS_WEBHOOK_SECRET", SECRET)
            .env("APP_TOKEN", TOKEN)
            .env("BIND", "127.0.0.1:0")
            .env("DATABASE_URL", database)
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, mut log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                sender.send_modify(|log: &mut Vec<String>| log.push(line));
            }
        });
        let listening =
            timeout(SOON, log.wait_for(|log| address(log).is_some())).await.expect("listening in time");
        assert!(listening.is_ok(), "it ended");
        drop(listening);
        let address = address(&log.borrow()).expect("it listens").to_owned();
        let client = reqwest::Client::builder().timeout(SOON).build().expect("a client");
        let signer = Signer::new(SECRET).expect("a good secret");
        Self { child, base: format!("http://{address}"), client, signer, log }
    }

    /// Asks with the application's token.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        self.ask_as(Some(TOKEN), method, path, body).await
    }

    pub async fn ask_as(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("answered")
    }

    /// Asks as a browser does in which this name and token were entered.
    pub async fn browse(&self, method: Method, path: &str, (name, token): (&str, &str)) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.basic_auth(name, Some(token)).send().await.expect("answered")
    }

    /// Sends a delivery as JaaS would, with extra headers, and returns the status.
    pub async fn deliver(&self, body: &str, more: &[(&str, &str)]) -> u16 {
        let signed = self.signer.sign(SystemClock.now(), body.to_owned());
        let mut post = self.client.post(format!("{}/hooks/jaas", self.base));
        for (name, value) in signed.headers().iter().chain(more) {
            post = post.header(*name, *value);
        }
        post.body(signed.body).send().await.expect("answered").status().as_u16()
    }

    /// Repeats the request until the response is as expected, and returns the response.
    pub async fn until(&self, path: &str, token: Option<&str>, good: impl Fn(&str) -> bool) -> String {
        let answered = timeout(SOON, async {
            loop {
                let text = self.ask_as(token, Method::GET, path, None).await.text().await.expect("text");
                if good(&text) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        match answered.await {
            Ok(text) => text,
            Err(_) => {
                let last = self.ask_as(token, Method::GET, path, None).await.text().await.expect("text");
                panic!("{path} is not as expected in time: {last}\n{}", self.log.borrow().join("\n"));
            }
        }
    }

    /// Sends SIGTERM, which must succeed, and returns the log.
    pub async fn terminate(mut self) -> String {
        let pid = self.child.id().expect("running").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("sent").success());
        let status = timeout(SOON, self.child.wait()).await.expect("stopped in time").expect("waited");
        while self.log.changed().await.is_ok() {}
        let log = self.log.borrow().join("\n");
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

fn address(log: &[String]) -> Option<&str> {
    log.iter().find_map(|line| line.split_once("listening address=")?.1.split(' ').next())
}

/// A database of one test.
pub struct Database {
    pub url: String,
    _folder: tempfile::TempDir,
}

#[cfg(not(feature = "postgres"))]
pub async fn database() -> Option<Database> {
    let folder = tempfile::tempdir().expect("a folder");
    Some(Database { url: format!("sqlite://{}", path(folder.path())), _folder: folder })
}

#[cfg(not(feature = "postgres"))]
fn path(folder: &Path) -> String {
    folder.join("app.sqlite").to_str().expect("UTF-8").to_owned()
}

/// A new schema on the server of `JAAS_TEST_POSTGRES_URL`.
#[cfg(feature = "postgres")]
pub async fn database() -> Option<Database> {
    use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};

    let Ok(server) = std::env::var("JAAS_TEST_POSTGRES_URL") else {
        use std::io::Write as _;
        // Written directly, because the test harness captures `eprintln!`.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED here: PostgreSQL, because JAAS_TEST_POSTGRES_URL is not set"
        );
        return None;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let random = Path::new(folder.path()).file_name().expect("a name").to_string_lossy().into_owned();
    let schema = format!("existing_app{}", random.replace('.', "_").to_lowercase());
    let mut connection = AsyncPgConnection::establish(&server).await.expect("connected");
    connection.batch_execute(&format!("CREATE SCHEMA {schema}")).await.expect("created");
    Some(Database { url: format!("{server}?options=-c%20search_path%3D{schema}"), _folder: folder })
}

/// Drops the schema.
#[cfg(feature = "postgres")]
impl Drop for Database {
    fn drop(&mut self) {
        use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};

        let (server, schema) = self.url.split_once("?options=-c%20search_path%3D").expect("made above");
        let (server, drop) = (server.to_owned(), format!("DROP SCHEMA {schema} CASCADE"));
        // In another thread, because the test's own runtime cannot wait here.
        let dropping = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = AsyncPgConnection::establish(&server).await.expect("connected");
                connection.batch_execute(&drop).await.expect("dropped");
            });
        });
        let dropped = dropping.join();
        assert!(dropped.is_ok() || std::thread::panicking());
    }
}

/// A minimal OpenTelemetry collector: it accepts traces.
pub struct Collector {
    pub endpoint: String,
    spans: watch::Receiver<Vec<Span>>,
    server: actix_web::dev::ServerHandle,
}

impl Collector {
    pub fn start() -> Self {
        let (sender, spans) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        let server = HttpServer::new(move || {
            let sender = sender.clone();
            let take = move |body: Bytes| {
                let sender = sender.clone();
                async move {
                    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
                        return HttpResponse::BadRequest().finish();
                    };
                    let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
                    let new: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
                    sender.send_modify(|spans: &mut Vec<Span>| spans.extend(new));
                    HttpResponse::Ok().finish()
                }
            };
            App::new().route("/v1/traces", web::post().to(take))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("bound");
        let endpoint = format!("http://{}", server.addrs()[0]);
        let running = server.run();
        let handle = running.handle();
        tokio::spawn(running);
        Self { endpoint, spans, server: handle }
    }

    pub async fn stop(self) -> Vec<Span> {
        self.server.stop(true).await;
        self.spans.borrow().clone()
    }
}
