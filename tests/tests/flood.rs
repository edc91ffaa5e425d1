//! A node whose JSON-RPC is flooded goes on making blocks, answers those who ask in good order, and keeps its memory.

#[path = "flood/attacks.rs"]
mod attacks;
#[path = "replay/crowd.rs"]
mod crowd;

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, AccountId, Chain};
use noesis_tests::{chain_spec, free_port, Node};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::time::{interval, sleep, MissedTickBehavior};

/// Neurons of the market that is asked about, each with a weight for every other.
const NEURONS: u16 = 512;

/// How long an attack lasts, and the quiet before the first.
const LASTS: Duration = Duration::from_secs(15);

/// How often the honest client asks.
const PACE: Duration = Duration::from_millis(100);

/// What the node's memory may grow by, in MiB.
const GROWTH: u64 = 1_024;

/// The longest that the chain may stand still: blocks are made every second on a machine with nothing else to do.
const STANDSTILL: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_node_serves_an_honest_client() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut spec = chain_spec(&["--raw"])?;
    crowd::add_neurons(&mut spec, NEURONS)?;
    let mut node = Node::start_from(&spec, folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    let before = node.memory()?;

    println!("| | asked | p50, ms | p99, ms | blocks | interval p50, s | longest, s | memory, MiB | done by attackers |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let quiet = honest(&chain, LASTS).await?;
    println!("| quiet | {} | {before} | |", quiet.line());
    for attack in &attacks::ALL {
        let start = Instant::now();
        // Connections of the attack before may take a moment to end.
        while let Err(reason) = attack.check(node.rpc) {
            ensure!(start.elapsed() < STANDSTILL, "{}: {reason}", attack.name);
            sleep(PACE).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let attackers: Vec<_> = (0..attack.attackers)
            .map(|_| {
                let (address, stop) = (node.rpc, stop.clone());
                thread::spawn(move || attack.run(address, &stop))
            })
            .collect();
        let seen = honest(&chain, LASTS).await;
        let memory = node.memory()?;
        stop.store(true, Ordering::Relaxed);
        let mut done = 0;
        for attacker in attackers {
            done += attacker.join().ok().context("an attacker failed")?;
        }
        let seen = seen.with_context(|| format!("while attacked by {}", attack.name))?;
        println!(
            "| {} | {} | {memory} | {done} {} |",
            attack.name,
            seen.line(),
            attack.what
        );
        ensure!(done > 0, "{}: nothing came of it", attack.name);
        let wait = of(&seen.answers, 50);
        ensure!(
            wait < Duration::from_millis(attack.wait),
            "{}: an honest client waits for {wait:?}",
            attack.name
        );
        ensure!(
            seen.longest() < STANDSTILL,
            "{}: no block for {:?}",
            attack.name,
            seen.longest()
        );
        ensure!(
            memory < before + GROWTH,
            "{}: the node grew from {before} to {memory} MiB",
            attack.name
        );
    }
    // Those who were sent away are let in again.
    node.chain().await?;
    Ok(())
}

/// What an honest client saw.
struct Seen {
    /// How long each answer took.
    answers: Vec<Duration>,
    /// Between one final block and the next.
    intervals: Vec<Duration>,
}

impl Seen {
    fn longest(&self) -> Duration {
        self.intervals.last().copied().unwrap_or(Duration::MAX)
    }

    /// As cells of a table.
    fn line(&self) -> String {
        let milliseconds = |part| of(&self.answers, part).as_secs_f64() * 1e3;
        format!(
            "{} | {:.1} | {:.1} | {} | {:.2} | {:.2}",
            self.answers.len(),
            milliseconds(50),
            milliseconds(99),
            self.intervals.len(),
            of(&self.intervals, 50).as_secs_f64(),
            self.longest().as_secs_f64()
        )
    }
}

/// The value that so many hundredths of the sorted are below.
fn of(sorted: &[Duration], hundredths: usize) -> Duration {
    let place = sorted.len() * hundredths / 100;
    sorted.get(place).copied().unwrap_or_default()
}

/// Asks for a balance again and again over one connection, and looks when blocks become final.
///
/// Fails when one question is not answered.
async fn honest(chain: &Chain, lasts: Duration) -> Result<Seen> {
    let account = AccountId(keypair("//Alice")?.public_key().0);
    let (mut answers, mut intervals) = (Vec::new(), Vec::new());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let start = Instant::now();
    let (mut block, mut changed) = (chain.finalized_block().await?, start);
    while start.elapsed() < lasts {
        pace.tick().await;
        let asked = Instant::now();
        chain.balance(account).await?;
        answers.push(asked.elapsed());
        let last = chain.finalized_block().await?;
        // Finality may jump: then one wait brings several blocks.
        if last > block {
            intervals.push(changed.elapsed());
            intervals.extend((block + 1..last).map(|_| Duration::ZERO));
            (block, changed) = (last, Instant::now());
        }
    }
    // A wait that is not over counts too.
    intervals.push(changed.elapsed());
    answers.sort();
    intervals.sort();
    Ok(Seen { answers, intervals })
}
