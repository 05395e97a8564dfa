//! Options that several commands have.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use jaas_testkit::Signer;
use jaas_testkit::simulator::HttpTarget;

use crate::failure::Failure;
use crate::values;

/// Where to send, and how.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// The URL to post to
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) via: Via,
}

impl To {
    pub(crate) fn target(&self) -> Result<HttpTarget, Failure> {
        self.via.target(&self.url)
    }
}

/// How to send.
#[derive(Debug, Args)]
pub(crate) struct Via {
    /// The value of the Authorization header, sent unchanged
    #[arg(long, value_name = "VALUE", env = "JAAS_WEBHOOK_AUTHORIZATION", hide_env_values = true)]
    authorization: Option<String>,

    /// How long to wait for a response
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = values::duration)]
    pub(crate) timeout: Duration,
}

impl Via {
    pub(crate) fn target(&self, url: &str) -> Result<HttpTarget, Failure> {
        let target = HttpTarget::new(url)?;
        Ok(match &self.authorization {
            Some(value) => target.authorization(value)?,
            None => target,
        })
    }
}

/// The secrets of the endpoint.
#[derive(Debug, Args)]
pub(crate) struct Secrets {
    /// The endpoint's secret, `whsec_` included. Prefer the environment variable: others can see a command line
    #[arg(
        long = "secret",
        value_name = "SECRET",
        env = "JAAS_WEBHOOK_SECRET",
        hide_env_values = true,
        value_delimiter = ','
    )]
    secrets: Vec<String>,
}

impl Secrets {
    pub(crate) fn all(&self) -> &[String] {
        &self.secrets
    }

    /// Signs with the first secret.
    pub(crate) fn signer(&self) -> Result<Signer, Failure> {
        match self.secrets.first() {
            Some(secret) => Ok(Signer::new(secret)?),
            None => Err(Failure::usage(
                "no secret to sign with; pass --secret, or set JAAS_WEBHOOK_SECRET to the endpoint's secret, \
                 whsec_ included",
            )),
        }
    }
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        return read
            .map(|_| bytes)
            .map_err(|error| Failure::usage(format!("cannot read standard input: {error}")));
    }
    std::fs::read(file).map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))
}
