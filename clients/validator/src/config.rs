//! The command line.

use clap::Parser;
use noesis_model::DeviceChoice;
use noesis_neuron::Formats;
use std::path::PathBuf;

/// Trains over its peers, scores them, and sets weights once an epoch.
///
/// Registers and stakes if need be, then trains a small local model over the peers' answers, sends them
/// gradients, measures what each is worth on text that was sent to nobody, and votes accordingly.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "noesis-validator",
    version,
    after_help = "Example, with a local node:\n  noesis-validator --coldkey //Alice --hotkey //Alice//hotkey \\\n      --data king-james.txt --checkpoint ~/noesis/alice --stake 1000\n\nRUST_LOG=noesis_validator=debug shows every answer and gradient."
)]
pub struct Config {
    /// Market: text, or its number.
    #[arg(long, default_value = "text")]
    pub market: String,
    /// Address of a node.
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:9944")]
    pub chain: String,
    /// Secret URI of the key that owns and pays, such as //Alice.
    #[arg(
        long,
        value_name = "URI",
        env = "NOESIS_COLDKEY",
        hide_env_values = true
    )]
    pub coldkey: String,
    /// Secret URI of the key that signs requests and weights, such as //Alice//hotkey.
    #[arg(
        long,
        value_name = "URI",
        env = "NOESIS_HOTKEY",
        hide_env_values = true
    )]
    pub hotkey: String,
    /// Text to train on and to score by.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the checkpoint, from which a later run goes on.
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
    /// Decides initial parameters, batches, coalitions and examples.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Bytes of the text to train on. A newcomer has little; with less than some 100 KB the local model learns them
    /// by heart within minutes, and the peers' worth sinks with it.
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024)]
    pub own_data: usize,
    /// Sequences in a batch.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,
    /// Learning rate of the local model.
    #[arg(long, default_value_t = 4e-3)]
    pub rate: f64,
    /// Most peers in a gate.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub top_k: u16,
    /// Most peers attended to at a time; a quarter of them drawn at random.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub peers: u16,
    /// Steps between two assessments of the peers.
    #[arg(long, value_name = "STEPS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub assess_every: u64,
    /// Examples in an assessment, on which no gradient is ever sent.
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u16).range(16..=8192))]
    pub examples: u16,
    /// Encodings in which peers may answer: f32, f16, bf16, int8 and zstd, with commas between them. A peer sends
    /// the narrowest that carries every value.
    #[arg(long, value_name = "NAMES", default_value_t = Formats::default())]
    pub encodings: Formats,
    /// File to append events to, as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together_and_the_help_has_an_example() {
        Config::command().debug_assert();
        let help = Config::command().render_long_help().to_string();
        assert!(help.contains("Example"));
    }

    #[test]
    fn wrong_flags_are_explained() {
        let keys = [
            "--coldkey",
            "//A",
            "--hotkey",
            "//B",
            "--data",
            "f",
            "--checkpoint",
            "d",
        ];
        let parse = |more: &[&'static str]| {
            Config::try_parse_from(["noesis-validator"].iter().chain(&keys).chain(more))
        };
        assert!(parse(&[]).is_ok());
        for wrong in [
            ["--batch", "0"],
            ["--device", "abacus"],
            ["--stake", "x"],
            ["--top-k", "x"],
            ["--encodings", "f16,f8"],
        ] {
            let error = parse(&wrong).unwrap_err().to_string();
            assert!(error.contains(wrong[0]), "{error}");
        }
        assert!(Config::try_parse_from(["noesis-validator"]).is_err());
    }
}
