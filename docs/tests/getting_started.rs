//! Follows the page "Getting started" as a newcomer would: outside the workspace, and only as the page says.
//!
//! It compiles everything again, so `cargo test` skips it (`test = false` in Cargo.toml). `.ci/check-getting-started` runs it.
#![cfg(unix)]
#![allow(dead_code, clippy::expect_used, clippy::panic)]

#[path = "book/markdown.rs"]
mod markdown;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use self::markdown::{Page, root};

/// A cold build of everything on a slow machine.
const BUILD: Duration = Duration::from_secs(1800);
/// The timeout for everything but a build.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_the_page_says_builds_passes_its_test_and_receives_a_signed_event() {
    let page = Page::read(Path::new("docs/getting-started.md"));
    let newcomer = Newcomer::new(page);

    newcomer.done("cargo new", BUILD).await;
    newcomer.write_files();
    let tested = newcomer.done("cargo test", BUILD).await;
    assert!(tested.contains("test tests::a_participant_with_a_name_is_greeted ... ok"), "{tested}");

    // The page installs the command, which would be a release build in the tester's home.
    newcomer.build_the_command().await;
    let mut server = newcomer.start().await;

    let sent = newcomer.done_with(&server, "jaas send PARTICIPANT_JOINED", "--set data.name=Ada").await;
    assert!(sent.status.success() && printed(&sent).contains(" 200 "), "{}", printed(&sent));
    assert_eq!(server.line().await, "Ada joined math");

    for _ in 0..2 {
        let sent = newcomer.done_by_hand(&server).await;
        assert!(sent.status.success() && printed(&sent).contains(" 200 "), "{}", printed(&sent));
    }
    assert_eq!(server.line().await, "Grace joined math");

    let forged = newcomer.done_with(&server, "jaas send", "of_a_stranger").await;
    assert_eq!(forged.status.code(), Some(1), "{}", printed(&forged));
    assert!(printed(&forged).contains(" 401 "), "{}", printed(&forged));
    server.logs("no v1 of the signature header matches").await;

    // Nothing was printed for the second copy, nor for the forged event.
    assert_eq!(server.terminate().await, (vec!["stopped".to_owned()], Some(0)));
}

/// Returns what a command wrote, on both streams.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

struct Newcomer {
    page: Page,
    /// An empty folder, with the workspace in it as `jaas`. Always the same path, so that earlier builds stay valid.
    folder: tempfile::TempDir,
    target: PathBuf,
    /// Held while the folder is in use.
    _lock: File,
}

