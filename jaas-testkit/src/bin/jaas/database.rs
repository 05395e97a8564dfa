//! Commands that need a database. The program `jaas-db` of the crate jaas-diesel runs them, as git and cargo run their
//! subcommands, so that this crate depends on no database.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::failure::Failure;
use crate::output::Output;

/// The arguments of such a command, which `jaas-db` parses.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// See its --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl Arguments {
    pub(crate) fn run(&self, subcommand: &str, output: &Output) -> Result<(), Failure> {
        run(subcommand, &self.arguments, output)
    }
}

/// Runs `jaas-db` with this subcommand, and ends as it ended.
fn run(subcommand: &str, arguments: &[OsString], output: &Output) -> Result<(), Failure> {
    let program = program();
    let mut command = Command::new(&program);
    if output.is_json() {
        command.arg("--json");
    }
    let status = command.arg(subcommand).args(arguments).status().map_err(|error| {
        Failure::usage(format!(
            "jaas {subcommand} is run by the program jaas-db, and {} cannot be run ({error}); install it beside this one \
             with cargo install jaas-diesel --features command,sqlite,postgres,mysql",
            program.display()
        ))
    })?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::exited(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::no("jaas-db was ended by a signal")),
    }
}

/// The program beside this one, or, if there is none, that of PATH.
fn program() -> PathBuf {
    let name = format!("jaas-db{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|this| Some(this.parent()?.join(&name)));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| name.into())
}
