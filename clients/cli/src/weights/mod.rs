//! `noesis weights`: rows of weights, in the clear, or committed to and shown later.

mod kept;
mod row;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use noesis_chain::{commitment, Call, ChainError, MarketError, Metagraph, Uid};
use rand::{rngs::OsRng, TryRngCore};
use serde_json::json;

use crate::{
    exit::Usage,
    flags::{HotkeyFlags, MarketFlags, OutputFlags, SigningFlags, WalletFlags},
    neuron::neuron,
    screen::say,
    settings::Settings,
    table::{self, Column},
    transaction::{carry_out, Fact, Outcome, Plan},
    words::{share, short},
};
use kept::{Due, Kept};

/// Folder of the rows that were committed to, in the wallet's.
const COMMITMENTS: &str = "commitments";

/// What can be done with weights.
#[derive(Subcommand)]
pub enum Command {
    /// Set the row of a hotkey, in a market that takes rows in the clear.
    Set(Set),
    /// Show the row of a hotkey as the chain has it.
    Show(Show),
    /// Commit a hotkey to a row, in a market that hides rows; the row is kept in the wallet's folder.
    Commit(Set),
    /// Show the chain the rows that were committed to and are due.
    Reveal(Reveal),
}

/// Flags of `noesis weights set` and `commit`.
#[derive(Args)]
#[command(after_help = "Examples:
  noesis weights set 1=0.7 4=0.3 --market text --dry-run
  noesis weights commit 1=0.7 4=0.3 --market image      where the market hides rows

Only proportions count. noesis market metagraph shows the uids. A validator of noesis-validator votes by itself.")]
pub struct Set {
    /// The row: for each neuron its uid and a weight.
    #[arg(value_name = "UID=WEIGHT", required = true)]
    row: Vec<String>,
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    hotkey: HotkeyFlags,
    #[command(flatten)]
    signing: SigningFlags,
}

/// Flags of `noesis weights reveal`.
#[derive(Args)]
#[command(after_help = "Example:\n  noesis weights reveal --market text --hotkey judge --yes")]
pub struct Reveal {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    hotkey: HotkeyFlags,
    #[command(flatten)]
    signing: SigningFlags,
}

/// Flags of `noesis weights show`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis weights show --hotkey judge\n  noesis weights show --hotkey 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json"
)]
pub struct Show {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    hotkey: HotkeyFlags,
    #[command(flatten)]
    wallet: WalletFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Does it.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Set(arguments) => set(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Commit(arguments) => commit(arguments).await,
        Command::Reveal(arguments) => reveal(arguments).await,
    }
}

async fn set(arguments: Set) -> Result<()> {
    let settings = Settings::load()?;
    let weights = row::parse(&arguments.row)?;
    let key = arguments
        .hotkey
        .file(&settings, &arguments.signing.wallet)?;
    let (chain, market) = arguments.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let uid = neuron(&metagraph, key.account())?.uid;
    if metagraph.rules.reveal_period > 0 {
        return Err(Usage(format!(
            "market {market} hides its weights: give the same row to noesis weights commit"
        ))
        .into());
    }
    check_held(&metagraph, &weights)?;
    let plan = Plan {
        facts: facts(&metagraph, uid, &weights),
        call: Call::SetWeights { market, weights },
        key: &key,
        costs: 0,
    };
    let told = carry_out(&chain, &settings, &arguments.signing, plan).await?;
    told.print();
    Ok(())
}

