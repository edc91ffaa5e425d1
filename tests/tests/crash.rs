//! What is killed in the middle of its work goes on from there: miners and validators from their checkpoints, the
//! node with every block and call that was final.

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, Call, Chain, Keypair, Sent, NOE};
use noesis_tests::{
    cache,
    finality::{height, Finality},
    free_port, program, Node, Process,
};
use serde_json::{json, Value};
use sp_io::hashing::blake2_256;
use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{task::JoinSet, time::sleep};

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

/// Starts a program that learns the text in `folder`, kills it after some steps of which its events tell by `kind`, starts
/// it again, and sees that it goes on with the step that it was killed at or one shortly before.
async fn goes_on(name: &str, flags: &[&str], kind: &str, folder: &Path) -> Result<()> {
    let (program, text) = (program(name)?, cache()?.join("data/king-james.txt"));
    let (events, log) = (folder.join("events.jsonl"), folder.join("program.log"));
    let command = || {
        let mut command = Command::new(&program);
        command.args(flags).args(["--device", "cpu"]);
        command
            .arg("--data")
            .arg(&text)
            .arg("--events")
            .arg(&events);
        command.arg("--checkpoint").arg(folder.join("checkpoint"));
        command
    };
    let mut before = 0;
    for run in 0..2 {
        let mut process = Process::start(&mut command(), &log)?;
        let start = Instant::now();
        while steps(&events, kind).len() as u64 <= before + 40 {
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
            before = steps(&events, kind).len() as u64;
        }
    }
    let all = steps(&events, kind);
    let (first, second) = all.split_at(before as usize);
    let last = *first.last().context("no step before")?;
    let next = *second.first().context("no step after")?;
    ensure!(
        (last.saturating_sub(LOST)..=last + 2).contains(&next),
        "killed at step {last}, it went on with step {next}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_that_is_killed_goes_on_where_it_was() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let flags = ["--train-only", "--steps", "1000000"];
    goes_on("noesis-miner", &flags, "train", folder.path()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_is_killed_goes_on_where_it_was() -> Result<()> {
    let (chain, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut node = Node::start(chain.path(), free_port()?)?;
    node.chain().await?;
    let keys = ["--coldkey", "//Alice", "--hotkey", "//Alice//judge"];
    let flags = [&["--chain", node.url.as_str()][..], &keys].concat();
    goes_on("noesis-validator", &flags, "step", folder.path()).await
}

/// Kills of the node, unless `NOESIS_TEST_KILLS` says how many.
const KILLS: u32 = 5;

/// One kill of so many is where an epoch begins, the others at any moment.
const AT_EPOCH: u32 = 3;

/// Those who send calls to the node all the time. The first moves stake.
const SENDERS: [&str; 4] = ["//Alice", "//Bob", "//Charlie", "//Dave"];

/// The calls that were final before a kill, each with its block.
type Calls = Arc<Mutex<Vec<Sent>>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_keeps_every_final_block() -> Result<()> {
    let kills: u32 = match std::env::var("NOESIS_TEST_KILLS") {
        Ok(text) => text.parse().context("NOESIS_TEST_KILLS is no number")?,
        Err(_) => KILLS,
    };
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut node = Node::start(folder.path(), port)?;
    let chain = node.chain().await?;
    let hotkey = keypair("//Alice//0")?.public_key().0;
    chain
        .register(&keypair("//Alice")?, 0, hotkey, 10 * NOE)
        .await?;

    let calls = Calls::default();
    let mut seen = Finality::new([node.rpc]);
    let mut recoveries = Vec::new();
    let mut latest = Duration::ZERO;
    for kill in 1..=kills {
        let chain = node.chain().await?;
        let mut senders = JoinSet::new();
        for sender in SENDERS {
            let call = match sender == SENDERS[0] {
                true => Call::AddStake {
                    market: 0,
                    hotkey: hotkey.into(),
                    amount: NOE,
                },
                false => Call::Transfer {
                    to: hotkey.into(),
                    amount: NOE,
                },
            };
            senders.spawn(keep_sending(
                chain.clone(),
                keypair(sender)?,
                call,
                calls.clone(),
            ));
        }
        // So that there is something to lose, and more on its way.
        let (start, before) = (Instant::now(), held(&calls).len());
        while held(&calls).len() == before {
            ensure!(
                start.elapsed() < LONG,
                "no call is final after {kill} kills"
            );
            sleep(Duration::from_millis(50)).await;
        }
        let moment = moment_to_kill(kill, &chain, &seen).await?;
        let staked = stake(&chain).await?;
        let best = look_until(moment, &mut seen).await?;
        let late = moment.elapsed();
        // Killed with -9.
        drop(node);
        let start = Instant::now();
        println!("kill {kill}: best block {best}, {late:.1?} after the seeded moment");
        latest = latest.max(late);
        senders.shutdown().await;

        node = Node::start(folder.path(), port)?;
        let kept = stake(&node.chain().await?).await?;
        ensure!(kept >= staked, "{staked} units were staked, now {kept} are");
        let (blocks, missing) = (seen.lost(0)?, missing(&seen, &calls)?);
        ensure!(
            blocks.is_empty() && missing.is_empty(),
            "kill {kill} took final blocks {blocks:?} and final calls {missing:?}"
        );
        seen.until_all_finalized(seen.last(0)? + 1, LONG).await?;
        recoveries.push(start.elapsed().as_secs_f64());
    }

    recoveries.sort_by(f64::total_cmp);
    let (slots, missed) = slots(&seen)?;
    let sent = held(&calls).len();
    println!(
        "{kills} kills, one in {AT_EPOCH} where an epoch begins: seconds until a block is final again p50 {:.1}, p99 \
         (the longest) {:.1}; the latest kill {latest:.1?} after its moment; {missed} of {slots} slots without a block; \
         {} final blocks and {sent} final calls looked for again, none lost",
        recoveries.get(recoveries.len() / 2).context("no kills")?,
        recoveries.last().context("no kills")?,
        seen.finalized[0],
    );
    Ok(())
}

/// What the only neuron has staked, as of the last finalized block.
async fn stake(chain: &Chain) -> Result<u64> {
    let neurons = chain.metagraph(0).await?.neurons;
    Ok(neurons.first().context("the neuron is lost")?.stake)
}

/// Sends a call over and over and remembers those that were final.
async fn keep_sending(chain: Chain, signer: Keypair, call: Call, calls: Calls) {
    loop {
        match chain.send(&signer, &call).await {
            Ok(sent) => held(&calls).push(sent),
            // The node was killed, or the pool has still a call from before.
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// The moment of a kill, three seconds from now at most; where it is to be an epoch's begin, waits for that first.
async fn moment_to_kill(kill: u32, chain: &Chain, seen: &Finality) -> Result<Instant> {
    let mut random = [0; 8];
    random.copy_from_slice(&blake2_256(&kill.to_le_bytes())[..8]);
    let random = u64::from_le_bytes(random);
    if !kill.is_multiple_of(AT_EPOCH) {
        return Ok(Instant::now() + Duration::from_millis(random % 3_000));
    }
    let market = chain.metagraph(0).await?;
    let mut epoch = market.next_epoch_block;
    let start = Instant::now();
    loop {
        let best = seen.best(0)?;
        if best + 1 == epoch {
            break;
        }
        // The market is as of the last final block: since then this epoch may have begun.
        if best >= epoch {
            epoch += market.rules.tempo;
        }
        ensure!(start.elapsed() < LONG, "block {epoch} never came");
        sleep(Duration::from_millis(10)).await;
    }
    // Slots are the seconds of the clock: while the block is made, or brought in, or finalized.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let slot = Duration::from_secs(now.as_secs() + 1) - now;
    println!("kill {kill} is to be in the slot of block {epoch}, where an epoch begins");
    Ok(Instant::now() + slot + Duration::from_millis(random % 150))
}

/// Looks what is final until a moment, again and again, so that little is left to look at when it comes; the best block of
/// then.
async fn look_until(moment: Instant, seen: &mut Finality) -> Result<u32> {
    loop {
        seen.look()?;
        let best = seen.best(0)?;
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(best);
        }
        sleep(left.min(Duration::from_millis(20))).await;
    }
}

/// The calls of those that were final that their blocks do not hold, or whose blocks are not of the finalized chain.
fn missing(seen: &Finality, calls: &Calls) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let last = seen.last(0)?;
    for sent in held(calls).iter() {
        let hash = format!("0x{}", hex::encode(sent.block));
        let block = seen.ask(0, "chain_getBlock", json!([hash]))?["block"].take();
        let height = height(&block["header"]).unwrap_or(u32::MAX);
        let extrinsics = block["extrinsics"].as_array().cloned().unwrap_or_default();
        let is_there = |extrinsic: &Value| {
            let text = extrinsic.as_str().unwrap_or_default();
            let bytes = hex::decode(text.trim_start_matches("0x")).unwrap_or_default();
            blake2_256(&bytes) == sent.transaction
        };
        if height > last || seen.block(0, height)? != hash || !extrinsics.iter().any(is_there) {
            missing.push(format!("{sent:?}"));
        }
    }
    Ok(missing)
}

/// How many slots there were between the first block and the last final one, and how many of them without a block.
fn slots(seen: &Finality) -> Result<(u64, u64)> {
    let slot = |height: u32| -> Result<u64> {
        let header = seen.ask(0, "chain_getHeader", json!([seen.block(0, height)?]))?;
        // What Aura says before the seal: the slot, of eight bytes.
        let logs = header["digest"]["logs"].as_array().context("no digest")?;
        let mut logs = logs.iter().filter_map(Value::as_str);
        let digits = logs.find_map(|log| log.strip_prefix("0x066175726120"));
        let bytes = hex::decode(digits.context("no slot")?)?;
        let bytes = bytes.try_into().ok().context("a slot of another size")?;
        Ok(u64::from_le_bytes(bytes))
    };
    let last = seen.finalized[0];
    let slots = slot(last)? - slot(1)? + 1;
    Ok((slots, slots - u64::from(last)))
}

/// What nobody else has just then.
fn held(calls: &Calls) -> MutexGuard<'_, Vec<Sent>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
