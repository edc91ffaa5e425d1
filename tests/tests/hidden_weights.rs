//! A market that hides weights: what was committed to is shown an epoch later and counts from then on, a
//! validator that ends in between still shows it, and a miner is paid for what the programs vote.

use anyhow::{bail, ensure, Context, Result};
use noesis_chain::{
    commitment, find_neuron, keypair, Chain, ChainError, Keypair, MarketError, Metagraph, NOE,
};
use noesis_tests::{free_port, neuron, Node, Process};
use noesis_validator::{
    market::{follow, vote, View, Vote},
    promises::Kept,
};
use serde_json::Value;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

const TEXT: u16 = 0;
const ROW: [(u16, u16); 1] = [(1, 65_535)];

/// A market with epochs of ten seconds in which rows are shown one epoch later.
fn node(folder: &Path) -> Result<Node> {
    Node::start_with(&[("reveal_period", 1.into())], folder, free_port()?)
}

/// A validator with stake at uid 0, and somebody who serves at uid 1; their hotkeys.
async fn neurons(chain: &Chain) -> Result<[Keypair; 2]> {
    let alice = keypair("//Alice")?;
    let hotkeys = [keypair("//Alice//0")?, keypair("//Alice//1")?];
    let ids = [&hotkeys[0], &hotkeys[1]].map(|hotkey| hotkey.public_key().0);
    for id in ids {
        chain.register(&alice, TEXT, id, 10 * NOE).await?;
    }
    chain.add_stake(&alice, TEXT, ids[0], 100 * NOE).await?;
    // Nobody votes for a neuron that serves nowhere.
    chain.serve(&hotkeys[1], TEXT, "127.0.0.1:9", None).await?;
    Ok(hotkeys)
}

/// The market as soon as so many epochs are finished.
async fn epoch(chain: &Chain, number: u64) -> Result<Metagraph> {
    let start = Instant::now();
    loop {
        let metagraph = chain.metagraph(TEXT).await?;
        if metagraph.epoch >= number {
            return Ok(metagraph);
        }
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "no epoch {number}"
        );
        sleep(Duration::from_millis(200)).await;
    }
}

