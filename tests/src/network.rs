//! Networks of several authorities on this machine.

use crate::{
    export_chain_spec, free_port, loopback, namespaces::Hosts, program, run, Node, Process,
};
use anyhow::{Context, Result};
use serde_json::{json, Value};
use std::{
    net::SocketAddr,
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

/// The nodes of a preset's authorities, each of which knows where the others are.
pub struct Network {
    /// The chain's specification with the nodes' addresses; raw, as a light client wants it, unless it is of a
    /// network on hosts.
    pub spec: PathBuf,
    /// In the order of the authorities.
    pub nodes: Vec<Node>,
}

/// Where the node of an authority runs.
struct Place {
    command: Command,
    /// Its address on the network.
    address: String,
    /// Where it is asked.
    rpc: SocketAddr,
}

impl Network {
    /// Starts a node for each authority on this machine, all in `folder`.
    pub fn start(preset: &Preset, folder: &Path) -> Result<Self> {
        let spec = export_chain_spec(preset.id, &["--raw"])?;
        let place = |_: &&str| -> Result<Place> {
            Ok(Place {
                command: Command::new(program("noesis-node")?),
                // WebSocket, which is what a light client in a browser can open.
                address: format!("/ip4/127.0.0.1/tcp/{}/ws", free_port()?),
                rpc: loopback(free_port()?),
            })
        };
        let places: Result<Vec<_>> = preset.authorities.iter().map(place).collect();
        Self::start_at(preset, spec, places?, folder)
    }

    /// Starts a node for each authority on a host of its own, of a chain with slots of so many milliseconds.
    pub fn start_on(hosts: &Hosts, preset: &Preset, slot: u64, folder: &Path) -> Result<Self> {
        let mut spec = export_chain_spec(preset.id, &[])?;
        *spec
            .pointer_mut("/genesis/runtimeGenesis/patch/authorities/slotDuration")
            .context("the preset has no slots")? = json!(slot);
        let places = hosts.places(&program("noesis-node")?);
        let places = places.into_iter().map(|(command, address, rpc)| Place {
            command,
            address: format!("/ip4/{address}/tcp/30333"),
            rpc: (rpc, 9944).into(),
        });
        Self::start_at(preset, spec, places.collect(), folder)
    }

    fn start_at(
        preset: &Preset,
        mut spec: Value,
        places: Vec<Place>,
        folder: &Path,
    ) -> Result<Self> {
        let folders: Vec<PathBuf> = (0..places.len())
            .map(|number| folder.join(number.to_string()))
            .collect();
        let mut addresses = Vec::new();
        for (folder, place) in folders.iter().zip(&places) {
            std::fs::create_dir(folder)?;
            let peer = make_node_key(folder)?;
            addresses.push(format!("{}/p2p/{peer}", place.address));
        }
        spec["bootNodes"] = json!(addresses);
        let path = folder.join("chain.json");
        std::fs::write(&path, spec.to_string())?;

        let mut nodes = Vec::new();
        for ((seed, folder), place) in preset.authorities.iter().zip(&folders).zip(places) {
            insert_keys(seed, &path, folder)?;
            nodes.push(start_authority(&path, folder, place)?);
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

fn start_authority(spec: &Path, folder: &Path, mut place: Place) -> Result<Node> {
    let log = folder.join("node.log");
    let process = Process::start(
        place
            .command
            .arg("--validator")
            .arg("--chain")
            .arg(spec)
            .arg("--base-path")
            .arg(folder.join("chain"))
            .arg("--node-key-file")
            .arg(folder.join("node-key"))
            .args(["--listen-addr", &place.address, "--allow-private-ip"])
            .arg("--experimental-rpc-endpoint")
            .arg(format!("listen-addr={}", place.rpc))
            .args(["--no-prometheus", "--no-telemetry", "--no-mdns"]),
        &log,
    )?;
    Ok(Node {
        url: format!("ws://{}", place.rpc),
        rpc: place.rpc,
        process,
        log,
    })
}
