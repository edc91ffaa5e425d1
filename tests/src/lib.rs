//! What tests of the whole system share: real programs, on ports and in folders of their own.
//!
//! The programs are those that `cargo build --workspace` put beside the tests.

pub mod finality;
pub mod foreign;
pub mod localnet;
pub mod namespaces;
pub mod network;

use anyhow::{ensure, Context, Result};
use noesis_chain::Chain;
use serde_json::{json, Value};
use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

/// How long a node may take until it answers, on a busy machine.
const NODE_START: Duration = Duration::from_secs(180);

/// The path of one of our programs.
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    // The test lies in `<target>/release/deps`, the programs one folder up.
    let folder = test.ancestors().nth(2).context("the test has no folder")?;
    let path = folder.join(name);
    ensure!(
        path.exists(),
        "{} is not built: run scripts/test, or cargo build --release --workspace",
        path.display()
    );
    Ok(path)
}

/// The user's cache folder of Noesis, as `scripts/env` sets it.
pub fn cache() -> Result<PathBuf> {
    std::env::var_os("NOESIS_CACHE")
        .map(PathBuf::from)
        .context("NOESIS_CACHE is not set: run the tests by scripts/test, or source scripts/env")
}

/// Ports that tests are given: below those from which systems take any for a connection.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ports of the range that [`free_port`] has gone through.
static PORTS_TRIED: AtomicU16 = AtomicU16::new(0);

