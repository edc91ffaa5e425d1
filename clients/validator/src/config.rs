//! The command line.

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use noesis_configuration::FileFlag;
use noesis_model::DeviceChoice;
use noesis_neuron::Formats;
use std::{ffi::OsString, path::PathBuf};

use crate::{learner::LearnerConfig, validator::Settings};

const EXAMPLE: &str = "\
Example, with a local node:
  noesis-validator --coldkey //Alice --hotkey //Alice//hotkey \\
      --data king-james.txt --checkpoint ~/noesis/alice --stake 1000 --student
  noesis-validator student evaluate --checkpoint ~/noesis/alice --data king-james.txt
  noesis-validator student export --checkpoint ~/noesis/alice --data king-james.txt --to student

RUST_LOG=noesis_validator=debug shows every answer and gradient that failed.";

/// Trains over its peers, scores them, and sets weights once an epoch.
///
/// Registers and stakes if need be, then trains a small local model over the peers' answers, sends them
/// gradients, measures what each is worth on targets that were sent to nobody, and votes accordingly.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "noesis-validator",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = EXAMPLE
)]
pub struct Cli {
    /// What to do instead of validating.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to validate with.
    #[command(flatten)]
    pub config: Config,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// To validate.
    Validate(Box<Config>),
    /// Something beside it.
    Beside(Command),
}

impl Cli {
    /// Reads the words of a command line, and the file of flags that they may name. With a subcommand the flags of a validator are neither asked for nor
    /// looked at: keys that stand in the environment are in nobody's way.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words; help and version too.
    pub fn read<W: Into<OsString>>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Asked, clap::Error> {
        let matches = noesis_configuration::matches(Self::command(), words)?;
        if matches.subcommand_name().is_some() {
            return Command::from_arg_matches(&matches).map(Asked::Beside);
        }
        Ok(Asked::Validate(Box::new(Config::from_arg_matches(
            &matches,
        )?)))
    }
}

/// What there is beside validating.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The model that was distilled from the network: it needs neither a chain nor peers.
    #[command(subcommand)]
    Student(StudentCommand),
}

/// What can be done with a student.
#[derive(Clone, Debug, Subcommand)]
pub enum StudentCommand {
    /// Writes it to a folder: safetensors, TorchScript, tokenizer and a card.
    Export {
        /// Which one.
        #[command(flatten)]
        kept: KeptStudent,
        /// Folder to write to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Compares it, offline, with the network, its best peer, and the same model trained alone.
    Evaluate {
        /// Which one.
        #[command(flatten)]
        kept: KeptStudent,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Where a student is, and what it is read over.
#[derive(Clone, Debug, Args)]
pub struct KeptStudent {
    /// Folder of the validator's checkpoint.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// The data that the validator was given.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Where to compute: auto, cpu or cuda.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

/// The flags of a validator.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Where more flags stand.
    #[command(flatten)]
    pub file: FileFlag,
    /// Market: text, image, tensor, or its number.
    #[arg(long, default_value = "text")]
    pub market: String,
    /// Address of a node.
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:9944")]
    pub chain: String,
    /// Key that owns and pays: a key file (.json) of noesis wallet or polkadot-js, or a secret such as //Alice.
    #[arg(
        long,
        value_name = "FILE or SECRET",
        env = "NOESIS_COLDKEY",
        hide_env_values = true
    )]
    pub coldkey: String,
    /// Key that signs requests and weights: a key file, or a secret such as //Alice//hotkey.
    #[arg(
        long,
        value_name = "FILE or SECRET",
        env = "NOESIS_HOTKEY",
        hide_env_values = true
    )]
    pub hotkey: String,
    /// Where the password of key files comes from; one for both.
    #[command(flatten)]
    pub password: noesis_keys::PasswordFlags,
    /// What to train on and to score by: a text file, or for image and tensor a folder of images.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Folder for the checkpoint, from which a later run goes on, or from the one before, whose name ends in .previous:
    /// to start anew, move both away.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// Stake to hold at least, in NOE; what is missing is added at the start.
    #[arg(long, value_name = "NOE", default_value_t = 1000)]
    pub stake: u64,
    /// Most to burn for a registration, in NOE.
    #[arg(long, value_name = "NOE", default_value_t = 10)]
    pub max_cost: u64,
    /// Where to compute: auto, cpu or cuda.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Threads of the tensor library.
    #[arg(long, default_value_t = 1)]
    pub threads: u16,
    /// Decides initial parameters, own data, batches, coalitions and examples [default: drawn at the first start, and kept in
    /// the checkpoint]. Who knows it knows what peers are scored by.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Bytes of the data to train on, a pixel a byte [default: 256 KiB of a text, 3 MB of images]. A newcomer has little; with
    /// much less the local model learns them by heart within minutes, and the peers' worth sinks with it.
    #[arg(long, value_name = "BYTES")]
    pub own_data: Option<usize>,
    /// Examples in a batch.
    #[arg(long, default_value_t = Settings::default().batch as u16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,
    /// Learning rate of the local model, above 0 and at most 1.
    #[arg(long, default_value_t = LearnerConfig::default().rate, value_parser = rate)]
    pub rate: f64,
    /// Most peers in a gate.
    #[arg(long, default_value_t = LearnerConfig::default().k as u16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub top_k: u16,
    /// Most peers attended to at a time. A quarter of the places are for those that are not the best, in turn.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub peers: u16,
    /// Least time from one step to the next. Whoever takes many a second asks its peers as often, and knows its own data by
    /// heart before they have shown what they are worth.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    pub step_every: u32,
    /// Steps between two assessments of the peers.
    #[arg(long, value_name = "STEPS", default_value_t = Settings::default().assess_every, value_parser = clap::value_parser!(u64).range(1..))]
    pub assess_every: u64,
    /// Most examples in an assessment, on which no gradient is ever sent: where there are fewer than a dozen times as many, a
    /// twelfth of those there are.
    #[arg(long, value_name = "NUMBER", default_value_t = Settings::default().examples as u16, value_parser = clap::value_parser!(u16).range(16..=8192))]
    pub examples: u16,
    /// Encodings in which peers may answer: f32, f16, bf16, int8 and zstd, with commas between them. A peer sends
    /// the narrowest that carries every value.
    #[arg(long, value_name = "NAMES", default_value_t = Formats::default())]
    pub encodings: Formats,
    /// Distil a student from the network beside the training.
    #[arg(long)]
    pub student: bool,
    /// Ask peers without a TLS certificate as well, in the clear, where anybody on the way can read along. Those on this
    /// machine are asked in any case.
    #[arg(long)]
    pub allow_cleartext: bool,
    /// End after so many steps in all, those of the checkpoint included [default: never].
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// When --steps are done, ask the peers for their answers to this many examples that nobody learns from or is scored
    /// by, and tell in the events what the network, the model alone and the student lose on them.
    #[arg(long, value_name = "NUMBER", requires = "steps", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub evaluate: Option<u32>,
    /// File to append events to, as JSON lines: one a step, hundreds of megabytes a day.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Where else to tell what happens.
    #[command(flatten)]
    pub telemetry: noesis_telemetry::Flags,
}

