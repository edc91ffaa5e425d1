//! The laboratory computes epochs of a real chain again, and finds what the chain stored.

#[path = "replay/crowd.rs"]
mod crowd;

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, Chain, NOE};
use noesis_tests::{chain_spec, free_port, program, Node};
use serde_json::Value;
use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

const TEXT: u16 = 0;

/// How long the epochs of the test may take: of ten blocks of a second each, on a busy machine.
const EPOCHS: Duration = Duration::from_secs(120);

/// Neurons of a market whose epoch takes several blocks, every edge being set.
const CROWD: u16 = 1_500;

fn lab(url: &str, flags: &[&str]) -> Result<Output> {
    Ok(Command::new(program("noesis-lab")?)
        .args([
            "replay", "--market", "text", "--format", "json", "--url", url,
        ])
        .args(flags)
        .output()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_computed_again_are_what_the_chain_stored() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    // Each other's only peer, and one of them with the more to say: a market in consensus.
    tokio::try_join!(
        enrol(&chain, "//Alice", 600 * NOE),
        enrol(&chain, "//Bob", 200 * NOE),
    )?;
    vote(&chain, "//Alice").await?;
    vote(&chain, "//Bob").await?;

    // Bonds arise in the first epoch that counts both rows, and are carried on in the second.
    for epoch in two_epochs(&chain).await? {
        let report = agreed(&node.url, epoch)?;
        ensure!(report["neurons"] == 2 && report["edges"] == 2, "{report}");
    }

    let output = lab(&node.url, &["--epoch", "1000"])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && error.contains("epoch 1000 of market 0 is not finished"),
        "{error}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_of_several_blocks_computed_again_is_what_the_chain_stored() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut spec = chain_spec(&["--raw"])?;
    crowd::add_neurons(&mut spec, CROWD)?;
    let mut node = Node::start_from(&spec, folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    for epoch in two_epochs(&chain).await? {
        let report = agreed(&node.url, epoch)?;
        let block = |name: &str| report[name].as_u64();
        ensure!(block("finished") > block("began"), "{report}");
        let edges = u64::from(CROWD) * u64::from(CROWD - 1);
        ensure!(
            report["neurons"] == CROWD && report["edges"] == edges,
            "{report}"
        );
    }
    Ok(())
}

/// The numbers of the two epochs that are finished next.
async fn two_epochs(chain: &Chain) -> Result<[u64; 2]> {
    let before = chain.metagraph(TEXT).await?.epoch;
    let start = Instant::now();
    while chain.metagraph(TEXT).await?.epoch < before + 2 {
        ensure!(start.elapsed() < EPOCHS, "there is no second epoch");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok([before + 1, before + 2])
}

/// What the laboratory says of an epoch that paid, and that it computes again to the last digit.
fn agreed(url: &str, epoch: u64) -> Result<Value> {
    let output = lab(url, &["--epoch", &epoch.to_string()])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{error}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["epoch"] == epoch, "{report}");
    ensure!(report["minted"].as_u64() > Some(0), "{report}");
    let rows = report["rows"].as_array().context("rows are missing")?;
    ensure!(
        rows.iter()
            .all(|row| row["compared"].as_u64() > Some(0) && row["largest_difference"] == 0),
        "{report}"
    );
    Ok(report)
}

/// Takes a slot for the account's hotkey, and puts units into it.
async fn enrol(chain: &Chain, coldkey: &str, stake: u64) -> Result<()> {
    let hotkey = keypair(&format!("{coldkey}//hotkey"))?.public_key().0;
    let coldkey = keypair(coldkey)?;
    chain.register(&coldkey, TEXT, hotkey, 10 * NOE).await?;
    chain.add_stake(&coldkey, TEXT, hotkey, stake).await?;
    Ok(())
}

/// Gives all weight to the other neuron.
async fn vote(chain: &Chain, coldkey: &str) -> Result<()> {
    let hotkey = keypair(&format!("{coldkey}//hotkey"))?;
    let id = hotkey.public_key().0;
    let metagraph = chain.metagraph(TEXT).await?;
    let other = metagraph
        .neurons
        .iter()
        .find(|neuron| neuron.hotkey.0 != id);
    let other = other.context("the other neuron is missing")?.uid;
    chain.set_weights(&hotkey, TEXT, &[(other, 1)]).await?;
    Ok(())
}
