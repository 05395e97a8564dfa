//! `jaas`: plays the sender. It sends, simulates, asks, verifies and prints what JaaS sends, and reads its statistics
//! files. Commands that need a database are run by the program `jaas-db`.

mod completions;
mod database;
mod failure;
mod files;
mod fixtures;
mod options;
mod output;
mod rtcstats;
mod send;
mod settings;
mod simulate;
mod values;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::Failure;
use self::output::Output;

/// A stand-in for 8x8 JaaS: sends webhooks to your server as JaaS would, and explains why one was refused.
#[derive(Debug, Parser)]
#[command(name = "jaas", version, propagate_version = true, after_help = EXIT_CODES, after_long_help = EXAMPLES)]
struct Cli {
    /// Writes one JSON value to standard output instead of readable text.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(send::Send),
    Simulate(simulate::Simulate),
    Files(files::Files),
    Settings(settings::Settings),
    Verify(verify::Verify),
    Fixtures(fixtures::Fixtures),
    Rtcstats(rtcstats::Rtcstats),
    Completions(completions::Completions),
    /// Lists, explains, replays and discards the events of a database (needs the program jaas-db)
    #[command(disable_help_flag = true)]
    Inbox(database::Arguments),
    /// Lists what should have come and did not, as the watch found it (needs the program jaas-db)
    #[command(disable_help_flag = true)]
    Gaps(database::Arguments),
    /// Lists what JaaS sends and this version does not know (needs the program jaas-db)
    #[command(disable_help_flag = true)]
    Drift(database::Arguments),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure: refused, not valid, too slow, not delivered
  2  wrong usage: an unknown option, a file that cannot be read
  3  no response: the server is not running, or hangs up";

const EXAMPLES: &str = "\
Exit codes:
  0  success
  1  failure: refused, not valid, too slow, not delivered
  2  wrong usage: an unknown option, a file that cannot be read
  3  no response: the server is not running, or hangs up

Examples:
  export JAAS_WEBHOOK_SECRET=whsec_…
  jaas send PARTICIPANT_JOINED --url http://127.0.0.1:8080/webhooks/jaas --set data.name=Ada
  jaas simulate --url http://127.0.0.1:8080/webhooks/jaas --meetings 200 --participants 2..30 \\
      --rate 500 --duplicates 5% --shuffle 30% --seed 7 --expect --report out.json
  jaas settings --url http://127.0.0.1:8080/webhooks/jaas --fqn vpaas-magic-cookie-1/math
  jaas verify --body body.json --header 't=1760000000,v1=…'
  jaas fixtures POLL_CREATED
  jaas rtcstats stats.gz summary
  jaas inbox --database postgres://app@localhost/app list --state dead";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    match run(cli.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                output.complain(message);
            }
            failure.code().into()
        }
    }
}

fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Send(send) => wait_for(send.run(output)),
        Command::Simulate(simulate) => wait_for(simulate.run(output)),
        Command::Files(files) => wait_for(files.run(output)),
        Command::Settings(settings) => wait_for(settings.run(output)),
        Command::Verify(verify) => verify.run(output),
        Command::Fixtures(fixtures) => fixtures.run(output),
        Command::Rtcstats(rtcstats) => rtcstats.run(output),
        Command::Completions(completions) => completions.run(output),
        Command::Inbox(arguments) => arguments.run("inbox", output),
        Command::Gaps(arguments) => arguments.run("gaps", output),
        Command::Drift(arguments) => arguments.run("drift", output),
    }
}

fn wait_for(task: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::usage(format!("cannot start the async runtime: {error}")))?
        .block_on(task)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
