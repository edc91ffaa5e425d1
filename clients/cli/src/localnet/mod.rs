//! `noesis localnet`: a whole network on this machine, and a table in which worth becomes pay.

mod error;
mod events;
mod network;
mod plan;
mod process;
mod report;
mod training;

use std::{io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::{bail, Result};
use clap::Args;

use crate::screen::{ended, say};
use network::Network;
use plan::Plan;
use process::Supervisor;

/// How long the neurons together, and then the node, may take to end when asked to.
const GRACE: Duration = Duration::from_secs(8);

/// Flags of `noesis localnet`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis localnet --data bible.txt\n  noesis localnet --data bible.txt --epochs 3 --json out.json\n  noesis localnet --data bible.txt --base-port 9950 --folder /tmp/second   (beside the first)"
)]
pub struct Arguments {
    /// The text that is learned: a plain file, or one with a verse a line.
    #[arg(long)]
    data: PathBuf,
    /// End after so many paid epochs, and print lines instead of a table.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Write what the table showed at each paid epoch into this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder of chain, checkpoints and logs; made fresh at every start.
    #[arg(
        long,
        help = "Folder of chain, checkpoints and logs; made fresh at every start [default: noesis-localnet-PORT in the temporary folder]"
    )]
    folder: Option<PathBuf>,
    /// Folder in which the trained miner's checkpoint is kept for the next network.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// First of the network's 30 ports: JSON-RPC here, the node's peers one above, miners from 11 above.
    #[arg(long, default_value_t = 9900)]
    base_port: u16,
    /// Where all randomness comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the market trades.
    #[arg(long, default_value = "text", value_parser = ["text"])]
    market: String,
    /// Steps of the trained miner's training.
    #[arg(long, default_value_t = 1500)]
    train_steps: u32,
    /// Fail when it takes longer than this after the training [default with --epochs: 300, and 30 for
    /// each epoch].
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Folder of noesis-node, noesis-miner and noesis-validator [default: where noesis lies].
    #[arg(long)]
    binaries: Option<PathBuf>,
}

impl Arguments {
    /// How long the network may take after the training.
    fn limit(&self) -> Option<Duration> {
        let default = self.epochs.map(|epochs| 300 + 30 * u64::from(epochs));
        self.timeout.or(default).map(Duration::from_secs)
    }

    /// Whether there is a table, or lines.
    fn table(&self) -> bool {
        self.epochs.is_none() && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
    }
}

/// Runs the network until it is told to end, has paid enough epochs, or fails. Ends every process it
/// started in each case.
pub async fn run(arguments: Arguments) -> Result<()> {
    let ended = ended()?;
    let plan = Plan::new(&arguments)?;
    plan.check()?;
    let _lock = plan::take_folder(&plan.folder)?;
    let mut supervisor = Supervisor::default();
    let outcome = tokio::select! {
        outcome = work(&arguments, &plan, &mut supervisor) => outcome,
        () = ended => match arguments.epochs {
            Some(epochs) => Err(anyhow::anyhow!("told to end before {epochs} epochs were paid")),
            None => Ok(()),
        },
    };
    let forced = supervisor.stop(GRACE).await;
    if !forced.is_empty() {
        eprintln!(
            "ended by force, for they did not end when asked: {}",
            forced.join(", ")
        );
    }
    outcome
}

async fn work(arguments: &Arguments, plan: &Plan, supervisor: &mut Supervisor) -> Result<()> {
    if let Some(json) = &arguments.json {
        // Now rather than after an hour.
        if !std::path::absolute(json)?
            .parent()
            .is_some_and(|folder| folder.is_dir())
        {
            bail!(
                "--json {}: give a path in a folder that exists",
                json.display()
            );
        }
    }
    say(&format!(
        "training the miner `trained` for {} steps, once",
        plan.train_steps
    ));
    training::prepare(plan, arguments.cache.as_deref(), supervisor).await?;
    // The training took its time, in which somebody else may have come.
    plan.check_ports()?;
    say(&format!(
        "starting the network; logs in {}",
        plan.logs().display()
    ));
    let network = Network::new(arguments, plan, supervisor)?;
    network.run().await
}
