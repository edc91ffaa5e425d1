//! What can be done to a node by who may connect to it. Each attacker is a thread with connections of its own; how many
//! there are, how much each sends and keeps, and how long it goes on, is bounded.

use serde_json::{json, Value};
use std::{
    io::{ErrorKind, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// A way to flood a node.
pub struct Attack {
    pub name: &'static str,
    /// Threads that do it at once.
    pub attackers: usize,
    /// Does it until it is told to stop; returns how often.
    pub run: fn(SocketAddr, &AtomicBool) -> u64,
    /// Milliseconds that an honest client may have to wait meanwhile, in the median.
    pub wait: u64,
    /// What that many of them are.
    pub what: &'static str,
}

/// All of them, one after the other.
pub const ALL: [Attack; 8] = [
    Attack {
        name: "connections",
        attackers: 4,
        wait: 1_000,
        run: connections,
        what: "connections opened, 400 held",
    },
    Attack {
        name: "invalid JSON",
        attackers: 8,
        wait: 1_000,
        run: |node, stop| posts(node, stop, &invalid()),
        what: "posts of 1 MiB of brackets",
    },
    Attack {
        name: "huge batches",
        attackers: 8,
        wait: 1_000,
        run: |node, stop| posts(node, stop, &batch()),
        what: "batches of 20,000 questions",
    },
    Attack {
        name: "huge parameters",
        attackers: 8,
        // Each is read by one of the few threads that serve all connections.
        wait: 5_000,
        run: |node, stop| posts(node, stop, &parameters()),
        what: "posts with a parameter of 14 MiB",
    },
    Attack {
        name: "metagraphs",
        attackers: 8,
        // Eight on the threads that serve all connections would take a second and more.
        wait: 500,
        run: |node, stop| posts(node, stop, &question("market_metagraph", json!([0]))),
        what: "times `market_metagraph`",
    },
    Attack {
        name: "epochs",
        attackers: 8,
        wait: 1_000,
        run: |node, stop| {
            let preview = json!(["MarketApi_preview_epoch", "0x0000"]);
            posts(node, stop, &question("state_call", preview))
        },
        what: "times `preview_epoch`",
    },
    Attack {
        name: "subscriptions",
        attackers: 8,
        wait: 1_000,
        run: |node, stop| {
            let subscribe = question("chain_subscribeAllHeads", json!([]));
            unread(node, stop, &subscribe, SUBSCRIPTIONS)
        },
        what: "subscriptions to all blocks, nothing read",
    },
    Attack {
        name: "unread answers",
        attackers: 8,
        wait: 1_000,
        run: |node, stop| unread(node, stop, &question("system_health", json!([])), UNREAD),
        what: "questions by WebSocket, no answer read",
    },
];

/// Subscriptions of an attacker: as many as the node lets one connection have.
const SUBSCRIPTIONS: u64 = 1_024;

/// Questions of an attacker that reads no answer. Nothing in the node bounds how many it keeps, so this does.
const UNREAD: u64 = 5_000;

/// Connections that an attacker holds.
const HELD: usize = 100;

/// How long an attacker waits for the node before it tries something else.
const PATIENCE: Duration = Duration::from_secs(5);

fn question(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

fn invalid() -> String {
    "[".repeat(1 << 20)
}

fn batch() -> String {
    let one = question("chain_getBlockHash", json!([1]));
    format!("[{}]", vec![one; 20_000].join(","))
}

fn parameters() -> String {
    question("author_submitExtrinsic", json!(["0".repeat(14 << 20)]))
}

/// Posts the same over and over, each time by a new connection; how often it was taken whole.
fn posts(node: SocketAddr, stop: &AtomicBool, body: &str) -> u64 {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut posted = 0;
    while !stop.load(Ordering::Relaxed) {
        posted += u64::from(post(node, &request).is_ok());
    }
    posted
}

/// Sends a request, and waits for the answer as long as there is patience.
fn post(node: SocketAddr, request: &str) -> Result<()> {
    let mut connection = connect(node)?;
    connection.write_all(request.as_bytes())?;
    let _ = std::io::copy(&mut connection, &mut std::io::sink());
    Ok(())
}

/// Opens connections and keeps them, with WebSocket on every other; how many were opened.
fn connections(node: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut opened = 0;
    let mut held = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let connection = match opened % 2 {
            0 => connect(node),
            _ => open_socket(node),
        };
        opened += 1;
        held.extend(connection);
        if held.len() > HELD {
            held.remove(0);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    opened
}

/// Asks so often on one connection, reads no answer, and keeps the connection; how often it asked.
fn unread(node: SocketAddr, stop: &AtomicBool, question: &str, count: u64) -> u64 {
    let question = frame(question);
    let mut asked = 0;
    let Ok(mut socket) = open_socket(node) else {
        return asked;
    };
    while asked < count && !stop.load(Ordering::Relaxed) && socket.write_all(&question).is_ok() {
        asked += 1;
    }
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
    }
    asked
}

fn connect(node: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect_timeout(&node, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// A connection on which WebSocket is spoken.
fn open_socket(node: SocketAddr) -> Result<TcpStream> {
    let mut connection = connect(node)?;
    connection.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )?;
    let mut head = [0; 12];
    connection.read_exact(&mut head)?;
    match head.ends_with(b"101") {
        true => Ok(connection),
        false => Err(ErrorKind::ConnectionRefused.into()),
    }
}

/// A text as one WebSocket frame of a client, masked by nothing.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126];
    // Questions are longer than the 125 bytes that a shorter head holds, or padded.
    let text = format!("{text:<126}");
    frame.extend((text.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
