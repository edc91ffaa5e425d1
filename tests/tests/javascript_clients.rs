//! Clients of the JavaScript world: three with a development node each, and a light client that follows a network
//! by the proofs of its finality. What they need is large: `scripts/setup full` installs it, and `scripts/test --full`
//! runs these tests.

use anyhow::{Context, Result};
use noesis_tests::{
    foreign::{self, javascript, Ways},
    free_port,
    network::{Network, Preset, LOCAL, STAGING},
    Node,
};

/// Plays the recipe with a client of one node and checks what came of it.
async fn plays(program: &str) -> Result<()> {
    let (chain_folder, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut node = Node::start(chain_folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    let mut command = javascript(folder.path(), program)?;
    command.args(["--url", &node.url]);
    let name = "Noesis Development";
    foreign::plays(command, "//Alice", &chain, name, Ways::BOTH).await
}

#[tokio::test]
async fn polkadot_js() -> Result<()> {
    plays("polkadot_js.mjs").await
}

#[tokio::test]
async fn polkadot_api() -> Result<()> {
    plays("polkadot_api.mjs").await
}

#[tokio::test]
async fn dedot() -> Result<()> {
    plays("dedot.mjs").await
}

/// It asks no node for JSON-RPC: what it says, it has checked against a finalized header. The first authority pays.
async fn follows(preset: &Preset) -> Result<()> {
    let (chain_folder, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut network = Network::start(preset, chain_folder.path())?;
    let node = network.nodes.first_mut().context("no authority")?;
    let chain = node.chain().await?;
    let mut command = javascript(folder.path(), "smoldot.mjs")?;
    command.arg("--chain-spec").arg(&network.spec);
    let coldkey = preset.authorities.first().context("no authority")?;
    let ways = Ways {
        runtime_api: true,
        json_rpc: false,
    };
    foreign::plays(command, coldkey, &chain, preset.name, ways).await
}

#[tokio::test]
async fn smoldot() -> Result<()> {
    follows(&LOCAL).await
}

#[tokio::test]
async fn smoldot_of_the_staging_network() -> Result<()> {
    follows(&STAGING).await
}
