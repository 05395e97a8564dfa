//! The same work by hand, as an application would write it that needs nothing else of this framework.

use std::borrow::Cow;
use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as Queue, mpsc};
use tokio_postgres::{Client, NoTls, Statement};

use crate::server::Database;
use crate::support::SECRET;
use crate::{Process, on_core, started};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    idempotency_key: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fqn: Option<Cow<'a, str>>,
    timestamp: Option<i64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(dead_code)]
struct Participant {
    name: Option<String>,
    email: Option<String>,
    id: Option<String>,
    avatar: Option<String>,
    group: Option<String>,
    participant_jid: Option<String>,
    participant_id: Option<String>,
    conference: Option<String>,
}

/// Whether the signature is good. Once the two headers of it were split, as one does who has read the page.
fn is_genuine(keyed: &Hmac<Sha256>, request: &HttpRequest, body: &[u8]) -> bool {
    let header = request.headers().get("x-jaas-signature").and_then(|value| value.to_str().ok());
    let Some((t, v1)) = header.and_then(|header| header.strip_prefix("t=")?.split_once(",v1=")) else {
        return false;
    };
    let mac = keyed.clone().chain_update(t.as_bytes()).chain_update(b".").chain_update(body);
    STANDARD.decode(v1).is_ok_and(|v1| mac.verify_slice(&v1).is_ok())
}

fn keyed() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET.as_bytes()).unwrap()
}

/// Verifies and parses the envelope; with `handles`, refuses copies and decodes the payload too.
pub(crate) fn verified(handles: bool) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let seen: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let keyed = keyed();
    move |app: &mut ServiceConfig| {
        let (seen, keyed) = (seen.clone(), keyed.clone());
        let handler = move |request: HttpRequest, body: Bytes| {
            let (seen, keyed) = (seen.clone(), keyed.clone());
            async move {
                if !is_genuine(&keyed, &request, &body) {
                    return HttpResponse::Unauthorized().finish();
                }
                let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&body) else {
                    return HttpResponse::BadRequest().finish();
                };
                if handles {
                    let key = envelope.idempotency_key.to_string();
                    if seen.lock().unwrap().insert(key, body.len()).is_none() {
                        let data = envelope.data.map_or("{}", RawValue::get);
                        std::hint::black_box(serde_json::from_str::<Participant>(data).ok());
                    }
                }
                HttpResponse::Ok().finish()
            }
        };
        app.route("/webhooks/jaas", web::post().to(handler));
    }
}

const CREATE: &str = "CREATE TABLE by_hand (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, endpoint TEXT NOT NULL, \
                      idempotency_key TEXT NOT NULL, event_type TEXT NOT NULL, session_id TEXT, fqn TEXT, occurred_at BIGINT, \
                      body BYTEA NOT NULL, body_hash BYTEA NOT NULL, state TEXT NOT NULL, UNIQUE (endpoint, idempotency_key))";
const INSERT: &str = "INSERT INTO by_hand (endpoint, idempotency_key, event_type, session_id, fqn, occurred_at, body, body_hash, \
                      state) VALUES ('main', $1, $2, $3, $4, $5, $6, $7, 'waiting') ON CONFLICT DO NOTHING";

/// One insert for each event, through a pool of 16.
pub(crate) async fn postgres(url: &str) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let (free, connections) = mpsc::unbounded_channel::<(Client, Statement)>();
    for number in 0..16 {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        actix_web::rt::spawn(connection);
        if number == 0 {
            client.batch_execute(CREATE).await.unwrap();
        }
        let insert = client.prepare(INSERT).await.unwrap();
        free.send((client, insert)).unwrap();
    }
    let connections = Arc::new(Queue::new(connections));
    let keyed = keyed();
    move |app: &mut ServiceConfig| {
        let (free, connections, keyed) = (free.clone(), connections.clone(), keyed.clone());
        let handler = move |request: HttpRequest, body: Bytes| {
            let (free, connections, keyed) = (free.clone(), connections.clone(), keyed.clone());
            async move {
                if !is_genuine(&keyed, &request, &body) {
                    return HttpResponse::Unauthorized().finish();
                }
                let Ok(event) = serde_json::from_slice::<Envelope<'_>>(&body) else {
                    return HttpResponse::BadRequest().finish();
                };
                let hash = Sha256::digest(&body);
                let connection = connections.lock().await.recv().await.unwrap();
                let (client, insert) = &connection;
                let (key, kind) = (&*event.idempotency_key, &*event.event_type);
                let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
                    &key,
                    &kind,
                    &event.session_id.as_deref(),
                    &event.fqn.as_deref(),
                    &event.timestamp,
                    &&body[..],
                    &&hash[..],
                ];
                client.execute(insert, &values).await.unwrap();
                free.send(connection).unwrap();
                HttpResponse::Ok().finish()
            }
        };
        app.route("/webhooks/jaas", web::post().to(handler));
    }
}

/// Express and pg, where Node and npm are.
const EXPRESS: &str = r#"
const { createHmac, createHash, timingSafeEqual } = require("node:crypto");
const express = require("express");
const { Pool } = require("pg");
const url = new URL(process.argv[2]);
const options = url.searchParams.get("options"); url.search = "";
const pool = new Pool({ connectionString: url.toString(), options, max: 16 });
const app = express();
app.use(express.raw({ type: "application/json", limit: "1mb" }));
app.post("/webhooks/jaas", async (request, response) => {
  const match = /^t=([0-9]+),v1=(.+)$/.exec(request.get("x-jaas-signature") ?? "");
  if (!match) return response.status(401).end();
  const mac = createHmac("sha256", process.argv[3]).update(match[1] + ".").update(request.body).digest();
  const v1 = Buffer.from(match[2], "base64");
  if (v1.length !== mac.length || !timingSafeEqual(v1, mac)) return response.status(401).end();
  const event = JSON.parse(request.body);
  await pool.query({ name: "insert", text: process.argv[5], values: [event.idempotencyKey, event.eventType, event.sessionId,
    event.fqn, event.timestamp, request.body, createHash("sha256").update(request.body).digest()] });
  response.status(200).end();
});
pool.query(process.argv[4]).then(() => {
  const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
});
process.stdin.on("end", () => process.exit(0)).resume();
"#;

pub(crate) fn express(database: &Database) -> Option<Process> {
    let folder = std::env::current_exe().unwrap().with_file_name("receive-express");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("server.js"), EXPRESS).unwrap();
    if !folder.join("node_modules/pg").exists() || !folder.join("node_modules/express").exists() {
        let install = ["install", "--silent", "--no-audit", "--no-fund", "express@5", "pg@8"];
        let installed = Command::new("npm").args(install).current_dir(&folder).status();
        if !installed.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    let script = folder.join("server.js");
    let mut command = on_core(0, "node");
    Some(started(command.arg(script).args([database.url(), SECRET, CREATE, INSERT])))
}
