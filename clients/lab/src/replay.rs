//! An epoch of a running chain, computed again and compared with what the chain stored.

mod compare;

use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use indicatif::ProgressBar;
use noesis_chain::{market_state::EpochSummary, BlockNumber, Chain, MarketId, StateError};
use serde::Serialize;
use tokio::runtime;

use crate::report::{say, Format, Report, Table, Value};
use compare::{Comparison, Replay};
use noesis_chart::Chart;

/// Most uids that are named in a sentence.
const UIDS_IN_WORDS: usize = 16;

/// Flags of `noesis-lab replay`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis-lab replay --market text\n  noesis-lab replay --epoch 7 --format json --url ws://127.0.0.1:9900 | jq '.rows[].largest_difference'\n\nThe node must still keep the state of the block before the epoch and of the one that finished it: some 256 blocks back, or all of them with --state-pruning archive. How many units were due is the schedule's affair and taken from the chain; all else is computed. Ends with 1 where anything differs."
)]
pub struct Flags {
    /// Which market: by its number, or by what it trades, such as text.
    #[arg(long, default_value = "text")]
    market: String,
    /// Address of the node.
    #[arg(long, default_value = "ws://127.0.0.1:9944")]
    url: String,
    /// Which epoch, by its number from 1; the last finished one where it is not given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epoch: Option<u64>,
}

/// Reads, computes, compares and prints; fails where anything differs.
pub fn run(flags: &Flags, format: Format) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the system gives no thread to wait for the node")?;
    let (market, replay) = runtime.block_on(replay(flags))?;
    say(&print(market, &replay, format)?)?;
    ensure!(
        replay.agrees(),
        "epoch {} of market {market} is not what the chain stored: {}",
        replay.epoch.epoch,
        differences(&replay)
    );
    Ok(())
}

async fn replay(flags: &Flags) -> Result<(MarketId, Replay)> {
    let chain = Chain::connect(&flags.url).await?;
    let market = chain.find_market(&flags.market).await?;
    let epoch = find_epoch(&chain, market, flags.epoch).await?;
    let state = async |block| {
        let progress = ProgressBar::new(0);
        let seen = |rows: usize, neurons: usize| {
            progress.set_length(neurons as u64);
            progress.set_position(rows as u64);
        };
        let state = chain.market_state(market, block, seen).await;
        progress.finish_and_clear();
        state
    };
    // An epoch is one of the state before the block at whose start it began.
    let before = state(epoch.began.saturating_sub(1)).await?;
    let after = state(epoch.finished).await?;
    ensure!(
        after.epoch == epoch && before.epoch.epoch.checked_add(1) == Some(epoch.epoch),
        "the node's answers contradict each other: epoch {} is not that between blocks {} and {}; try again, or ask another node",
        epoch.epoch,
        epoch.began,
        epoch.finished
    );
    Ok((market, Replay::new(before, &after)?))
}

/// What the chain says of epoch `wanted`, or of the last finished one.
async fn find_epoch(chain: &Chain, market: MarketId, wanted: Option<u64>) -> Result<EpochSummary> {
    let head = chain.finalized_block().await?;
    let mut found = chain.epoch_after(market, head).await?;
    ensure!(
        found.epoch > 0,
        "market {market} has finished no epoch up to block {head}: wait for the first (noesis market show --market {market} says when it is due)"
    );
    let wanted = wanted.unwrap_or(found.epoch);
    ensure!(
        wanted <= found.epoch,
        "epoch {wanted} of market {market} is not finished: the last one is {}; give --epoch 1 to {}, or wait",
        found.epoch,
        found.epoch
    );
    // Between these two blocks are those after which `wanted` was the last: after `low` fewer epochs were
    // finished, or the node has forgotten; the one that began in `high` comes after it.
    let (mut low, mut high): (BlockNumber, BlockNumber) = (0, found.began);
    let mut pruned = None;
    while found.epoch != wanted && high.saturating_sub(low) > 1 {
        let middle = low.midpoint(high);
        match chain.epoch_after(market, middle).await {
            Ok(epoch) if epoch.epoch < wanted => low = middle,
            Ok(epoch) => {
                high = epoch.began;
                found = epoch;
            }
            Err(reason @ StateError::Pruned { .. }) => {
                low = middle;
                pruned = Some(reason);
            }
            Err(reason) => return Err(reason.into()),
        }
    }
    if found.epoch == wanted {
        return Ok(found);
    }
    match pruned {
        Some(reason) => Err(reason).with_context(|| {
            format!(
                "epoch {wanted} is too long ago, the first that is still known is {}",
                found.epoch
            )
        }),
        None => bail!("the node's answers contradict each other: no block finished epoch {wanted}; try again, or ask another node"),
    }
}