fn refused(result: Result<(), ChainError>, expected: MarketError) -> Result<()> {
    match result {
        Err(ChainError::Market(reason)) if reason == expected => Ok(()),
        other => bail!("expected {expected:?}, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_committed_to_and_shown_an_epoch_later() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = node(folder.path())?;
    let chain = node.chain().await?;
    let [hotkey, _] = neurons(&chain).await?;
    let salt = [7; 32];
    let reveal = |salt| chain.reveal_weights(&hotkey, TEXT, &ROW, salt);

    refused(
        chain.set_weights(&hotkey, TEXT, &ROW).await,
        MarketError::CommitFirst,
    )?;
    refused(reveal(salt).await, MarketError::NothingCommitted)?;
    // At the beginning of an epoch, so that what follows falls into it.
    let begun = epoch(&chain, chain.metagraph(TEXT).await?.epoch + 1).await?;
    let hash = commitment(TEXT, 0, &ROW, &salt);
    chain.commit_weights(&hotkey, TEXT, hash).await?;
    refused(reveal(salt).await, MarketError::RevealTooEarly)?;
    refused(reveal([8; 32]).await, MarketError::NothingCommitted)?;

    epoch(&chain, begun.epoch + 1).await?;
    reveal(salt).await?;
    refused(reveal(salt).await, MarketError::NothingCommitted)?;
    let metagraph = chain.metagraph(TEXT).await?;
    let set_at = metagraph.neurons[0].last_update.context("no weights")?;
    ensure!(
        (begun.block..begun.next_epoch_block).contains(&set_at),
        "it counts as of block {set_at}, not of the commitment"
    );
    let paid = epoch(&chain, begun.epoch + 2).await?;
    ensure!(paid.minted > 0 && paid.neurons[1].pay > 0, "{paid:?}");
    Ok(())
}

/// A validator's dealings with the chain, without its training.
struct Voting {
    task: JoinHandle<()>,
    votes: mpsc::Receiver<Vote>,
    // The loop's end of the channel: without it voting ends.
    _scores: watch::Sender<Vec<([u8; 32], f64)>>,
}

fn start_voting(
    chain: &Chain,
    hotkey: &Keypair,
    peer: &Keypair,
    kept: &Path,
    view: &watch::Receiver<Option<Arc<View>>>,
) -> Voting {
    let (scores, read) = watch::channel(vec![(peer.public_key().0, 1.0)]);
    let (sender, votes) = mpsc::channel(16);
    let kept = Kept::open(kept.into()).expect("the folder is ours");
    let task = vote(
        chain.clone(),
        hotkey.clone(),
        TEXT,
        kept,
        view.clone(),
        read,
        sender,
    );
    Voting {
        task: tokio::spawn(task),
        votes,
        _scores: scores,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_starts_again_shows_what_it_had_committed_to() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = node(folder.path())?;
    let chain = node.chain().await?;
    let [hotkey, peer] = neurons(&chain).await?;
    let file = folder.path().join("commitments.json");
    let (sender, mut view) = watch::channel(None);
    tokio::spawn(follow(chain.clone(), TEXT, sender));

    let begun = epoch(&chain, chain.metagraph(TEXT).await?.epoch + 1).await?;
    let first = start_voting(&chain, &hotkey, &peer, &file, &view);
    // Long enough for the commitment to be finalized, and not into the next epoch.
    let seen = |seen: &Option<Arc<View>>| {
        let block = seen.as_ref().map_or(0, |view| view.block);
        block + 3 >= begun.next_epoch_block
    };
    timeout(Duration::from_secs(30), view.wait_for(seen)).await??;
    let ended = view.borrow().as_ref().map_or(0, |view| view.block);
    first.task.abort();
    ensure!(
        std::fs::read_to_string(&file)?.contains("65535"),
        "no row was committed to"
    );

    let mut again = start_voting(&chain, &hotkey, &peer, &file, &view);
    for number in [begun.epoch, begun.epoch + 1] {
        let vote = timeout(Duration::from_secs(30), again.votes.recv()).await?;
        let vote = vote.context("the validator no longer votes")?;
        ensure!(vote.epoch == number && vote.weights == ROW, "{vote:?}");
        let metagraph = chain.metagraph(TEXT).await?;
        let neuron = find_neuron(&metagraph, &hotkey.public_key().0).context("it left")?;
        let set_at = neuron.last_update.context("no weights")?;
        // The first row was committed to before the end, the second in the epoch after it.
        ensure!(
            (set_at <= ended) == (number == begun.epoch),
            "the row of epoch {number} counts as of block {set_at}; the validator ended in {ended}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_commit_and_reveal_and_the_miner_is_paid() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let mut node = node(path)?;
    let url = node.url.clone();
    let chain = node.chain().await?;
    // One that knows more than the validator for as long as this takes: two beginners teach each other nothing.
    let mut training = neuron("noesis-miner", "//Charlie", &url, path)?;
    let trained = training.args(["--train-only", "--steps", "400"]).output()?;
    ensure!(trained.status.success(), "{trained:?}");
    let mut miner = neuron("noesis-miner", "//Charlie", &url, path)?;
    miner
        .args(["--steps", "0"])
        .arg("--listen")
        .arg(format!("127.0.0.1:{}", free_port()?));
    let mut miner = Process::start(&mut miner, &path.join("miner.log"))?;
    let mut validator = neuron("noesis-validator", "//Alice", &url, path)?;
    let log = path.join("validator.log");
    let mut validator = Process::start(&mut validator, &log)?;

    let start = Instant::now();
    let hotkey = keypair("//Charlie//hotkey")?.public_key().0;
    let paid = loop {
        let metagraph = chain.metagraph(TEXT).await?;
        if find_neuron(&metagraph, &hotkey).is_some_and(|miner| miner.pay > 0) {
            break metagraph;
        }
        ensure!(
            miner.is_running()?
                && validator.is_running()?
                && start.elapsed() < Duration::from_secs(150),
            "the miner was not paid; the validator's log:\n{}",
            std::fs::read_to_string(&log)?
        );
        sleep(Duration::from_millis(200)).await;
    };
    // Only what was shown counts in such a market; the validator tells of rows that were.
    let events = std::fs::read_to_string(path.join("noesis-validator.jsonl"))?;
    let events: Vec<Value> = (events.lines())
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let shown = events.iter().find(|event| event["event"] == "weights");
    let made = shown.and_then(|event| event["epoch"].as_u64());
    let made = made.context("the validator tells of no row that was shown")?;
    ensure!(
        paid.epoch >= made + 2,
        "a row of epoch {made} cannot count before epoch {}, and epoch {} was paid",
        made + 2,
        paid.epoch
    );
    Ok(())
}