/// A port that is free, and is given to nobody else of this process.
pub fn free_port() -> Result<u16> {
    let count = PORTS.len() as u32;
    // Test programs beside each other begin at different places.
    let begin = std::process::id().wrapping_mul(97) % count;
    loop {
        let tried = u32::from(PORTS_TRIED.fetch_add(1, Ordering::Relaxed));
        ensure!(tried < count, "every port of {PORTS:?} is in use");
        let port = PORTS.start + ((begin + tried) % count) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

/// That port of this machine.
fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Runs a command to its end, which must be a good one.
fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

/// A process that ends with its owner.
pub struct Process(Child);

impl Process {
    /// Starts a program with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self(child))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of the programs as a neuron of that coldkey, with a folder and a file of events of its own.
pub fn neuron(name: &str, coldkey: &str, url: &str, folder: &Path) -> Result<Command> {
    let mut command = Command::new(program(name)?);
    command
        .args(["--market", "text", "--chain", url, "--device", "cpu"])
        .args(["--coldkey", coldkey, "--hotkey"])
        .arg(format!("{coldkey}//hotkey"))
        .arg("--data")
        .arg(cache()?.join("data/king-james.txt"))
        .arg("--checkpoint")
        .arg(folder.join(name))
        .arg("--events")
        .arg(folder.join(name).with_extension("jsonl"));
    Ok(command)
}

/// The specification of the development chain, as the node writes it with these flags.
pub fn chain_spec(flags: &[&str]) -> Result<Value> {
    export_chain_spec("dev", flags)
}

/// The specification of the chain of that name, as the node writes it with these flags.
pub fn export_chain_spec(chain: &str, flags: &[&str]) -> Result<Value> {
    let mut command = Command::new(program("noesis-node")?);
    command
        .args(["export-chain-spec", "--chain", chain])
        .args(flags);
    Ok(serde_json::from_slice(&run(&mut command)?.stdout)?)
}

/// What a node on this machine answers to a JSON-RPC question: `result`, or `error`.
pub fn ask(rpc_port: u16, method: &str, params: Value) -> Result<Value> {
    ask_at(loopback(rpc_port), method, params)
}

/// What a node answers there.
pub fn ask_at(address: SocketAddr, method: &str, params: Value) -> Result<Value> {
    let question =
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let answer = http_at(
        address,
        &format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{question}",
            question.len()
        ),
    )?;
    serde_json::from_str(&answer).with_context(|| format!("{method} was answered with {answer}"))
}

/// The body of what a server on this machine answers to a whole request, which must ask it to close.
pub fn http(port: u16, request: &str) -> Result<String> {
    http_at(loopback(port), request)
}

fn http_at(address: SocketAddr, request: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(NODE_START))?;
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 200 "), "{answer}");
    Ok(body.to_string())
}

/// A node of the development chain.
pub struct Node {
    /// Where it answers.
    pub url: String,
    /// The same as an address.
    pub rpc: SocketAddr,
    process: Process,
    log: PathBuf,
}

impl Node {
    /// Starts a node whose chain lies in `folder` and which answers on `rpc_port`.
    pub fn start(folder: &Path, rpc_port: u16) -> Result<Self> {
        Self::start_chain("dev".as_ref(), folder, rpc_port)
    }

    /// Starts a node of a chain whose market has other parameters than that of development.
    pub fn start_with(parameters: &[(&str, Value)], folder: &Path, rpc_port: u16) -> Result<Self> {
        let mut spec = chain_spec(&[])?;
        let market = "/genesis/runtimeGenesis/patch/market/markets/0/parameters";
        for (name, value) in parameters {
            *spec
                .pointer_mut(&format!("{market}/{name}"))
                .with_context(|| format!("the market has no parameter {name}"))? = value.clone();
        }
        Self::start_from(&spec, folder, rpc_port)
    }

    /// Starts a node of the chain of that specification.
    pub fn start_from(spec: &Value, folder: &Path, rpc_port: u16) -> Result<Self> {
        let path = folder.join("chain.json");
        std::fs::write(&path, spec.to_string())?;
        Self::start_chain(&path, folder, rpc_port)
    }

    /// Starts a node of the chain of that name, or in that file.
    fn start_chain(chain: &Path, folder: &Path, rpc_port: u16) -> Result<Self> {
        let chain = chain.to_string_lossy();
        let flags = ["--dev", "--chain", &chain, "--no-prometheus"];
        Self::start_flags(folder, rpc_port, &flags)
    }

    /// Starts a node with flags of its own, beside those that every test has.
    pub fn start_flags(folder: &Path, rpc_port: u16, flags: &[&str]) -> Result<Self> {
        let log = folder.join("node.log");
        let mut command = Command::new(program("noesis-node")?);
        command
            .args(flags)
            .arg("--base-path")
            .arg(folder.join("chain"))
            .args(["--rpc-port", &rpc_port.to_string()])
            .args(["--no-telemetry", "--no-mdns"]);
        if !flags.contains(&"--port") {
            command.args(["--port", &free_port()?.to_string()]);
        }
        Ok(Self {
            url: format!("ws://127.0.0.1:{rpc_port}"),
            rpc: loopback(rpc_port),
            process: Process::start(&mut command, &log)?,
            log,
        })
    }

    /// The memory that it holds, in MiB.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kibibytes
            .context("the system does not say")?
            .parse::<u64>()?
            / 1_024)
    }

    /// Waits until it answers.
    pub async fn chain(&mut self) -> Result<Chain> {
        let start = Instant::now();
        loop {
            match Chain::connect(&self.url).await {
                Ok(chain) => return Ok(chain),
                Err(reason) => {
                    ensure!(
                        self.process.is_running()? && start.elapsed() < NODE_START,
                        "the node does not answer ({reason}); its log:\n{}",
                        std::fs::read_to_string(&self.log)?
                    );
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_are_given_the_same_port_and_nobody_one_in_use() -> Result<()> {
        let begin = PORTS.start + (std::process::id().wrapping_mul(97) % PORTS.len() as u32) as u16;
        // In use, unless somebody else already does.
        let _taken = TcpListener::bind(("127.0.0.1", begin));
        let some = || -> Result<Vec<u16>> { (0..50).map(|_| free_port()).collect() };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(some)).collect();
        let mut ports = BTreeSet::new();
        for thread in threads {
            let given = thread.join().ok().context("a thread failed")??;
            ensure!(given
                .iter()
                .all(|port| PORTS.contains(port) && *port != begin));
            ports.extend(given);
        }
        ensure!(ports.len() == 200, "{} ports", ports.len());
        Ok(())
    }
}
