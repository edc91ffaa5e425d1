//! The laboratory computes epochs of a real chain again, and finds what the chain stored.

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, Chain, NOE};
use noesis_tests::{free_port, program, Node};
use serde_json::Value;
use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

const TEXT: u16 = 0;

/// How long the epochs of the test may take: of ten blocks of a second each, on a busy machine.
const EPOCHS: Duration = Duration::from_secs(120);

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
    let before = chain.metagraph(TEXT).await?.epoch;
    let start = Instant::now();
    let mut finished = Vec::new();
    while finished.len() < 2 {
        ensure!(start.elapsed() < EPOCHS, "there is no second epoch");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let metagraph = chain.metagraph(TEXT).await?;
        if metagraph.epoch > before && finished.last() != Some(&metagraph.epoch) {
            finished.push(metagraph.epoch);
        }
    }

    for epoch in finished {
        let output = lab(&node.url, &["--epoch", &epoch.to_string()])?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{error}");
        let report: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(
            report["epoch"] == epoch && report["neurons"] == 2 && report["edges"] == 2,
            "{report}"
        );
        ensure!(report["minted"].as_u64() > Some(0), "{report}");
        let rows = report["rows"].as_array().context("rows are missing")?;
        ensure!(
            rows.iter()
                .all(|row| row["compared"].as_u64() > Some(0) && row["largest_difference"] == 0),
            "{report}"
        );
    }

    let output = lab(&node.url, &["--epoch", "1000"])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && error.contains("epoch 1000 of market 0 is not finished"),
        "{error}"
    );
    Ok(())
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
