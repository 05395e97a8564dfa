//! `jaas completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;
use crate::output::Output;

/// Prints completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jaas completions bash > ~/.local/share/bash-completion/completions/jaas
  jaas completions zsh > ~/.zfunc/_jaas
  jaas completions fish > ~/.config/fish/completions/jaas.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "jaas", &mut script);
        Ok(output.write(&script)?)
    }
}
