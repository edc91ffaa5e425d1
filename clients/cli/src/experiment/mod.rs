//! `noesis experiment`: does the market pay usefulness, and does the network teach? A whole market on this
//! machine, seed by seed, and the figures that answer it.

mod cast;
mod figures;
mod observed;
mod picture;
mod progress;
mod trial;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    local::{
        folder,
        plan::{binaries, data, Plan, MARKETS},
        report_file,
    },
    screen::{ended, say},
};
use figures::Figures;
use progress::Progress;
use trial::Trial;

/// The greatest first seed, and the most steps: of both a thousand times as much has to be a number, too.
const MOST: u64 = 1_000_000_000_000_000;

/// Flags of `noesis experiment`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis experiment text --data bible.txt\n  noesis experiment text --data bible.txt --seeds 3 --json text.json --plot text\n  noesis experiment image --data fashion-mnist\n\nFor each seed: eight honest miners, trained for 1500 steps down to none, one that answers noise, one\nthat is silent, one that answers what the best of the others answers and, of text alone, one that writes\nthe next token of its input into its answer; two validators with little data of their own."
)]
pub struct Arguments {
    /// The market.
    #[arg(default_value = "text", value_parser = MARKETS)]
    market: String,
    /// How many seeds, from --first-seed on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=MOST))]
    first_seed: u64,
    /// Steps of training of each validator; 1500 unless said otherwise in the markets of images and vectors, where a
    /// step takes longer.
    #[arg(
        long,
        default_value_t = 2000,
        default_value_ifs([("market", "image", "1500"), ("market", "tensor", "1500")]),
        value_parser = clap::value_parser!(u64).range(100..=MOST)
    )]
    steps: u64,
    /// Held-out examples by which everybody is measured at the end.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(64..=65536))]
    examples: u32,
    /// Write the figures of each seed into this file, as JSON; anew after each seed.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the curves into files whose names begin so: NAME-losses.svg, NAME-incentives.svg, and as PNG.
    #[arg(long, value_name = "NAME")]
    plot: Option<PathBuf>,
    /// What is learned: a text [default: the file that NOESIS_DATA names]; or for image and tensor a folder of
    /// images [default: the one that NOESIS_IMAGES names].
    #[arg(long, value_name = "FILE or FOLDER")]
    data: Option<PathBuf>,
    /// Folder of chain, checkpoints and logs; made fresh for every seed [default:
    /// noesis-experiment-PORT in the temporary folder].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Folder in which trained miners are kept for the next time.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "NOESIS_CACHE",
        hide_env_values = true
    )]
    cache: Option<PathBuf>,
    /// First of the network's 30 ports.
    #[arg(long, default_value_t = 9860)]
    base_port: u16,
    /// Folder of noesis-node, noesis-miner and noesis-validator [default: where noesis lies].
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Check what was asked for, and end: what scripts/experiment does before it builds the rest.
    #[arg(long, hide = true)]
    check: bool,
}

impl Arguments {
    /// The plan of one seed.
    fn plan(&self, seed: u64) -> Result<Plan> {
        let folder = self.folder.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("noesis-experiment-{}", self.base_port))
        });
        let cast = cast::cast(&self.market, self.steps, self.examples)?;
        Ok(Plan {
            binaries: binaries(self.binaries.as_deref())?,
            data: data(&self.market, self.data.as_deref())?,
            folder: std::path::absolute(folder)?,
            base_port: self.base_port,
            // Members' seeds are the next ones: far enough from another seed's.
            seed: seed * 1000,
            market: self.market.clone(),
            members: cast.into_iter().map(|actor| actor.member).collect(),
            before: 0,
        })
    }

    /// Checks what can be known before anything starts.
    fn check(&self, plan: &Plan) -> Result<()> {
        folder::check(&plan.folder)?;
        report_file::check("--json", self.json.as_deref())?;
        report_file::check("--plot", self.plot.as_deref())?;
        if self.data.is_some() || !self.check {
            plan.check_data()?;
        }
        Ok(plan.check_ports()?)
    }
}

/// Runs all seeds and prints the figures.
pub async fn run(arguments: Arguments) -> Result<()> {
    let ended = ended()?;
    let plan = arguments.plan(arguments.first_seed)?;
    arguments.check(&plan)?;
    if arguments.check {
        return Ok(());
    }
    plan.check_programs()?;
    tokio::select! {
        outcome = work(&arguments) => outcome,
        () = ended => anyhow::bail!("told to end before all seeds were done"),
    }
}

async fn work(arguments: &Arguments) -> Result<()> {
    let cast = cast::cast(&arguments.market, arguments.steps, arguments.examples)?;
    let mut progress = Progress::new(arguments.seeds, arguments.steps);
    let (mut all, mut curve) = (Vec::new(), None);
    for (number, seed) in (0..arguments.seeds).zip(arguments.first_seed..) {
        progress.seed(number);
        let plan = arguments.plan(seed)?;
        let _lock = folder::take(&plan.folder)?;
        let trial = Trial {
            plan: &plan,
            cast: &cast,
            cache: arguments.cache.as_deref(),
            examples: arguments.examples,
        };
        let outcome = trial
            .run(&mut progress)
            .await
            .with_context(|| format!("seed {seed}"))?;
        all.push(Figures {
            seed,
            ..outcome.figures
        });
        curve.get_or_insert(outcome.curve);
        if let Some(path) = &arguments.json {
            let report = serde_json::json!({ "market": arguments.market, "seeds": all });
            report_file::write(path, &report)?;
        }
    }
    progress.finish();
    say(&figures::table(&all));
    if let (Some(out), Some(curve)) = (&arguments.plot, curve) {
        for file in picture::draw(out, &curve, &all)? {
            say(&format!("drew {}", file.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_greatest_numbers_can_be_counted_and_greater_ones_are_refused() {
        let parse = |flag: &str, number: u64| {
            Line::try_parse_from(["noesis", "--data", "text", flag, &number.to_string()])
        };
        for flag in ["--first-seed", "--steps"] {
            let error = parse(flag, MOST + 1).err().unwrap().to_string();
            assert!(error.contains(flag), "{error}");
            let arguments = parse(flag, MOST).ok().unwrap().arguments;
            Progress::new(1000, arguments.steps);
            // No two seeds are one.
            let seed = |number| arguments.plan(arguments.first_seed + number).unwrap().seed;
            assert_eq!(seed(999) - seed(998), 1000);
        }
    }
}
