//! Database servers that belong to one test: it chooses their settings, stops them and starts them again.
//!
//! Each server runs on a free port, in a folder that is removed with it, and does not flush to the disk.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_diesel::{mysql, postgres};
use tempfile::TempDir;

/// A self-signed certificate for `localhost`.
pub(crate) const CERTIFICATE: &str = include_str!("server.crt");
const KEY: &str = include_str!("server.key");

/// The timeout for installing, starting and stopping a server.
const SOON: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
}

/// The programs of a server.
struct Programs {
    installer: PathBuf,
    server: PathBuf,
}

/// A server that runs until it is dropped.
pub(crate) struct OwnServer {
    kind: Kind,
    folder: TempDir,
    programs: Programs,
    port: u16,
    /// The user that the server runs as when the tests run as root: these servers refuse to run as root.
    user: Option<&'static str>,
    server: Option<Child>,
}

impl OwnServer {
    /// A new, running server with these settings (`name=value`) and an empty database `app`. If servers of this kind are not
    /// tested here, prints that and returns `None`.
    ///
    /// # Panics
    /// When its programs are not installed.
    pub(crate) async fn start(kind: Kind, settings: &[&str]) -> Option<Self> {
        if !is_tested(kind) {
            return None;
        }
        let mut server = Self::with_folder(kind);
        let install = server.install();
        tokio::time::timeout(SOON, server.run(install)).await.expect("it is installed");
        server.start_again(settings).await;
        server.execute("CREATE DATABASE app").await;
        Some(server)
    }