async fn commit(arguments: Set) -> Result<()> {
    let settings = Settings::load()?;
    let weights = row::parse(&arguments.row)?;
    let wallet = &arguments.signing.wallet;
    let key = arguments.hotkey.file(&settings, wallet)?;
    let folder = commitments(&settings, wallet)?;
    let (chain, market) = arguments.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let uid = neuron(&metagraph, key.account())?.uid;
    check_held(&metagraph, &weights)?;
    let mut salt = [0; 32];
    OsRng
        .try_fill_bytes(&mut salt)
        .context("the system has no randomness")?;
    let kept = Kept {
        genesis: chain.genesis_hash(),
        market,
        hotkey: key.account(),
        epoch: metagraph.begun,
        weights,
        salt,
    };
    let reveal_in = metagraph.begun + u64::from(metagraph.rules.reveal_period);
    let mut facts = facts(&metagraph, uid, &kept.weights);
    facts.push(Fact::number("reveal_in_epoch", reveal_in));
    let plan = Plan {
        facts,
        call: Call::CommitWeights {
            market,
            hash: commitment(market, uid, &kept.weights, &salt),
        },
        key: &key,
        costs: 0,
    };
    // Kept before it is sent: a commitment whose row is forgotten is worth nothing.
    let path = match arguments.signing.dry_run {
        true => None,
        false => Some(kept.write(&folder)?),
    };
    let outcome = carry_out(&chain, &settings, &arguments.signing, plan).await;
    if let (Err(error), Some(path)) = (&outcome, &path) {
        // One that may have been taken is kept: whether it was is known when the row is shown.
        let uncertain = matches!(error.downcast_ref(), Some(ChainError::Uncertain(_)));
        if !uncertain {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    let mut told = outcome?;
    if let Some(path) = path {
        told.tell("kept", path.display().to_string());
        told.line(format!(
            "the row is kept in {}\nshow it with noesis weights reveal when epoch {reveal_in} runs",
            path.display()
        ));
    }
    told.print();
    Ok(())
}

async fn reveal(arguments: Reveal) -> Result<()> {
    let settings = Settings::load()?;
    let wallet = &arguments.signing.wallet;
    let key = arguments.hotkey.file(&settings, wallet)?;
    let folder = commitments(&settings, wallet)?;
    let (chain, market) = arguments.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let uid = neuron(&metagraph, key.account())?.uid;
    let period = u64::from(metagraph.rules.reveal_period);
    let ours = |kept: &Kept| {
        (kept.genesis, kept.market, kept.hotkey) == (chain.genesis_hash(), market, key.account())
    };
    // A dry run leaves everything as it is.
    let forget = |path: &Path| {
        if !arguments.signing.dry_run {
            let _ = fs::remove_file(path);
        }
    };
    let (mut due, mut next, mut over) = (Vec::new(), None, None);
    for (path, kept) in kept::all(&folder, ours)? {
        match kept.due(period, metagraph.begun) {
            Due::Never => {
                forget(&path);
                over = Some(kept.epoch);
            }
            Due::Now => due.push((path, kept)),
            Due::Later(epoch) => {
                next.get_or_insert(epoch);
            }
        }
    }
    // The newest first: of the commitments of one epoch the last counts. What the chain refuses of the others keeps
    // nobody from showing the one that it takes.
    let (mut gone, mut refused) = (None, None);
    let mut rows = due.into_iter().rev();
    while let Some((path, kept)) = rows.next() {
        let epoch = kept.epoch;
        let plan = Plan {
            // Whomever it names: of one who left since the commitment the edge is void, and the row is not.
            facts: facts(&metagraph, uid, &kept.weights),
            call: Call::RevealWeights {
                market,
                weights: kept.weights,
                salt: kept.salt,
            },
            key: &key,
            costs: 0,
        };
        let error = match carry_out(&chain, &settings, &arguments.signing, plan).await {
            Ok(mut told) => {
                if matches!(told.outcome, Outcome::Done) {
                    forget(&path);
                    // What was committed to before it in the same epoch counts no more.
                    let replaced = rows.filter(|(_, earlier)| earlier.epoch == epoch);
                    replaced.for_each(|(path, _)| forget(&path));
                }
                if let Some(epoch) = over {
                    told.line(lost(epoch));
                }
                told.print();
                return Ok(());
            }
            Err(error) => error,
        };
        match error.downcast_ref() {
            Some(ChainError::Market(
                MarketError::NothingCommitted | MarketError::RevealTooLate,
            )) => {
                forget(&path);
                over = Some(epoch);
                gone.get_or_insert(error);
            }
            Some(ChainError::Market(_)) => {
                refused.get_or_insert(error);
            }
            _ => return Err(error),
        }
    }
    match (refused, next, gone) {
        // What can be mended is told before what is only to be waited for.
        (Some(error), _, _) | (None, None, Some(error)) => Err(error),
        _ => Err(nothing_due(next, over, &metagraph, &folder)),
    }
}

/// What became of the row that was committed to in this epoch.
fn lost(epoch: u64) -> String {
    format!("the row of epoch {epoch} is over: it was not shown in time, or by a call whose answer was lost")
}

/// Why there is no row to show: the first is due in epoch `next`, if there is any, and the last of those whose time is
/// over was committed to in epoch `over`.
fn nothing_due(
    next: Option<u64>,
    over: Option<u64>,
    metagraph: &Metagraph,
    folder: &Path,
) -> anyhow::Error {
    let error = |rule: MarketError| anyhow::Error::new(ChainError::from(rule));
    match (next, over.map(lost)) {
        (Some(epoch), lost) => {
            let due = format!("is due in epoch {epoch}, and {} runs", metagraph.begun);
            error(MarketError::RevealTooEarly).context(match lost {
                Some(lost) => format!("{lost}; the next {due}"),
                None => format!("the row {due}"),
            })
        }
        (None, Some(lost)) => error(MarketError::RevealTooLate).context(lost),
        (None, None) => Usage(format!(
            "{} keeps no row of this hotkey for market {}: noesis weights commit keeps one",
            folder.display(),
            metagraph.market
        ))
        .into(),
    }
}

/// Fails with [`MarketError::UnknownUid`] where a row names a uid that nobody holds.
fn check_held(metagraph: &Metagraph, weights: &[(Uid, u16)]) -> Result<()> {
    let held = |uid: Uid| metagraph.neurons.iter().any(|neuron| neuron.uid == uid);
    match weights.iter().find(|(uid, _)| !held(*uid)) {
        None => Ok(()),
        Some((nobodys, _)) => Err(ChainError::Market(MarketError::UnknownUid))
            .with_context(|| format!("uid {nobodys} in market {}", metagraph.market)),
    }
}

/// What there is to know about a row before it is sent.
fn facts(metagraph: &Metagraph, uid: Uid, weights: &[(Uid, u16)]) -> Vec<Fact> {
    let row: Vec<_> = shares(weights)
        .map(|(uid, share)| format!("{uid}={share:.3}"))
        .collect();
    vec![
        Fact::number("market", metagraph.market.into()),
        Fact::number("uid", uid.into()),
        Fact::both("weights", row.join(" "), json!(weights)),
    ]
}

/// Each edge with its share of the row.
fn shares(weights: &[(Uid, u16)]) -> impl Iterator<Item = (Uid, f64)> + '_ {
    let sum: f64 = weights.iter().map(|(_, weight)| f64::from(*weight)).sum();
    weights
        .iter()
        .map(move |(uid, weight)| (*uid, f64::from(*weight) / sum))
}

/// Where the wallet's rows are kept.
fn commitments(settings: &Settings, wallet: &WalletFlags) -> Result<PathBuf> {
    let coldkey = wallet.folder(settings)?.coldkey(&wallet.name(settings))?;
    Ok(coldkey.with_file_name(COMMITMENTS))
}

async fn show(arguments: Show) -> Result<()> {
    let settings = Settings::load()?;
    let hotkey = arguments.hotkey.account(&settings, &arguments.wallet)?;
    let (chain, market) = arguments.market.open(&settings).await?;
    // Of one block.
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let neuron = neuron(&metagraph, hotkey)?;
    let weights = chain.weights_at(market, neuron.uid, block).await?;
    if arguments.output.json {
        let value = json!({
            "market": market,
            "uid": neuron.uid,
            "set_at": neuron.last_update,
            "weights": weights,
        });
        say(&value.to_string());
        return Ok(());
    }
    let Some(block) = neuron.last_update.filter(|_| !weights.is_empty()) else {
        say(&format!("uid {} has set no weights", neuron.uid));
        return Ok(());
    };
    say(&format!(
        "row of uid {}, set in block {block}\n",
        neuron.uid
    ));
    let who = |(uid, _): &(Uid, u16)| {
        let named = metagraph.neurons.iter().find(|neuron| neuron.uid == *uid);
        named.map_or("-".into(), |neuron| short(neuron.hotkey))
    };
    let columns = vec![
        Column::numbers("uid", weights.iter().map(|(uid, _)| uid.to_string())),
        Column::words("who", weights.iter().map(who)),
        Column::numbers("share", shares(&weights).map(|(_, part)| share(part))),
    ];
    say(&table::text(columns, &[]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exit::code, row::tests::market};

    #[test]
    fn a_row_that_was_not_shown_in_time_is_told_and_is_no_wrong_use() {
        let told = |next, over| {
            let error = nothing_due(next, over, &market(13, 0), Path::new("commitments"));
            (code(&error), format!("{error:#}"))
        };
        let lost = "the row of epoch 9 is over: it was not shown in time";
        let (code, words) = told(None, Some(9));
        assert!(code == 1 && words.starts_with(lost), "{words}");
        let (code, words) = told(Some(14), Some(9));
        assert!(code == 1 && words.starts_with(lost), "{words}");
        assert!(words.contains("the next is due in epoch 14, and 13 runs"));
        let (code, words) = told(Some(14), None);
        assert!(code == 1 && words.starts_with("the row is due in epoch 14"));
        let (code, words) = told(None, None);
        assert!(code == 2 && words.contains("keeps no row"), "{words}");
    }
}
