//! Clients that nobody here wrote. Each has a program in `tests/clients` that plays one recipe with it and
//! prints what came of it; here is what must have come of it.

use crate::cache;
use anyhow::{ensure, Context, Result};
use noesis_chain::{
    find_neuron, keypair, AccountId, BlockNumber, Chain, Metagraph, Neuron, Uid, NOE,
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// The market in which the recipe is played.
const MARKET: u16 = 0;

/// Units that it stakes.
const STAKE: u64 = 5 * NOE;

/// What is said of every client.
const TABLE: &str = include_str!("../../docs/clients.md");

/// How long a program may take. It gives up earlier by itself, saying where it was.
const DEADLINE: Duration = Duration::from_secs(420);

/// What a program prints.
#[derive(Debug, Deserialize)]
struct Report {
    /// The client's own name for itself.
    client: String,
    version: String,
    /// The chain's name, `spec name/spec version` of its runtime, and the version of the metadata it was read with.
    chain: String,
    runtime: String,
    metadata: u32,
    /// The error of a call that failed in its block.
    failed: Refusal,
    /// The error of a free call that the pool refused.
    refused: Refusal,
    /// The finalized block of what follows.
    block: BlockNumber,
    /// The slot of the neuron that staked and set weights, and of it in storage: its keys, its row and
    /// what its hotkey owns.
    uid: Uid,
    neuron: Keys,
    weights: Vec<u16>,
    free: String,
    /// The neurons by the runtime API and by the node's JSON-RPC, from a client that can ask for them.
    metagraph: Option<Vec<Read>>,
    rpc: Option<Vec<Read>>,
}

/// An error as the metadata describes it.
#[derive(Debug, Deserialize)]
struct Refusal {
    name: String,
    docs: String,
}

/// The keys of a neuron.
#[derive(Debug, PartialEq, Deserialize)]
struct Keys {
    hotkey: AccountId,
    coldkey: AccountId,
}

/// What is compared of a neuron; the stake as text, which is exact in every language.
#[derive(Debug, PartialEq, Deserialize)]
struct Read {
    uid: Uid,
    hotkey: AccountId,
    coldkey: AccountId,
    stake: String,
    last_update: Option<BlockNumber>,
}

impl From<&Neuron> for Read {
    fn from(neuron: &Neuron) -> Self {
        Self {
            uid: neuron.uid,
            hotkey: neuron.hotkey,
            coldkey: neuron.coldkey,
            stake: neuron.stake.to_string(),
            last_update: neuron.last_update,
        }
    }
}

/// By which ways a client reads the whole metagraph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// The runtime API, as the metadata describes it.
    pub runtime_api: bool,
    /// The node's JSON-RPC, `market_metagraph`.
    pub json_rpc: bool,
}

impl Ways {
    /// Those of a client that can all.
    pub const BOTH: Self = Self {
        runtime_api: true,
        json_rpc: true,
    };
}

/// Lets a program play the recipe, paid by the coldkey of that secret URI, on the chain of that name.
///
/// Fails unless the recipe was played in full, the client read what `chain` says, by those ways, and
/// `docs/clients.md` names its version.
pub async fn plays(
    program: Command,
    coldkey: &str,
    chain: &Chain,
    name: &str,
    ways: Ways,
) -> Result<()> {
    let hotkeys = [format!("{coldkey}//first"), format!("{coldkey}//second")];
    let report = run(program, coldkey, &hotkeys).await?;
    report.check_chain(name)?;
    report.check_refusals()?;
    let keys = Keys {
        hotkey: keypair(&hotkeys[0])?.public_key().0.into(),
        coldkey: keypair(coldkey)?.public_key().0.into(),
    };
    let metagraph = chain.metagraph_at(MARKET, report.block).await?;
    report.check_neuron(&keys, &metagraph)?;
    report.check_metagraph(&metagraph, ways)
}

