//! Who acts, and why.

use clap::Args;
use jaas_core::store::AuditNote;

use crate::failure::Failure;

/// Who acts, and why; for the audit.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Who acts. Defaults to the environment variable USER
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    operator: Option<String>,

    /// Why; the audit keeps it forever, so do not write personal data into it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Operator {
    pub(super) fn note(&self) -> Result<AuditNote, Failure> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let Some(reason) = given(&self.reason) else {
            return Err(Failure::usage("this is recorded in the audit; pass --reason with why you do it"));
        };
        let Some(operator) = given(&self.operator) else {
            return Err(Failure::usage("this is recorded in the audit; pass --operator with your name"));
        };
        Ok(AuditNote::new(operator, reason))
    }
}
