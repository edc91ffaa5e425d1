//! Networks of several authorities on this machine.

use crate::{export_chain_spec, free_port, program, Node, Process};
use anyhow::{ensure, Context, Result};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A preset of the node with several authorities.
pub struct Preset {
    /// What the node calls it.
    pub id: &'static str,
    /// What the chain calls itself.
    pub name: &'static str,
    /// Secret URIs of its authorities, from each of which come an Aura and a GRANDPA key.
    pub authorities: &'static [&'static str],
}

/// Two development authorities and fast blocks.
pub const LOCAL: Preset = Preset {
    id: "local",
    name: "Noesis Local",
    authorities: &["//Alice", "//Bob"],
};

/// Four authorities with keys of their own, blocks of six seconds.
pub const STAGING: Preset = Preset {
    id: "staging",
    name: "Noesis Staging",
    authorities: &[
        "//noesis//staging//0",
        "//noesis//staging//1",
        "//noesis//staging//2",
        "//noesis//staging//3",
    ],
};

/// The nodes of a preset's authorities, which find each other by the first.
pub struct Network {
    /// The chain's specification as a light client wants it: raw, with the first node's address.
    pub spec: PathBuf,
    /// In the order of the authorities.
    pub nodes: Vec<Node>,
}

impl Network {
    /// Starts a node for each authority, all in `folder`.
    pub fn start(preset: &Preset, folder: &Path) -> Result<Self> {
        let folders: Vec<PathBuf> = (0..preset.authorities.len())
            .map(|number| folder.join(number.to_string()))
            .collect();
        // WebSocket, which is what a light client in a browser can open.
        let mut addresses = Vec::new();
        let mut first = None;
        for folder in &folders {
            std::fs::create_dir(folder)?;
            let address = format!("/ip4/127.0.0.1/tcp/{}/ws", free_port()?);
            let peer = make_node_key(folder)?;
            first.get_or_insert_with(|| format!("{address}/p2p/{peer}"));
            addresses.push(address);
        }
        let mut spec = export_chain_spec(preset.id, &["--raw"])?;
        spec["bootNodes"] = json!([first]);
        let path = folder.join("chain.json");
        std::fs::write(&path, spec.to_string())?;

        let mut nodes = Vec::new();
        for ((seed, folder), address) in preset.authorities.iter().zip(&folders).zip(&addresses) {
            insert_keys(seed, &path, folder)?;
            nodes.push(start_authority(&path, folder, address)?);
        }
        Ok(Self { spec: path, nodes })
    }
}

/// Makes the key by which a node is known to its peers; returns its name.
fn make_node_key(folder: &Path) -> Result<String> {
    let output = run(Command::new(program("noesis-node")?)
        .args(["key", "generate-node-key", "--file"])
        .arg(folder.join("node-key")))?;
    Ok(String::from_utf8(output.stderr)?.trim().into())
}

/// Puts the keys of an authority into the keystore of its node.
fn insert_keys(seed: &str, spec: &Path, folder: &Path) -> Result<()> {
    for (scheme, kind) in [("sr25519", "aura"), ("ed25519", "gran")] {
        run(Command::new(program("noesis-node")?)
            .args(["key", "insert", "--scheme", scheme, "--key-type", kind])
            .args(["--suri", seed])
            .arg("--chain")
            .arg(spec)
            .arg("--base-path")
            .arg(folder.join("chain")))?;
    }
    Ok(())
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Result<std::process::Output> {
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

fn start_authority(spec: &Path, folder: &Path, address: &str) -> Result<Node> {
    let rpc_port = free_port()?;
    let log = folder.join("node.log");
    let process = Process::start(
        Command::new(program("noesis-node")?)
            .arg("--validator")
            .arg("--chain")
            .arg(spec)
            .arg("--base-path")
            .arg(folder.join("chain"))
            .arg("--node-key-file")
            .arg(folder.join("node-key"))
            .args(["--listen-addr", address, "--allow-private-ip"])
            .args(["--rpc-port", &rpc_port.to_string()])
            .args(["--no-prometheus", "--no-telemetry", "--no-mdns"]),
        &log,
    )?;
    Ok(Node {
        url: format!("ws://127.0.0.1:{rpc_port}"),
        process,
        log,
    })
}
