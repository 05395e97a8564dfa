//! `jaas-db`: the commands of `jaas` that need a database. `jaas inbox …` runs `jaas-db inbox …`.

mod database;
mod drift;
mod failure;
mod gaps;
mod inbox;
mod output;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::database::Database;
use self::failure::Failure;
use self::output::Output;

/// Looks into the database of an application that receives 8x8 JaaS webhooks, and repairs it. `jaas` runs this command
/// for its subcommands that need a database.
#[derive(Debug, Parser)]
#[command(name = "jaas", bin_name = "jaas", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    /// Writes one JSON value to standard output instead of readable text
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    database: Database,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inbox(Box<inbox::Inbox>),
    Gaps(gaps::Gaps),
    Drift(drift::Drift),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure: not found, or refused by the store
  2  wrong usage: an unknown option, an address that is not one
  3  the database cannot be opened, or does not respond in time";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    match run(&cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                output.complain(message);
            }
            failure.code().into()
        }
    }
}

fn run(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::usage(format!("cannot start the async runtime: {error}")))?;
    runtime.block_on(async {
        match &cli.command {
            Command::Inbox(inbox) => inbox.run(&cli.database, output).await,
            Command::Gaps(gaps) => gaps.run(&cli.database, output).await,
            Command::Drift(drift) => drift.run(&cli.database, output).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
