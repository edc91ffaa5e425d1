//! Networks of several authorities: one joins while the chain runs, one that runs twice is found out, and one whose key
//! signed two votes is reported.
//!
//! What a wallet would do is done by Python's `substrate-interface`, which knows only what every chain has.

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, AccountId, Chain};
use noesis_tests::{export_chain_spec, foreign, free_port, Node};
use serde_json::json;
use std::path::PathBuf;
use tempfile::TempDir;

/// The key of the first node on the network, and the name that others find it by.
const NODE_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

/// Nodes of the chain of the preset `local`, with sessions of eight blocks.
struct Network {
    folder: TempDir,
    chain: PathBuf,
    /// The first node's port on the network.
    port: u16,
    nodes: Vec<Node>,
}

impl Network {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut spec = export_chain_spec("local", &[])?;
        *spec
            .pointer_mut("/genesis/runtimeGenesis/patch/authorities/sessionLength")
            .context("the preset has no sessions")? = json!(8);
        let chain = folder.path().join("chain.json");
        std::fs::write(&chain, spec.to_string())?;
        Ok(Self {
            folder,
            chain,
            port: free_port()?,
            nodes: Vec::new(),
        })
    }

    /// Starts a node with the keys of that flag, or none; where it answers.
    async fn start(&mut self, key: Option<&str>) -> Result<String> {
        let folder = self.folder.path().join(self.nodes.len().to_string());
        std::fs::create_dir(&folder)?;
        let chain = self.chain.to_string_lossy();
        let mut flags = vec![
            "--chain",
            &chain,
            "--no-prometheus",
            "--rpc-methods",
            "unsafe",
        ];
        flags.push(key.unwrap_or("--validator"));
        let port = self.port.to_string();
        let first = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{PEER}");
        match self.nodes.is_empty() {
            true => flags.extend(["--node-key", NODE_KEY, "--port", &port]),
            false => flags.extend(["--bootnodes", &first, "--unsafe-force-node-key-generation"]),
        }
        let mut node = Node::start_flags(&folder, free_port()?, &flags)?;
        node.chain().await?;
        let url = node.url.clone();
        self.nodes.push(node);
        Ok(url)
    }
}

/// Runs a part of the Python program; what it said.
async fn python(arguments: &[&str]) -> Result<String> {
    let mut command = foreign::python("python", "authorities.py")?;
    let output = command.args(arguments).output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_joins_while_the_chain_runs() -> Result<()> {
    let mut network = Network::new()?;
    let alice = network.start(Some("--alice")).await?;
    network.start(Some("--bob")).await?;
    let third = network.start(None).await?;
    let said = python(&["join", &alice, &third]).await?;
    ensure!(
        said.contains("the third makes blocks and they are final"),
        "{said}"
    );
    // Its deposit for the keys is told beside what it can spend.
    let charlie = AccountId(keypair("//Charlie")?.public_key().0);
    let funds = Chain::connect(&alice).await?.funds(charlie).await?;
    ensure!(funds.on_hold > 0 && funds.free > 0, "{funds:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_runs_twice_is_recorded_and_removed() -> Result<()> {
    let mut network = Network::new()?;
    let bob = network.start(Some("--bob")).await?;
    network.start(Some("--alice")).await?;
    network.start(Some("--alice")).await?;
    let said = python(&["twin", &bob]).await?;
    ensure!(said.contains("aura:equivocatio"), "{said}");
    ensure!(
        said.contains("one authority is left and its blocks are final"),
        "{said}"
    );
    Ok(())
}

// A node reports votes by itself when it sees both, which cannot be brought about at will: twins mostly vote alike. So
// somebody else does, of votes that are made here.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_votes_twice_is_recorded_by_a_proof_of_a_past_session() -> Result<()> {
    let mut network = Network::new()?;
    let bob = network.start(Some("--bob")).await?;
    network.start(Some("--alice")).await?;
    let said = python(&["votes", &bob]).await?;
    ensure!(said.contains("recorded: grandpa:equivoca"), "{said}");
    ensure!(
        said.contains("one authority is left and its blocks are final"),
        "{said}"
    );
    Ok(())
}
