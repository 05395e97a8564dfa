//! A proxy before a server. It can cut a connection after a statement has reached the server and before the reply comes back.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// Which reply never comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The reply to a statement that contains this text.
    pub(crate) at: &'static str,
    /// The reply to a commit, on a connection that has sent a statement with this text since its transaction began.
    pub(crate) after: &'static str,
}

#[derive(Default)]
struct State {
    cut: Mutex<Option<Cut>>,
    done: Notify,
    notices: Mutex<Vec<Vec<u8>>>,
    /// How many requests of all connections PostgreSQL has not yet finished.
    unanswered: watch::Sender<i64>,
    away: watch::Sender<bool>,
}

/// Forwards bytes in both directions.
#[derive(Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    /// The server that new connections lead to.
    server: watch::Sender<String>,
}

impl Proxy {
    /// A proxy before the server in this address of PostgreSQL or MySQL.
    pub(crate) async fn start(server: &str) -> Self {
        let postgres = server.starts_with("postgres");
        let server = watch::Sender::new(host_and_port(server).to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let proxy = Self { address, state: Arc::default(), server };
        let (state, server) = (proxy.state.clone(), proxy.server.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *state.away.borrow() {
                    continue;
                }
                let server = server.borrow().clone();
                let server =
                    TcpStream::connect(server).await.expect("the server of the tests accepts connections");
                // A packet that waits for others takes 40 ms, and there are many on the way to a commit.
                client.set_nodelay(true).expect("set");
                server.set_nodelay(true).expect("set");
                tokio::spawn(forward(client, server, postgres, state.clone()));
            }
        });
        proxy
    }

    /// The address through the proxy.
    pub(crate) fn address(&self, direct: &str) -> String {
        direct.replacen(host_and_port(direct), &self.address.to_string(), 1)
    }

    /// Puts the server in this address behind the proxy. Existing connections stay with the previous server.
    pub(crate) fn set_server(&self, server: &str) {
        self.server.send_replace(host_and_port(server).to_owned());
    }

    /// Cuts a connection, once.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.state.cut.lock().expect("not poisoned") = Some(cut);
    }

    /// Cuts every connection and lets no new one through, until the server is reachable again.
    pub(crate) fn set_away(&self, away: bool) {
        self.state.away.send_replace(away);
    }

    /// The notices of PostgreSQL since the last call, in the order of each connection. Waits until PostgreSQL has finished every
    /// request: some notices come after the reply.
    pub(crate) async fn notices(&self) -> Vec<Vec<u8>> {
        self.state.unanswered.subscribe().wait_for(|asked| *asked == 0).await.expect("the state is there");
        std::mem::take(&mut *self.state.notices.lock().expect("not poisoned"))
    }

    /// Waits until it has cut one.
    pub(crate) async fn has_cut(&self) {
        self.state.done.notified().await;
    }
}

fn host_and_port(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

async fn forward(client: TcpStream, server: TcpStream, postgres: bool, state: Arc<State>) {
    let (asked, to_client) = client.into_split();
    let (answered, to_server) = server.into_split();
    let wire = Arc::new(Mutex::new(Wire::default()));
    let up = up(asked, to_server, postgres, wire.clone(), state.clone());
    let down = down(answered, to_client, postgres, wire.clone(), state.clone());
    let mut away = state.away.subscribe();
    // When one side ends, both are closed.
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = away.wait_for(|away| *away) => {}
    }
    let mut wire = wire.lock().expect("not poisoned");
    let left = wire.unanswered;
    wire.unanswered(-left, &state);
}

/// What is known about one connection.
#[derive(Default)]
struct Wire {
    /// The statements that were prepared, by name or number.
    prepared: HashMap<Vec<u8>, String>,
    /// The statement that MySQL is preparing. Its reply contains the number.
    preparing: Option<String>,
    /// The statements since the transaction began.
    asked: Vec<String>,
    /// Whether the next reply never comes.
    cut: bool,
    /// How many requests PostgreSQL has not yet finished.
    unanswered: i64,
}

impl Wire {
    fn unanswered(&mut self, more: i64, state: &State) {
        self.unanswered += more;
        state.unanswered.send_modify(|asked| *asked += more);
    }

