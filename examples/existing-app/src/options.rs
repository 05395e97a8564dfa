//! The configuration of the process.

use std::env;
use std::error::Error;

use crate::auth::Token;
use crate::database;

pub(crate) struct Options {
    pub(crate) bind: String,
    pub(crate) database: String,
    pub(crate) token: Token,
    pub(crate) secrets: Vec<String>,
    pub(crate) otlp: Option<String>,
}

impl Options {
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let otlp = match arguments.as_slice() {
            [] => None,
            [flag, endpoint] if flag == "--otlp" => Some(endpoint.clone()),
            _ => return Err("usage: existing-app [--otlp http://<host of a collector>:4318]".into()),
        };
        let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
        Ok(Self {
            bind: env::var("BIND").unwrap_or_else(|_| "127.0.0.1:8080".to_owned()),
            database: env::var("DATABASE_URL").unwrap_or_else(|_| database::DEFAULT_URL.to_owned()),
            token: Token::new(variable("APP_TOKEN")?)?,
            secrets: variable("JAAS_WEBHOOK_SECRET")?.split(',').map(str::to_owned).collect(),
            otlp,
        })
    }
}