/// What was found, in a format, without the last newline.
fn print(market: MarketId, replay: &Replay, format: Format) -> Result<String> {
    let question = format!(
        "Does epoch {} of market {market}, computed again, give what the chain stored?",
        replay.epoch.epoch
    );
    let answer = answer(replay);
    let epoch = &replay.epoch;
    Ok(match format {
        Format::Text => {
            let row = |comparison: &Comparison| {
                vec![
                    Value::Word(comparison.column),
                    Value::Count(comparison.compared),
                    Value::Count(comparison.differing),
                    Value::Count(comparison.largest_difference),
                ]
            };
            let report = Report {
                question,
                answer,
                table: Table {
                    columns: vec!["column", "compared", "differing", "largest_difference"],
                    rows: replay.rows.iter().map(row).collect(),
                },
                reading: None,
                chart: Chart::default(),
            };
            report.print(Format::Text)?
        }
        Format::Csv => {
            let mut lines = vec![
                "epoch,began,finished,neurons,edges,changed_hands,column,compared,differing,largest_difference,uids".to_string(),
            ];
            lines.extend(replay.rows.iter().map(|row| {
                let uids: Vec<_> = row.uids.iter().map(ToString::to_string).collect();
                format!(
                    "{},{},{},{},{},{},{},{},{},{},{}",
                    epoch.epoch,
                    epoch.began,
                    epoch.finished,
                    replay.neurons,
                    replay.edges,
                    replay.changed_hands,
                    row.column,
                    row.compared,
                    row.differing,
                    row.largest_difference,
                    uids.join(" ")
                )
            }));
            lines.join("\n")
        }
        Format::Json => serde_json::to_string_pretty(&Printed {
            question: &question,
            answer: &answer,
            market,
            epoch: epoch.epoch,
            began: epoch.began,
            finished: epoch.finished,
            neurons: replay.neurons,
            edges: replay.edges,
            changed_hands: replay.changed_hands,
            in_consensus: epoch.in_consensus,
            minted: epoch.minted,
            rows: &replay.rows,
        })?,
    })
}

/// All of it, for programs.
#[derive(Serialize)]
struct Printed<'a> {
    question: &'a str,
    answer: &'a str,
    market: MarketId,
    epoch: u64,
    began: BlockNumber,
    finished: BlockNumber,
    neurons: u64,
    edges: u64,
    changed_hands: u64,
    in_consensus: bool,
    minted: u64,
    rows: &'a [Comparison],
}

fn answer(replay: &Replay) -> String {
    let epoch = &replay.epoch;
    let verdict = if replay.agrees() {
        "Yes, to the last digit.".into()
    } else {
        format!("No: {}.", differences(replay))
    };
    let minted = match (epoch.minted, epoch.in_consensus) {
        (0, true) => "in consensus, yet nothing was minted".into(),
        (0, false) => "not in consensus, so nothing was minted".into(),
        (units, _) => format!("{units} units were minted"),
    };
    let changed = match replay.changed_hands {
        0 => String::new(),
        1 => " One slot changed hands before it was finished, and has nothing.".into(),
        slots => format!(" {slots} slots changed hands before it was finished, and have nothing."),
    };
    format!(
        "{verdict} Neurons: {}, edges: {}, on the state after block {}; finished in block {}, {minted}.{changed}",
        replay.neurons,
        replay.edges,
        epoch.began.saturating_sub(1),
        epoch.finished,
    )
}

/// What differs, of whom, and by how much.
fn differences(replay: &Replay) -> String {
    let different = replay.rows.iter().filter(|row| row.differing > 0);
    let words = different.map(|row| {
        let named: Vec<_> = row.uids.iter().take(UIDS_IN_WORDS).collect();
        let named: Vec<_> = named.into_iter().map(ToString::to_string).collect();
        let whose = match (row.uids.len(), row.uids.len().saturating_sub(named.len())) {
            (0, _) => String::new(),
            (1, _) => format!(" of uid {}", named.join(", ")),
            (_, 0) => format!(" of uids {}", named.join(", ")),
            (_, more) => format!(" of uids {} and {more} more", named.join(", ")),
        };
        format!(
            "{}{whose} (by up to {})",
            row.column, row.largest_difference
        )
    });
    words.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