/// Runs a program, which must print a report.
async fn run(mut program: Command, coldkey: &str, hotkeys: &[String]) -> Result<Report> {
    program
        .args(["--coldkey", coldkey, "--hotkeys", &hotkeys.join(",")])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(DEADLINE, program.output())
        .await
        .with_context(|| format!("{program:?} hangs"))?
        .with_context(|| format!("{program:?} does not start"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program:?} ended with {}:\n{said}",
        output.status
    );
    serde_json::from_slice(&output.stdout).with_context(|| {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        format!("{program:?} printed no report:\n{printed}\n{said}")
    })
}

impl Report {
    /// The client knows which chain it is on, and the documents know the client.
    fn check_chain(&self, name: &str) -> Result<()> {
        ensure!(
            self.chain == name
                && self.runtime.starts_with("noesis/")
                && (14..=16).contains(&self.metadata),
            "{self:?}"
        );
        let line = format!(
            "| `{}` | {} | {} |",
            self.client, self.version, self.metadata
        );
        ensure!(
            TABLE.contains(&line),
            "docs/clients.md has no line that begins with {line}"
        );
        Ok(())
    }

    /// Refusals come in the runtime's own words, so that a wallet can show them.
    fn check_refusals(&self) -> Result<()> {
        let words = |refusal: &Refusal, name: &str, part: &str| {
            refusal.name == name && refusal.docs.contains(part)
        };
        ensure!(
            words(&self.failed, "CostAboveMaximum", "max_cost")
                && words(&self.refused, "UnknownUid", "slot is empty"),
            "{:?} {:?}",
            self.failed,
            self.refused
        );
        Ok(())
    }

    /// The neuron has its slot, its stake and its row, and its hotkey paid nothing for it.
    fn check_neuron(&self, keys: &Keys, metagraph: &Metagraph) -> Result<()> {
        let neuron = find_neuron(metagraph, &keys.hotkey.0).context("the hotkey has no slot")?;
        ensure!(
            neuron.uid == self.uid
                && neuron.coldkey == keys.coldkey
                && neuron.stake >= STAKE
                && neuron.last_update.is_some(),
            "{neuron:?}"
        );
        ensure!(
            self.neuron == *keys && self.weights == [u16::MAX] && self.free == "0",
            "{self:?}"
        );
        Ok(())
    }

    /// The client reads the same metagraph as everybody.
    fn check_metagraph(&self, metagraph: &Metagraph, ways: Ways) -> Result<()> {
        let expected: Vec<Read> = metagraph.neurons.iter().map(Read::from).collect();
        for (what, wanted, read) in [
            ("the runtime API", ways.runtime_api, &self.metagraph),
            ("JSON-RPC", ways.json_rpc, &self.rpc),
        ] {
            ensure!(
                read.is_some() == wanted && read.iter().all(|read| *read == expected),
                "the metagraph by {what} is {read:?}, and {expected:?} in the chain"
            );
        }
        Ok(())
    }
}

/// A program in Python, of the interpreter that `scripts/setup` put into that folder of the cache.
pub fn python(folder: &str, program: &str) -> Result<Command> {
    let python = installed(&format!("{folder}/bin/python"), "test")?;
    let mut command = Command::new(python);
    command
        .arg(programs("python").join(program))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// A program in JavaScript, put into `folder` beside the packages that `scripts/setup full` installed: that is
/// where Node.js looks for them.
pub fn javascript(folder: &Path, program: &str) -> Result<Command> {
    let packages = installed("clients/node_modules", "full")?;
    for file in std::fs::read_dir(programs("javascript"))? {
        let file = file?;
        std::fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    std::os::unix::fs::symlink(packages, folder.join("node_modules"))?;
    let mut command = Command::new("node");
    command.arg(folder.join(program));
    Ok(command)
}

/// The programs in that language.
fn programs(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(language)
}

/// Something in the cache that `scripts/setup` put there.
fn installed(path: &str, by: &str) -> Result<PathBuf> {
    let path = cache()?.join(path);
    ensure!(
        path.exists(),
        "{} is missing: run scripts/setup {by}",
        path.display()
    );
    Ok(path)
}
