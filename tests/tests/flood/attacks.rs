//! What can be done to a node by who may connect to it. Each attacker is a thread with connections of its own; how many
//! there are, how much each sends and keeps, and how long it goes on, is bounded.

use serde_json::{json, Value};
use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// A way to flood a node.
pub struct Attack {
    pub name: &'static str,
    /// Threads that do it at once.
    pub attackers: usize,
    /// Milliseconds that an honest client may have to wait meanwhile, in the median.
    pub wait: u64,
    how: How,
    /// What that many of them are that [`Attack::run`] counts.
    pub what: &'static str,
}

/// What is sent.
enum How {
    /// Connections, which are kept.
    Connections,
    /// The same post over and over, whose answer is to begin so.
    Posts(fn() -> String, &'static str),
    /// The same question so often over one WebSocket, whose answer is to begin so, and is not read but for the check.
    Unread(fn() -> String, &'static str, u64),
}

/// How the answer to a question begins that the node did what it was asked.
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":"#;

/// All of them, one after the other.
pub const ALL: [Attack; 8] = [
    Attack {
        name: "connections",
        attackers: 4,
        wait: 1_000,
        how: How::Connections,
        what: "WebSockets let in, beside as many connections that say nothing",
    },
    Attack {
        name: "invalid JSON",
        attackers: 8,
        wait: 1_000,
        how: How::Posts(
            invalid,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700"#,
        ),
        what: "posts of 1 MiB of brackets answered",
    },
    Attack {
        name: "huge batches",
        attackers: 8,
        wait: 1_000,
        how: How::Posts(batch, r#"[{"jsonrpc":"2.0","id":1,"result":"0x"#),
        what: "batches of 20,000 questions answered",
    },
    Attack {
        name: "huge parameters",
        attackers: 8,
        // Each is read by one of the few threads that serve all connections.
        wait: 5_000,
        how: How::Posts(parameters, r#"{"jsonrpc":"2.0","id":1,"error":"#),
        what: "posts with a parameter of 14 MiB answered",
    },
    Attack {
        name: "metagraphs",
        attackers: 8,
        // Eight on the threads that serve all connections would take a second and more.
        wait: 500,
        how: How::Posts(
            || question("market_metagraph", json!([0])),
            r#"{"jsonrpc":"2.0","id":1,"result":{"#,
        ),
        what: "times `market_metagraph` answered",
    },
    Attack {
        name: "epochs",
        attackers: 8,
        wait: 1_000,
        how: How::Posts(
            || {
                let preview = json!(["MarketApi_preview_epoch", "0x0000"]);
                question("state_call", preview)
            },
            // There is such a market.
            r#"{"jsonrpc":"2.0","id":1,"result":"0x01"#,
        ),
        what: "times `preview_epoch` answered",
    },
    Attack {
        name: "subscriptions",
        attackers: 8,
        wait: 1_000,
        how: How::Unread(
            || question("chain_subscribeAllHeads", json!([])),
            RESULT,
            SUBSCRIPTIONS,
        ),
        what: "times `chain_subscribeAllHeads` sent, nothing read",
    },
    Attack {
        name: "unread answers",
        attackers: 8,
        wait: 1_000,
        how: How::Unread(|| question("system_health", json!([])), RESULT, UNREAD),
        what: "questions by WebSocket sent, no answer read",
    },
];

impl Attack {
    /// Fails unless the node does what is asked once as it should: else this were another attack than its name says.
    pub fn check(&self, node: SocketAddr) -> Result<()> {
        let as_expected = match self.how {
            How::Connections => open_socket(node).map(|_| true),
            How::Posts(body, answer) => post(node, &request(&body()), answer),
            How::Unread(question, answer, _) => open_socket(node).and_then(|mut socket| {
                socket.write_all(&frame(&question()))?;
                begins(&mut socket, answer)
            }),
        }?;
        match as_expected {
            true => Ok(()),
            false => Err(Error::other("it is not answered as it should be")),
        }
    }

    /// Does it until it is told to stop; returns how often the node answered as it should, or, of what is not read, how
    /// often it was sent.
    pub fn run(&self, node: SocketAddr, stop: &AtomicBool) -> u64 {
        match self.how {
            How::Connections => connections(node, stop),
            How::Posts(body, answer) => posts(node, stop, &request(&body()), answer),
            How::Unread(question, _, count) => unread(node, stop, &question(), count),
        }
    }
}

/// Subscriptions of an attacker: as many as the node lets one connection have.
const SUBSCRIPTIONS: u64 = 1_024;

/// Questions of an attacker that reads no answer. Nothing in the node bounds how many it keeps, so this does.
const UNREAD: u64 = 5_000;

/// Connections that an attacker holds at most.
const HELD: usize = 100;

/// How long an attacker waits for the node before it tries something else.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// A whole request of HTTP with that body.
fn request(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends the same over and over, each time by a new connection; how often it was answered as it should.
fn posts(node: SocketAddr, stop: &AtomicBool, request: &str, answer: &str) -> u64 {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        answered += u64::from(post(node, request, answer).unwrap_or(false));
    }
    answered
}

/// Sends a request, and waits for the answer as long as there is patience; whether its body begins so.
fn post(node: SocketAddr, request: &str, answer: &str) -> Result<bool> {
    let mut connection = connect(node)?;
    connection.write_all(request.as_bytes())?;
    let mut read = Vec::new();
    connection.read_to_end(&mut read)?;
    let mut parts = read.windows(4).enumerate();
    let head = parts.find(|(_, part)| part == b"\r\n\r\n");
    Ok(head.is_some_and(|(end, _)| read[end + 4..].starts_with(answer.as_bytes())))
}

/// Opens connections and keeps the last, with WebSocket on every other; how many of these the node let in.
fn connections(node: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut let_in = 0;
    let mut held = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let socket = open_socket(node);
        let_in += u64::from(socket.is_ok());
        held.extend(socket);
        held.extend(connect(node));
        let many = held.len().saturating_sub(HELD);
        held.drain(..many);
        std::thread::sleep(Duration::from_millis(20));
    }
    let_in
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
    let mut head = Vec::new();
    // By the byte, so that nothing of what follows the head is taken.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        head.extend(byte);
    }
    match head.starts_with(b"HTTP/1.1 101") {
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

/// Whether the next text that a server sends by WebSocket begins so.
fn begins(socket: &mut TcpStream, answer: &str) -> Result<bool> {
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head)?;
        let mut length = [0; 2];
        let length = match head[1] {
            short @ 0..126 => u16::from(short),
            126 => {
                socket.read_exact(&mut length)?;
                u16::from_be_bytes(length)
            }
            // Nothing that is asked here is answered with so much.
            _ => return Ok(false),
        };
        let mut payload = vec![0; length.into()];
        socket.read_exact(&mut payload)?;
        // Others are pings.
        if head[0] == 0x81 {
            return Ok(payload.starts_with(answer.as_bytes()));
        }
    }
}