/// A learning rate that can be learned with.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("a rate is a number above 0 and at most 1, such as 0.004".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: [&str; 9] = [
        "noesis-validator",
        "--coldkey",
        "//A",
        "--hotkey",
        "//B",
        "--data",
        "f",
        "--checkpoint",
        "d",
    ];

    fn parse(words: &[&'static str]) -> Result<Asked, clap::Error> {
        Cli::read(words)
    }

    #[test]
    fn the_flags_fit_together_and_the_help_has_an_example() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("Example") && help.contains("student"));
    }

    #[test]
    fn wrong_flags_are_explained() {
        let with = |more: &[&'static str]| parse(&[&RUN, more].concat());
        let Asked::Validate(config) = with(&["--metrics", "127.0.0.1:1"]).unwrap() else {
            panic!("no subcommand was named");
        };
        assert!(config.telemetry.metrics.is_some());
        assert_eq!((config.coldkey.as_str(), config.batch), ("//A", 16));
        for wrong in [
            ["--batch", "0"],
            ["--device", "abacus"],
            ["--stake", "x"],
            ["--top-k", "x"],
            ["--encodings", "f16,f8"],
            ["--rate", "nan"],
            ["--rate", "0"],
            ["--peers", "257"],
            ["--evaluate", "9"],
        ] {
            let error = with(&wrong).unwrap_err().to_string();
            assert!(error.contains(wrong[0]), "{error}");
        }
        let error = parse(&RUN[..1]).unwrap_err().to_string();
        assert!(error.contains("--coldkey"), "{error}");
        let error = parse(&RUN[..5]).unwrap_err().to_string();
        assert!(error.contains("--data"), "{error}");
    }

    #[test]
    fn a_student_needs_no_keys() {
        let words = "noesis-validator student evaluate --checkpoint d --data f --json";
        let words: Vec<&str> = words.split(' ').collect();
        let asked = parse(&words).unwrap();
        let Asked::Beside(Command::Student(StudentCommand::Evaluate { kept, json })) = asked else {
            panic!("{asked:?}");
        };
        assert!(json && kept.data.ends_with("f"));
        // A flag of a validator is refused beside it.
        assert!(parse(&[&words[..1], &["--stake", "3"], &words[1..]].concat()).is_err());
        let error = parse(&words[..3]).unwrap_err().to_string();
        assert!(error.contains("--checkpoint"), "{error}");
    }
}
