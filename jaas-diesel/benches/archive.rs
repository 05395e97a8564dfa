//! What the archive costs: memory while large files are fetched, and the time to accept events meanwhile.
//!
//! `cargo bench -p jaas-diesel --all-features --bench archive`; `-- memory` or `-- accept` for one of the two, and
//! `JAAS_TEST_POSTGRES_URL` for PostgreSQL. The server of files and the archiver whose memory is measured are separate
//! processes of this program.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "archive/accept.rs"]
mod accept;
#[path = "archive/files.rs"]
mod files;
#[path = "archive/memory.rs"]
mod memory;
mod support;

/// Which of the processes this is; without it, the one that was started by hand.
const ROLE: &str = "JAAS_BENCH_ROLE";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match std::env::var(ROLE).as_deref() {
            Ok("files") => return files::serve().await,
            Ok("memory") => return memory::measured().await,
            _ => {}
        }
        if support::wanted("memory") {
            memory::measure().await;
        }
        if support::wanted("accept") {
            accept::measure().await;
        }
    });
}