impl Newcomer {
    fn new(page: Page) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("getting-started");
        fs::create_dir_all(&target).expect("a folder for what is built");
        let lock = File::create(target.join("in-use")).expect("a file");
        lock.try_lock().expect("no other run of this test");
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let name = format!("jaas-getting-started-{:016x}", hasher.finish());
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(env::temp_dir().join(&name));
        let folder = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().expect("a folder");
        symlink(root(), folder.path().join("jaas")).expect("a link");
        Self { page, folder, target, _lock: lock }
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("meetings")
    }

    /// Returns the block of shell commands that contains these words.
    fn block(&self, words: &[&str]) -> &str {
        let has = |text: &str| words.iter().all(|word| text.contains(word));
        let block = self.page.blocks.iter().find(|block| block.language() == "sh" && has(&block.text));
        &block.unwrap_or_else(|| panic!("the page has no commands with {words:?}")).text
    }

    fn shell(&self, script: &str, folder: &Path) -> Command {
        let cargo = PathBuf::from(env::var_os("CARGO").unwrap_or_else(|| OsString::from(env!("CARGO"))));
        let mut path: Vec<PathBuf> = vec![self.target.join("debug")];
        path.extend(cargo.parent().map(Path::to_owned));
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new("sh");
        command
            .args(["-ec", script])
            .current_dir(folder)
            .env("PATH", env::join_paths(path).expect("a path"))
            // Nothing is downloaded, and little is written: everything is in the workspace's lock file.
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_COLOR", "never")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, script: &str, folder: &Path, limit: Duration) -> Output {
        let output = timeout(limit, self.shell(script, folder).output()).await;
        output.unwrap_or_else(|_| panic!("not done after {limit:?}: {script}")).expect("a shell")
    }

    /// Runs the commands of a block, and returns their output.
    async fn done(&self, words: &str, limit: Duration) -> String {
        let folder = if self.project().exists() { self.project() } else { self.folder.path().to_owned() };
        let output = self.output(self.block(&[words]), &folder, limit).await;
        assert!(output.status.success(), "{words}: {}", printed(&output));
        printed(&output)
    }

    /// Runs the commands of a block against this server instead of the page's address.
    async fn done_with(&self, server: &Server, words: &str, more: &str) -> Output {
        let script = self.block(&[words, more]).replace("127.0.0.1:8080", &server.address);
        let secret = self.block(&["cargo run"]).lines().next().unwrap_or_default();
        self.output(&format!("{secret}\n{script}"), &self.project(), SOON).await
    }

    /// Runs the recipe with `openssl` and `curl`. If they are missing, sends the same bytes with the `jaas` command.
    async fn done_by_hand(&self, server: &Server) -> Output {
        let tools = self.output("command -v openssl && command -v curl", self.folder.path(), SOON).await;
        if tools.status.success() {
            return self.done_with(server, "openssl", "curl").await;
        }
        let recipe = self.block(&["openssl", "curl"]);
        let body = recipe.split('\'').nth(1).expect("a body between quotes");
        fs::write(self.project().join("body.json"), body).expect("written");
        let secret = self.block(&["cargo run"]).lines().next().unwrap_or_default();
        let send =
            format!("{secret}\njaas send --file body.json --url http://{}/webhooks/jaas", server.address);
        self.output(&send, &self.project(), SOON).await
    }

    /// Writes each block whose first line is a comment with the name of a file.
    fn write_files(&self) {
        let mut written = Vec::new();
        for block in &self.page.blocks {
            let first = block.text.lines().next().unwrap_or_default();
            let name = match block.language() {
                "rust" => first.strip_prefix("// "),
                "toml" => first.strip_prefix("# "),
                _ => None,
            };
            if let Some(name) = name.filter(|name| !name.contains(' ')) {
                fs::write(self.project().join(name), &block.text).expect("written");
                written.push(name);
            }
        }
        assert_eq!(written, ["Cargo.toml", "src/main.rs"]);
        // The versions that were downloaded for the workspace.
        fs::copy(root().join("Cargo.lock"), self.project().join("Cargo.lock")).expect("copied");
    }

    /// Builds the command, or takes the one in `JAAS_COMMAND`, which the tests of the workspace have built of the same source.
    async fn build_the_command(&self) {
        assert!(self.block(&["cargo install"]).contains("../jaas/jaas-testkit --features cli"));
        if let Some(built) = env::var_os("JAAS_COMMAND") {
            let installed = self.target.join("debug").join("jaas");
            fs::create_dir_all(self.target.join("debug")).expect("a folder");
            fs::copy(&built, installed).unwrap_or_else(|error| panic!("JAAS_COMMAND={built:?}: {error}"));
            return;
        }
        let build = "cargo build --manifest-path ../jaas/jaas-testkit/Cargo.toml --features cli --bin jaas";
        let output = self.output(build, &self.project(), BUILD).await;
        assert!(output.status.success(), "{}", printed(&output));
    }

    /// `cargo run`, but so that a signal reaches the program and not cargo.
    async fn start(&self) -> Server {
        let built = self.output("cargo build", &self.project(), BUILD).await;
        assert!(built.status.success(), "{}", printed(&built));
        let run = self.block(&["cargo run"]).replace("cargo run", "exec meetings");
        let mut child = self
            .shell(&run, &self.project())
            .env("JAAS_BIND", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut server = Server { child, stdout, stderr, address: String::new() };
        let line = server.line().await;
        let address = line.strip_prefix("listening on http://").and_then(|rest| rest.split_once('/'));
        server.address = address.unwrap_or_else(|| panic!("{line}")).0.to_owned();
        server
    }
}

struct Server {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
    address: String,
}

impl Server {
    /// Returns the next line that the server prints.
    async fn line(&mut self) -> String {
        match next(&mut self.stdout).await {
            Some(line) => line,
            None => panic!("the server has ended: {:?}", rest(&mut self.stderr).await),
        }
    }

    /// Waits for a line in the log that has this word.
    async fn logs(&mut self, word: &str) {
        while let Some(line) = next(&mut self.stderr).await {
            if line.contains(word) {
                return;
            }
        }
        panic!("the log has no {word}");
    }

    /// Sends SIGTERM, and returns the remaining output and the exit code.
    async fn terminate(mut self) -> (Vec<String>, Option<i32>) {
        let pid = self.child.id().expect("running").to_string();
        let sent = timeout(SOON, Command::new("kill").args(["-TERM", &pid]).status()).await;
        assert!(sent.expect("sent in time").expect("sent").success());
        let printed = rest(&mut self.stdout).await;
        (printed, timeout(SOON, self.child.wait()).await.expect("ended in time").expect("waited for").code())
    }
}

async fn next(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> Option<String> {
    timeout(SOON, lines.next_line()).await.expect("a line in time").expect("read")
}

async fn rest(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> Vec<String> {
    let mut rest = Vec::new();
    while let Some(line) = next(lines).await {
        rest.push(line);
    }
    rest
}