    fn asks(&mut self, sql: &str, state: &State) {
        if sql.contains("BEGIN") {
            self.asked.clear();
        }
        self.asked.push(sql.to_owned());
        let mut cut = state.cut.lock().expect("not poisoned");
        if cut.is_some_and(|cut| sql.contains(cut.at) && self.asked.iter().any(|sql| sql.contains(cut.after)))
        {
            *cut = None;
            self.cut = true;
        }
    }

    fn asked(&mut self, message: &[u8], postgres: bool, state: &State) {
        if postgres {
            self.postgres_asked(message, state);
        } else {
            self.mysql_asked(message, state);
        }
    }

    fn postgres_asked(&mut self, message: &[u8], state: &State) {
        let body = message.get(5..).unwrap_or_default();
        let mut strings = body.split(|byte| *byte == 0);
        let (first, second) = (strings.next().unwrap_or_default(), strings.next().unwrap_or_default());
        match message.first() {
            Some(b'Q') => self.asks(&String::from_utf8_lossy(first), state),
            Some(b'P') => {
                self.prepared.insert(first.to_vec(), String::from_utf8_lossy(second).into_owned());
            }
            // Its strings are the portal and the statement.
            Some(b'B') => {
                let sql = self.prepared.get(second).cloned().unwrap_or_default();
                self.asks(&sql, state);
            }
            _ => {}
        }
    }

    fn mysql_asked(&mut self, packet: &[u8], state: &State) {
        let body = packet.get(5..).unwrap_or_default();
        match packet.get(4) {
            Some(0x03) => self.asks(&String::from_utf8_lossy(body), state),
            Some(0x16) => self.preparing = Some(String::from_utf8_lossy(body).into_owned()),
            Some(0x17) => {
                let sql = self.prepared.get(body.get(..4).unwrap_or_default()).cloned().unwrap_or_default();
                self.asks(&sql, state);
            }
            _ => {}
        }
    }

    fn answered(&mut self, packet: &[u8], postgres: bool) {
        if postgres {
            return;
        }
        if let Some(sql) = self.preparing.take()
            && packet.get(4) == Some(&0)
        {
            self.prepared.insert(packet.get(5..9).unwrap_or_default().to_vec(), sql);
        }
    }
}

async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    postgres: bool,
    wire: Arc<Mutex<Wire>>,
    state: Arc<State>,
) {
    // The first message of PostgreSQL's protocol has no type.
    let mut untyped = postgres;
    while let Some(message) = read(&mut from, postgres, untyped).await {
        if postgres && (untyped || matches!(message.first(), Some(b'Q' | b'S'))) {
            wire.lock().expect("not poisoned").unanswered(1, &state);
        }
        if !untyped {
            wire.lock().expect("not poisoned").asked(&message, postgres, &state);
        }
        untyped = false;
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    postgres: bool,
    wire: Arc<Mutex<Wire>>,
    state: Arc<State>,
) {
    while let Some(message) = read(&mut from, postgres, false).await {
        match message.first() {
            Some(b'N') if postgres => state.notices.lock().expect("not poisoned").push(message.clone()),
            Some(b'Z') if postgres => wire.lock().expect("not poisoned").unanswered(-1, &state),
            _ => {}
        }
        let cut = {
            let mut wire = wire.lock().expect("not poisoned");
            wire.answered(&message, postgres);
            wire.cut
        };
        if cut {
            // A statement outside a transaction is committed once PostgreSQL is ready for the next one.
            if !postgres || message.first() == Some(&b'Z') {
                state.done.notify_one();
                return;
            }
            continue;
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn read(from: &mut OwnedReadHalf, postgres: bool, untyped: bool) -> Option<Vec<u8>> {
    let head = if postgres && !untyped { 5 } else { 4 };
    let mut message = vec![0; head];
    from.read_exact(&mut message).await.ok()?;
    let rest = if postgres {
        let length = message.get(head - 4..)?.try_into().ok()?;
        (u32::from_be_bytes(length) as usize).checked_sub(4)?
    } else {
        usize::from(message[0]) | usize::from(message[1]) << 8 | usize::from(message[2]) << 16
    };
    message.resize(head + rest, 0);
    from.read_exact(message.get_mut(head..)?).await.ok()?;
    Some(message)
}