    /// A running standby with these settings that follows this PostgreSQL.
    pub(crate) async fn start_standby(&self, settings: &[&str]) -> Self {
        let mut standby = Self::with_folder(self.kind);
        let mut copy = standby.command(&self.programs.server.with_file_name("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        copy.args(["-R", "--no-sync", "-c", "fast", "-D"]).arg(standby.path("data"));
        tokio::time::timeout(SOON, standby.run(copy)).await.expect("it is copied");
        standby.start_again(settings).await;
        standby
    }

    fn with_folder(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let is_root = std::fs::metadata("/proc/self").expect("readable").uid() == 0;
        let user = is_root.then_some(if kind == Kind::Postgres { "postgres" } else { "mysql" });
        let server = Self { kind, folder, programs: programs(kind), port: free_port(), user, server: None };
        server.owned(server.folder.path(), 0o755);
        for (name, pem) in [("server.crt", CERTIFICATE), ("server.key", KEY)] {
            std::fs::write(server.path(name), pem).expect("written");
            server.owned(&server.path(name), 0o600);
        }
        server
    }

    /// Makes the server's user the owner of this path, with these rights.
    fn owned(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        if let Some(user) = self.user {
            assert!(Command::new("chown").arg(user).arg(path).status().expect("ran").success());
        }
    }

    /// Runs the program that creates the server's files. Dropping the server ends it.
    async fn run(&mut self, mut command: Command) {
        let running = self.server.insert(command.spawn().expect("started"));
        let ended = loop {
            if let Some(ended) = running.try_wait().expect("waited") {
                break ended;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.server = None;
        assert!(ended.success(), "{}", self.log());
    }

    /// Starts a stopped server with these settings, and waits until it accepts connections.
    pub(crate) async fn start_again(&mut self, settings: &[&str]) {
        let mut command = self.command(&self.programs.server);
        match self.kind {
            Kind::Postgres => {
                command.arg("-D").arg(self.path("data")).args(["-p", &self.port.to_string(), "-k"]);
                command.arg(self.folder.path());
                let own = ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB"];
                for setting in own.iter().chain(settings) {
                    command.args(["-c", setting]);
                }
                for (setting, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")] {
                    command.arg("-c").arg(format!("{setting}={}", self.path(file).display()));
                }
            }
            Kind::Mysql => {
                command
                    .args(self.mysql_options())
                    .arg(format!("--socket={}", self.path("socket").display()))
                    .arg(format!("--pid-file={}", self.path("pid").display()))
                    .args([&format!("--port={}", self.port), "--bind-address=127.0.0.1"])
                    .args(settings.iter().map(|setting| format!("--{setting}")))
                    .arg(format!("--ssl-cert={}", self.path("server.crt").display()))
                    .arg(format!("--ssl-key={}", self.path("server.key").display()));
            }
        }
        self.server = Some(command.spawn().expect("started"));
        let started = Instant::now();
        while !self.answers().await {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().expect("waited"));
            assert!(ended.is_none(), "it ended: {}", self.log());
            assert!(started.elapsed() < SOON, "it does not accept connections: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it as in a power cut, and waits until it is gone.
    pub(crate) fn stop(&mut self) {
        // A PostgreSQL that is killed leaves shared memory behind.
        self.signal(if self.kind == Kind::Postgres { "-QUIT" } else { "-KILL" });
    }

    /// Shuts the server down, and waits until it is gone.
    pub(crate) fn shut_down(&mut self) {
        self.signal(if self.kind == Kind::Postgres { "-INT" } else { "-TERM" });
    }

    fn signal(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else { return };
        let _ = Command::new("kill").args([signal, &server.id().to_string()]).status();
        let asked = Instant::now();
        while matches!(server.try_wait(), Ok(None)) {
            if asked.elapsed() > SOON {
                let _ = server.kill();
                let _ = server.wait();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        match self.kind {
            Kind::Postgres => self.path(&format!(".s.PGSQL.{}", self.port)),
            Kind::Mysql => self.path("socket"),
        }
    }

    /// The address of its database `app`, for the superuser.
    pub(crate) fn address(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{}/app", self.port),
            Kind::Mysql => format!("mysql://root@127.0.0.1:{}/app", self.port),
        }
    }

    /// Executes this in the database that comes with the server.
    pub(crate) async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn try_execute(&self, sql: &str) -> diesel::QueryResult<()> {
        match self.kind {
            Kind::Postgres => {
                let mut connection = self.postgres().await.expect("connected");
                connection.batch_execute(sql).await
            }
            Kind::Mysql => {
                let mut connection = self.mysql().await.expect("connected");
                connection.batch_execute(sql).await
            }
        }
    }

    /// Executes these one after the other; some of them cannot be sent together.
    pub(crate) async fn execute_each(&self, statements: &str) {
        for statement in statements.split("; ") {
            self.execute(statement).await;
        }
    }

    async fn answers(&self) -> bool {
        match self.kind {
            Kind::Postgres => self.postgres().await.is_ok(),
            // A node of a cluster accepts connections before it accepts statements.
            Kind::Mysql => match self.mysql().await {
                Ok(mut connection) => connection.batch_execute("SELECT 1 FROM mysql.user").await.is_ok(),
                Err(_) => false,
            },
        }
    }

    async fn postgres(&self) -> diesel::ConnectionResult<postgres::Connection> {
        let address = self.address().replace("/app", "/postgres");
        postgres::Connection::establish(&address).await
    }

    /// Through the socket, which does not depend on the network settings.
    async fn mysql(&self) -> diesel::ConnectionResult<mysql::Connection> {
        let socket = self.socket();
        let address = format!("mysql://root@localhost/mysql?socket={}", socket.display());
        mysql::Connection::establish(&address).await
    }

    /// The command that creates the server's files.
    fn install(&self) -> Command {
        let mut install = self.command(&self.programs.installer);
        match self.kind {
            Kind::Postgres => {
                let encoding = ["-E", "UTF8", "--locale=C"];
                install.args(["-U", "postgres", "-A", "trust", "-N"]).args(encoding).arg("-D");
                install.arg(self.path("data"));
            }
            Kind::Mysql => {
                install.args(self.mysql_options());
                if self.programs.installer == self.programs.server {
                    install.arg("--initialize-insecure");
                } else {
                    install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
                }
            }
        }
        install
    }

    fn mysql_options(&self) -> Vec<String> {
        let data = format!("--datadir={}", self.path("data").display());
        // A starting server removes every temporary table that it finds, also those of other servers.
        let temporary = format!("--tmpdir={}", self.folder.path().display());
        // A server ignores an unknown option that begins with `loose`.
        [
            "--no-defaults",
            &data,
            &temporary,
            "--innodb-buffer-pool-size=16M",
            "--loose-innodb-log-file-size=8M",
        ]
        .into_iter()
        .chain(["--loose-debug-no-sync", "--loose-innodb-redo-log-capacity=8M"])
        .map(str::to_owned)
        .collect()
    }

    /// A command under the right user, whose output goes to the log.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self.user {
            // It becomes the program, so that its process is the server's.
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--init-groups"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let copy = log.try_clone().expect("a log");
        command.stdin(Stdio::null()).stdout(log).stderr(copy).current_dir(self.folder.path());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether servers of this kind are tested here. If not, prints that, past the capture of output.
fn is_tested(kind: Kind) -> bool {
    let (variable, server) = match kind {
        Kind::Postgres => ("JAAS_TEST_POSTGRES_URL", "PostgreSQL"),
        Kind::Mysql => ("JAAS_TEST_MYSQL_URL", "MySQL and MariaDB"),
    };
    let is_set = std::env::var_os(variable).is_some();
    if !is_set {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED here: {test}, which starts {server} itself, because {variable} is not set"
        );
    }
    is_set
}

fn programs(kind: Kind) -> Programs {
    let pairs: &[(&str, &str)] = match kind {
        Kind::Postgres => &[("initdb", "postgres")],
        // MySQL installs itself.
        Kind::Mysql => &[("mariadb-install-db", "mariadbd"), ("mysqld", "mysqld")],
    };
    let found = pairs.iter().find_map(|(installer, server)| {
        // All programs must be of one version, so they come from one folder.
        folders().into_iter().find_map(|folder| {
            // The other programs are beside the target of a link.
            let server = folder.join(server).canonicalize().ok()?;
            let beside = server.with_file_name(installer);
            let installer = if beside.is_file() { beside } else { program(installer)? };
            Some(Programs { installer, server })
        })
    });
    found.unwrap_or_else(|| {
        let package = if kind == Kind::Postgres { "postgresql" } else { "mariadb-server" };
        panic!(
            "the tests start servers of their own, and found none of {pairs:?} in the PATH: install the package {package}, or \
             unset the address of its server for the tests to leave it out"
        )
    })
}

fn program(name: &str) -> Option<PathBuf> {
    folders().into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The search path, and the folders in which distributions put the servers.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders
}

/// A free port outside the range of outgoing connections, so that none takes it while the server is away.
fn free_port() -> u16 {
    use std::hash::{BuildHasher as _, RandomState};
    let start = RandomState::new().hash_one(0) % 10_000;
    (0..10_000)
        .map(|number| 20_000 + ((start + number) % 10_000) as u16)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
