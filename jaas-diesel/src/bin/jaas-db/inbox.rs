//! `jaas inbox`.

mod act;
mod events;
mod groups;
mod operator;
mod show;
mod stats;

use clap::{Args, Subcommand};
use jaas_core::store::EventAdmin;

use crate::database::{Database, with_store};
use crate::failure::Failure;
use crate::output::Output;

/// Lists, explains, replays and discards the events of an inbox
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export DATABASE_URL=postgres://app@localhost/app
  jaas inbox stats
  jaas inbox list --state dead --from 2h
  jaas inbox explain 5d3a1f0e-4c0b-4f0e-9a51-2f6f3f1f7c11
  jaas inbox groups
  jaas inbox replay --group 9c1185a5c5e9fc54 --reason 'the archive has space again'
  jaas inbox show 4711 --reveal --reason 'the customer asks'")]
pub(crate) struct Inbox {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(events::List),
    Show(show::Show),
    Explain(show::Explain),
    Groups(groups::Groups),
    Replay(act::Replay),
    Discard(act::Discard),
    Stats(stats::Stats),
}

impl Inbox {
    pub(crate) async fn run(&self, database: &Database, output: &Output) -> Result<(), Failure> {
        with_store!(database, store => self.on(&store, output))
    }

    async fn on<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        match &self.command {
            Command::List(list) => list.run(store, output).await,
            Command::Show(show) => show.run(store, output).await,
            Command::Explain(explain) => explain.run(store, output).await,
            Command::Groups(groups) => groups.run(store, output).await,
            Command::Replay(replay) => replay.run(store, output).await,
            Command::Discard(discard) => discard.run(store, output).await,
            Command::Stats(stats) => stats.run(store, output).await,
        }
    }
}
