//! What is killed in the middle of its work goes on from there: miners and validators from their checkpoints, the
//! node with every block that was final.

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, Chain, NOE};
use noesis_tests::{cache, free_port, program, Node, Process};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Steps that may be lost: those of some tenths of a second, as long as checkpoints take a tenth of the time.
const LOST: u64 = 20;

/// The steps that a program's events tell of, in order.
fn steps(events: &Path, kind: &str) -> Vec<u64> {
    // A line that was being written when the program was killed is none.
    let text = std::fs::read_to_string(events).unwrap_or_default();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|event| event["event"] == kind)
        .filter_map(|event| event["step"].as_u64())
        .collect()
}

/// Starts the program, kills it after some steps, starts it again; the last step before and the first after.
async fn killed(
    command: impl Fn() -> Command,
    events: &Path,
    kind: &str,
    folder: &Path,
) -> Result<(u64, u64)> {
    let log = folder.join("program.log");
    let mut before = 0;
    for run in 0..2 {
        let mut process = Process::start(&mut command(), &log)?;
        let start = Instant::now();
        while steps(events, kind).len() as u64 <= before + 40 {
            ensure!(
                process.is_running()? && start.elapsed() < LONG,
                "no steps in run {run}:\n{}",
                std::fs::read_to_string(&log)?
            );
            sleep(Duration::from_millis(50)).await;
        }
        // Dropped: killed with -9.
        drop(process);
        if run == 0 {
            before = steps(events, kind).len() as u64;
        }
    }
    let all = steps(events, kind);
    let (first, second) = all.split_at(before as usize);
    Ok((
        *first.last().context("no step before")?,
        *second.first().context("no step after")?,
    ))
}

fn text() -> Result<PathBuf> {
    Ok(cache()?.join("data/king-james.txt"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_that_is_killed_goes_on_where_it_was() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events.jsonl");
    let (miner, text) = (program("noesis-miner")?, text()?);
    let command = || {
        let mut command = Command::new(&miner);
        command
            .args(["--train-only", "--steps", "1000000", "--device", "cpu"])
            .arg("--data")
            .arg(&text)
            .arg("--checkpoint")
            .arg(folder.path().join("checkpoint"))
            .arg("--events")
            .arg(&events);
        command
    };
    let (last, first) = killed(command, &events, "train", folder.path()).await?;
    ensure!(
        (last.saturating_sub(LOST)..=last + 2).contains(&first),
        "killed at step {last}, it went on with step {first}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_is_killed_goes_on_where_it_was() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    node.chain().await?;
    let events = folder.path().join("events.jsonl");
    let (validator, text) = (program("noesis-validator")?, text()?);
    let command = || {
        let mut command = Command::new(&validator);
        command
            .args(["--chain", &node.url, "--coldkey", "//Alice"])
            .args(["--hotkey", "//Alice//judge", "--device", "cpu"])
            .arg("--data")
            .arg(&text)
            .arg("--checkpoint")
            .arg(folder.path().join("checkpoint"))
            .arg("--events")
            .arg(&events);
        command
    };
    let (last, first) = killed(command, &events, "step", folder.path()).await?;
    ensure!(
        (last.saturating_sub(LOST)..=last + 2).contains(&first),
        "killed at step {last}, it went on with step {first}"
    );
    Ok(())
}

/// Kills of the node.
const KILLS: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_keeps_every_final_block() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let alice = keypair("//Alice")?;
    let (mut height, mut stake) = (0, 0);
    let mut recoveries = Vec::new();
    for kill in 0..=KILLS {
        let start = Instant::now();
        let mut node = Node::start(folder.path(), port)?;
        let chain = node.chain().await?;
        let hotkey = keypair("//Alice//0")?.public_key().0;
        if kill == 0 {
            chain.register(&alice, 0, hotkey, 10 * NOE).await?;
        }
        // What was final is still there, and the chain goes on.
        let found = finalized(&chain).await?;
        ensure!(found >= height, "block {height} was final, now {found} is");
        let metagraph = chain.metagraph(0).await?;
        let kept = metagraph.neurons.first().context("the neuron is lost")?;
        ensure!(kept.stake >= stake, "{stake} units were staked and final");
        while finalized(&chain).await? <= found {
            ensure!(start.elapsed() < LONG, "no block after kill {kill}");
            sleep(Duration::from_millis(100)).await;
        }
        recoveries.push(start.elapsed().as_secs_f64());
        // Returns when the block that holds it is final.
        chain.add_stake(&alice, 0, hotkey, NOE).await?;
        stake = chain.metagraph(0).await?.neurons[0].stake;
        // At other moments of a block each time, one of them where an epoch ends.
        sleep(Duration::from_millis(370 * kill)).await;
        height = finalized(&chain).await?;
    }
    println!(
        "{KILLS} kills, nothing final lost; seconds to the next final block: {recoveries:.1?}"
    );
    Ok(())
}

/// Number of the last finalized block.
async fn finalized(chain: &Chain) -> Result<u32> {
    Ok(chain.status().await?.finalized_block)
}
