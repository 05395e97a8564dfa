//! Database servers that the tests start and stop themselves.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_diesel::mysql;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::database::{Database, Kind};
use super::{not_tested, until};

const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Instance {
    kind: Kind,
    folder: TempDir,
    program: PathBuf,
    port: u16,
    /// The user it runs as if the tests run as root, because these servers refuse to run as root.
    user: Option<&'static str>,
    server: Option<Child>,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It closes its connections and writes its data.
    Fast,
    /// Like a power cut.
    Immediate,
}

impl Instance {
    /// Starts a new server. If its programs are not installed, prints that and returns `None`.
    pub(crate) async fn create(kind: Kind) -> Option<Self> {
        let (installer, server) = match kind {
            Kind::Postgres => ("initdb", "postgres"),
            _ => ("mariadb-install-db", "mariadbd"),
        };
        let (Some(installer), Some(program)) = (program(installer), program(server)) else {
            not_tested(
                &format!("the outage of {kind:?}"),
                &format!("{installer} and {server} are not installed"),
            );
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let is_root = std::fs::metadata("/proc/self").expect("readable").uid() == 0;
        let user = is_root.then_some(if kind == Kind::Postgres { "postgres" } else { "mysql" });
        if let Some(user) = user {
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("opened");
            let own = Command::new("chown").arg(user).arg(folder.path()).status().await.expect("ran");
            assert!(own.success(), "the folder belongs to {user}");
        }
        let mut instance = Self { kind, folder, program, port: free_port(), user, server: None };
        let mut install = instance.command(&installer);
        match kind {
            Kind::Postgres => install.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "-N", "-D"]),
            _ => {
                install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            }
        };
        match kind {
            Kind::Postgres => install.arg(instance.path("data")),
            _ => install.arg(format!("--datadir={}", instance.path("data").display())),
        };
        let installed = install.status().await.expect("ran");
        assert!(installed.success(), "{}", instance.log());
        instance.start().await;
        until("the server is reachable", SOON, async || instance.is_reachable().await).await;
        if kind != Kind::Postgres {
            let mut connection =
                mysql::Connection::establish(&instance.server_url()).await.expect("connected");
            connection.batch_execute("CREATE DATABASE app").await.expect("created");
        }
        Some(instance)
    }

    pub(crate) fn database(&self) -> Database {
        let url = self.server_url();
        Database::at(self.kind, if self.kind == Kind::Postgres { url } else { url.replace("/mysql", "/app") })
    }

    fn server_url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{}/postgres", self.port),
            _ => format!("mysql://root@127.0.0.1:{}/mysql", self.port),
        }
    }

    async fn is_reachable(&self) -> bool {
        Database::at(self.kind, self.server_url()).answers().await
    }

    /// Starts it, without waiting until it is reachable.
    pub(crate) async fn start(&mut self) {
        let mut command = self.command(&self.program);
        match self.kind {
            Kind::Postgres => command
                .arg("-D")
                .arg(self.path("data"))
                .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-k"])
                .arg(self.folder.path()),
            _ => command
                .arg("--no-defaults")
                .arg(format!("--datadir={}", self.path("data").display()))
                .arg(format!("--socket={}", self.path("socket").display()))
                .arg(format!("--pid-file={}", self.path("pid").display()))
                .args([&format!("--port={}", self.port), "--bind-address=127.0.0.1"]),
        };
        self.server = Some(command.spawn().expect("started"));
    }

    /// Stops it, and waits until it is gone.
    pub(crate) async fn stop(&mut self, how: Stop) {
        let mut server = self.server.take().expect("running");
        let signal = match (self.kind, how) {
            (Kind::Postgres, Stop::Fast) => "-INT",
            (Kind::Postgres, Stop::Immediate) => "-QUIT",
            (_, Stop::Fast) => "-TERM",
            (_, Stop::Immediate) => "-KILL",
        };
        let pid = server.id().expect("running").to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.expect("sent").success());
        let ended = timeout(SOON, server.wait()).await;
        ended.unwrap_or_else(|_| panic!("it ends: {}", self.log())).expect("waited");
    }

    /// Returns a command that runs as the right user, with its output in the log.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self.user {
            // `setpriv` replaces itself by the program, so this process is the server.
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--init-groups"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let copy = log.try_clone().expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Returns where a program is: in the path, or where distributions put servers.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Returns a free port that is not assigned to a connection by chance while the server is down.
fn free_port() -> u16 {
    use std::hash::{BuildHasher as _, RandomState};
    let start = RandomState::new().hash_one(0) % 10_000;
    (0..10_000)
        .map(|number| 20_000 + ((start + number) % 10_000) as u16)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
