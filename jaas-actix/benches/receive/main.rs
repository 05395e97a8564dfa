//! What a request costs over HTTP, as shares of a bare actix handler in the same run; beside it the same work by hand.
//!
//! `cargo bench -p jaas-actix --bench receive`, with `JAAS_TEST_POSTGRES_URL` and `JAAS_TEST_MYSQL_URL` for the servers.
//! Words after `--` choose subjects by a part of their name; a number sets the repeats (3). The server has its own
//! process with one worker thread, and so does the load: 64 connections that send the examples of 8x8's page, each with its own
//! key. Where `taskset` is, each has a core. The subjects take turns; the median of the repeats counts.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod by_hand;
mod load;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

const CONNECTIONS: usize = 64;

/// What is measured, and with which of the others it is compared besides the bare handler.
const SUBJECTS: &[(&str, Option<&str>)] = &[
    ("bare", None),
    ("by hand: verified", None),
    ("verified, stub dispatcher", None),
    ("by hand: verified, dedup, payload", None),
    ("Direct, typed payload", None),
    ("Direct, recorder and WARN", None),
    ("SQLite", None),
    ("by hand: PostgreSQL, pool of 16", None),
    ("PostgreSQL", Some("by hand: PostgreSQL, pool of 16")),
    ("Express and pg, pool of 16", None),
    ("MySQL or MariaDB", None),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", subject, database] => return server::serve(subject, database),
        ["load", port, seconds] => return load::load(port.parse().unwrap(), seconds.parse().unwrap()),
        _ => {}
    }
    let repeats = words.iter().find_map(|word| word.parse().ok()).unwrap_or(3);
    let named: Vec<&String> = words.iter().filter(|word| word.parse::<usize>().is_err()).collect();
    let wanted = |subject: &str| {
        named.is_empty() || subject == "bare" || named.iter().any(|name| subject.contains(name.as_str()))
    };
    let mut rates: Vec<(&str, Option<&str>, Vec<load::Speed>)> = Vec::new();
    for (subject, against) in SUBJECTS.iter().filter(|(subject, _)| wanted(subject)) {
        rates.push((subject, *against, Vec::new()));
    }
    for _ in 0..repeats {
        for (subject, _, speeds) in &mut rates {
            speeds.extend(measured(subject));
        }
    }
    let median = |subject: &str| {
        let (.., speeds) = rates.iter().find(|(name, ..)| *name == subject)?;
        let mut speeds = speeds.clone();
        speeds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        speeds.get(speeds.len() / 2).copied()
    };
    let bare = median("bare").expect("the bare handler was measured");
    println!("{:<36} {:>10} {:>9} {:>9} {:>8}", "", "requests/s", "p50", "p99", "of bare");
    for (subject, against, _) in &rates {
        let Some(load::Speed { rate, p50, p99 }) = median(subject) else {
            println!("{subject:<36} not here");
            continue;
        };
        print!(
            "{subject:<36} {rate:>10.0} {:>6.1} ms {:>6.1} ms {:>8.2}",
            p50 * 1e3,
            p99 * 1e3,
            rate / bare.rate
        );
        for other in against.iter().chain((*subject == "PostgreSQL").then_some(&"Express and pg, pool of 16"))
        {
            if let Some(other_speed) = median(other) {
                print!("   {:.1} x {other}", rate / other_speed.rate);
            }
        }
        println!();
    }
}

/// One repeat of a subject; `None` when what it needs is not here.
fn measured(subject: &str) -> Option<load::Speed> {
    let database = server::Database::of(subject)?;
    let mut server = if subject.starts_with("Express") {
        by_hand::express(&database)?
    } else {
        spawn(0, &["serve", subject, database.url()])
    };
    let mut port = String::new();
    BufReader::new(server.child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let mut load = spawn(1, &["load", port.trim(), "2"]);
    let mut line = String::new();
    BufReader::new(load.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    load.child.wait().unwrap();
    // The server ends with its input.
    drop(server.input.take());
    server.child.wait().unwrap();
    let figures: Vec<f64> = line.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    let [rate, p50, p99] = figures[..] else { panic!("the load of {subject} has failed: {line:?}") };
    Some(load::Speed { rate, p50, p99 })
}

/// A process, killed when it is dropped before its end.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program again, on its own core where that can be had.
fn spawn(core: usize, arguments: &[&str]) -> Process {
    let this = std::env::current_exe().unwrap();
    let mut command = on_core(core, this.to_str().unwrap());
    started(command.args(arguments))
}

fn on_core(core: usize, program: &str) -> Command {
    let here = Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !here.is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string(), program]);
    command
}

fn started(command: &mut Command) -> Process {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    Process { input: child.stdin.take(), child }
}
