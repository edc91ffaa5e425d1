//! `noesis localnet`: a whole network on this machine, and a table in which worth becomes pay.

mod board;
mod members;
mod network;
mod neuron;
mod report;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{builder::PossibleValuesParser, Args};

use crate::{
    exit::Usage,
    local::{
        folder,
        plan::{binaries, data, Member, Plan, MARKETS},
        process::{Supervisor, GRACE},
        report_file,
        training::Training,
    },
    screen::{ended, on_terminal, say},
};
pub use members::{members, members_of};
use network::Network;

/// What `--market` says for all of them.
const ALL: &str = "all";

/// Flags of `noesis localnet`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis localnet --data bible.txt\n  noesis localnet --data bible.txt --epochs 3 --json out.json\n  noesis localnet --data bible.txt --base-port 9950 --folder /tmp/second   (beside the first)\n  noesis localnet --market all"
)]
pub struct Arguments {
    /// What is learned: a text, a plain file or one with a verse a line [default: the file that NOESIS_DATA
    /// names]; or for image and tensor a folder of images [default: the one that NOESIS_IMAGES names].
    #[arg(long, value_name = "FILE or FOLDER")]
    data: Option<PathBuf>,
    /// End after so many paid epochs, and print lines instead of a table.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Write what the table showed at each paid epoch into this file, as JSON. Amounts in it (stake,
    /// pay, minted) are exact, in units of 10^-9 NOE; losses of the validators are nats a byte or image.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of chain, checkpoints and logs; made fresh at every start [default:
    /// noesis-localnet-PORT in the temporary folder].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Folder in which the trained miner's checkpoint is kept for the next network.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "NOESIS_CACHE",
        hide_env_values = true
    )]
    cache: Option<PathBuf>,
    /// First of the network's 30 ports: JSON-RPC here, the node's peers one above, miners from 11 above.
    #[arg(long, default_value_t = 9900)]
    base_port: u16,
    /// Where all randomness comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the market trades; or all three markets on one chain, with three neurons each.
    #[arg(long, default_value = "text", value_parser = PossibleValuesParser::new(MARKETS.into_iter().chain([ALL])))]
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
    /// Check what was asked for, and end: what scripts/localnet does before it builds the rest.
    #[arg(long, hide = true)]
    check: bool,
}

impl Arguments {
    /// The plan of each market that the flags and the environment ask for, of which there is one at least.
    fn plans(&self) -> Result<Vec<Plan>> {
        if self.market != ALL {
            return Ok(vec![self.plan(&self.market, members(), 0)?]);
        }
        if self.data.is_some() {
            return Err(Usage(
                "--data names what one market learns, and --market all has three: leave it out, or set \
                 NOESIS_DATA to the text and NOESIS_IMAGES to the folder of images"
                    .into(),
            )
            .into());
        }
        let mut plans: Vec<Plan> = Vec::new();
        for market in MARKETS {
            let before = plans.iter().map(|plan| plan.members.len()).sum::<usize>();
            plans.push(self.plan(market, members_of(market), before as u16)?); // at most a few
        }
        Ok(plans)
    }

    /// The plan of a market with these members, after those of other markets.
    fn plan(&self, market: &str, members: Vec<Member>, before: u16) -> Result<Plan> {
        let folder = self.folder.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("noesis-localnet-{}", self.base_port))
        });
        Ok(Plan {
            binaries: binaries(self.binaries.as_deref())?,
            data: data(market, self.data.as_deref())?,
            // Processes and hints get whole paths.
            folder: std::path::absolute(folder)?,
            base_port: self.base_port,
            seed: self.seed,
            market: market.into(),
            members,
            before,
        })
    }

    /// How long the network may take after the training.
    fn limit(&self) -> Option<Duration> {
        let default = self.epochs.map(|epochs| 300 + 30 * u64::from(epochs));
        self.timeout.or(default).map(Duration::from_secs)
    }

    /// Whether there is a table, or lines.
    fn table(&self) -> bool {
        self.epochs.is_none() && on_terminal()
    }
}

/// Runs the network until it is told to end, has paid enough epochs, or fails. Ends every process it
/// started in each case.
pub async fn run(arguments: Arguments) -> Result<()> {
    let ended = ended()?;
    let plans = arguments.plans()?;
    report_file::check("--json", arguments.json.as_deref())?;
    for plan in &plans {
        folder::check(&plan.folder)?;
        // Before the set-up the text that it fetches may be missing, but not one that was asked for.
        if arguments.data.is_some() || !arguments.check {
            plan.check_data()?;
        }
        plan.check_ports()?;
        if !arguments.check {
            plan.check_programs()?;
        }
    }
    if arguments.check {
        return Ok(());
    }
    // All have one.
    let _lock = folder::take(&plans[0].folder)?;
    let mut supervisor = Supervisor::default();
    let outcome = tokio::select! {
        outcome = work(&arguments, &plans, &mut supervisor) => outcome,
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

async fn work(arguments: &Arguments, plans: &[Plan], supervisor: &mut Supervisor) -> Result<()> {
    for plan in plans {
        let training = Training {
            plan,
            index: members::TRAINED,
            steps: arguments.train_steps,
        };
        training
            .prepare(arguments.cache.as_deref(), supervisor)
            .await?;
    }
    // The training took its time, in which somebody else may have come.
    for plan in plans {
        plan.check_ports()?;
    }
    say(&format!(
        "starting the network; logs in {}",
        plans[0].logs().display()
    ));
    let network = Network::new(arguments, plans, supervisor)?;
    network.run().await
}
