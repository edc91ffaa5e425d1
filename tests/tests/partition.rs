//! A network of four authorities that is cut in two and healed: three of four go on finalizing, two wait, and no two
//! blocks of one height are ever final.

use anyhow::{ensure, Context, Result};
use noesis_tests::{
    finality::Finality,
    namespaces::Hosts,
    network::{Network, STAGING},
};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Milliseconds of a slot, so that a cut of half a minute is fifteen of them.
const SLOT: u64 = 2_000;

/// How long votes that were on their way before a cut may make a block final after it.
const SETTLE: Duration = Duration::from_secs(6);

/// How long the network stays cut after that.
const CUT: Duration = Duration::from_secs(30);

/// How long the network may take to finalize, at its start and after a cut: TCP waits longer and longer until it sends
/// again what was lost.
const LONG: Duration = Duration::from_secs(240);

/// How many of the four authorities finalize a block.
const QUORUM: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_cut_finalizes_one_chain() -> Result<()> {
    let count = STAGING.authorities.len();
    let folder = tempfile::tempdir()?;
    let hosts = Hosts::new(count as u8)?;
    let mut network = Network::start_on(&hosts, &STAGING, SLOT, folder.path())?;
    for node in &mut network.nodes {
        node.chain().await?;
    }
    let mut seen = Finality::new(network.nodes.iter().map(|node| node.rpc));
    seen.until_all_finalized(2, LONG).await?;

    for off in [&[2, 3][..], &[3][..]] {
        let parts = format!("{}/{}", count - off.len(), off.len());
        hosts.cut(off)?;
        sleep(SETTLE).await;
        seen.look()?;
        let before = seen.finalized.clone();
        let start = Instant::now();
        while start.elapsed() < CUT {
            seen.look()?;
            sleep(Duration::from_secs(1)).await;
        }
        for (node, (from, to)) in before.iter().zip(&seen.finalized).enumerate() {
            let side = (0..count).filter(|other| off.contains(other) == off.contains(&node));
            ensure!(
                (to > from) == (side.count() >= QUORUM),
                "cut {parts}, node {node} finalized from {from} to {to}"
            );
        }
        // Both sides went on making blocks, each its own: there was something to disagree about.
        let height = seen.best(0)?.min(seen.best(3)?);
        let (one, other) = (seen.block(0, height)?, seen.block(3, height)?);
        ensure!(one != other, "both sides made block {height}, {one}");

        hosts.cut(&[])?;
        let healed = Instant::now();
        let best: Result<Vec<u32>> = (0..count).map(|node| seen.best(node)).collect();
        let best = best?.into_iter().max().context("no nodes")?;
        seen.until_all_finalized(best + 1, LONG).await?;
        println!(
            "cut {parts} for {} seconds: {:.1} seconds from healing until all {count} finalized a block made after it, \
             block {}; conflicting finalizations {}",
            (SETTLE + CUT).as_secs(),
            healed.elapsed().as_secs_f64(),
            best + 1,
            seen.conflicts.len()
        );
    }
    ensure!(seen.conflicts.is_empty(), "{:?}", seen.conflicts);
    Ok(())
}
