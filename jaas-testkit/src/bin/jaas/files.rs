//! `jaas files`.

use std::net::SocketAddr;

use clap::Args;
use jaas_testkit::archive::{FileServer, Reply};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::values;

/// Serves a file under every path, for links of simulated events
#[derive(Debug, Args)]
#[command(after_help = "\
It goes on until it is stopped. Whoever fetches has to be told to fetch from this machine.

Examples:
  jaas files --listen 127.0.0.1:9090 --fail 30% --stall 5% --cut 2%
  jaas simulate --links-to http://127.0.0.1:9090 --url http://127.0.0.1:8080/webhooks/jaas")]
pub(crate) struct Files {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,

    /// How long each file is, in bytes
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000)]
    bytes: usize,

    /// Which part of the requests is answered 503
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    fail: f64,

    /// Which part of the transfers stalls in the middle
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    stall: f64,

    /// Which part of the transfers ends in the middle
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    cut: f64,
}

impl Files {
    pub(crate) async fn run(&self, output: &Output) -> Result<(), Failure> {
        let server = FileServer::start_at(self.listen)
            .await
            .map_err(|error| Failure::usage(format!("cannot listen on {}: {error}", self.listen)))?;
        server.otherwise(self.replies());
        let url = format!("http://{}", server.address());
        output.result(&json!({ "url": url }), || format!("serving {} bytes under {url}/…\n", self.bytes))?;
        std::future::pending().await
    }

    /// A hundred replies, those that fail spread evenly among them.
    fn replies(&self) -> Vec<Reply> {
        let file = Reply::file(vec![b'.'; self.bytes]);
        let middle = self.bytes / 2;
        (0..100_u32)
            .map(|number| {
                // 37 and 100 have no common divisor, so every hundredth comes once.
                let place = f64::from(number * 37 % 100) / 100.0;
                if place < self.fail {
                    Reply::status(503)
                } else if place < self.fail + self.stall {
                    file.clone().stall_after(middle)
                } else if place < self.fail + self.stall + self.cut {
                    file.clone().cut_after(middle)
                } else {
                    file.clone()
                }
            })
            .collect()
    }
}
