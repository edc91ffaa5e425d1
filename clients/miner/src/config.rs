//! What the flags say, checked.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{bail, Result};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use noesis_chain::NOE;
use noesis_configuration::FileFlag;
use noesis_model::{
    tch::Device, DataSet, DeviceChoice, Modality, NetworkConfig, ScriptConfig, TrainingConfig,
};
use noesis_neuron::Limits;

use crate::{
    fault::{Fault, NOTHING_TO_LEAK},
    remote::{loopback, RemoteConfig},
    settings::{FeedbackRules, LEAST_DUTY, QUEUE},
};

/// The file of the checkpoint, in the folder that `--checkpoint` names.
const CHECKPOINT_FILE: &str = "model.safetensors";
/// The file of the certificate and its secret key, in the same folder.
const CERTIFICATE_FILE: &str = "tls.pem";
/// Longest time between checkpoints, in seconds.
const YEAR: u64 = 365 * 24 * 3600;
/// Calls that may be let wait: with so many, callers can claim 17 GiB of memory ([`Limits`]).
const MOST_QUEUE: i64 = 128;
/// Calls that are admitted beside those that wait: they are being computed, or their answers read.
const BEING_ANSWERED: usize = 8;
/// Time that a remote model may take for a call. Callers are less patient, and cancel.
const REMOTE_PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLE: &str = "\
Example, beside a local node:
  noesis-miner --data king-james.txt --checkpoint miner --train-only --steps 1500
  noesis-miner --market image --data fashion-mnist --checkpoint eye --train-only
  noesis-miner --market text --chain ws://127.0.0.1:9944 --coldkey //Charlie \\
    --hotkey //Charlie//hotkey --listen 127.0.0.1:9101 --data king-james.txt --checkpoint miner";

/// Serves a model to a market, trains it, and is paid for it.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = EXAMPLE)]
pub struct Config {
    /// Where more flags stand.
    #[command(flatten)]
    pub file: FileFlag,
    /// Market to serve: its modality (text, image or tensor) or its number.
    #[arg(long, default_value = "text")]
    pub market: String,
    /// Modality of the model, where --market is a number [default: text].
    #[arg(long, value_name = "MODALITY")]
    pub modality: Option<ModalityChoice>,
    /// Address of a node.
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:9944")]
    pub chain: String,
    /// Key that owns the neuron and pays for it: a key file (.json) of noesis wallet or polkadot-js, or a
    /// secret such as //Charlie, better given in the environment than in a list of processes.
    #[arg(
        long,
        value_name = "FILE or SECRET",
        env = "NOESIS_COLDKEY",
        hide_env_values = true,
        required_unless_present_any = ["train_only", "evaluate"]
    )]
    pub coldkey: Option<String>,
    /// Key that serves: a key file, or a secret such as //Charlie//hotkey.
    #[arg(
        long,
        value_name = "FILE or SECRET",
        env = "NOESIS_HOTKEY",
        hide_env_values = true,
        required_unless_present_any = ["train_only", "evaluate"]
    )]
    pub hotkey: Option<String>,
    /// Where the password of key files comes from; one for both.
    #[command(flatten)]
    pub password: noesis_keys::PasswordFlags,
    /// Most that a registration may cost, in NOE.
    #[arg(long, value_name = "NOE", default_value_t = 100)]
    pub max_cost: u64,
    /// Where to serve.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9101")]
    pub listen: SocketAddr,
    /// Where others find it, HOST:PORT, when that is not what it listens at.
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<String>,
    /// Whether to serve with TLS, under a certificate whose fingerprint is published: auto is on unless it
    /// listens on a loopback address.
    #[arg(long, value_enum, default_value = "auto")]
    pub tls: TlsChoice,
    /// Which model: `builtin`, a small network of the market's modality; `torchscript FILE`, a module of your
    /// own exported from Python; `remote HOST:PORT`, a process on this machine that speaks the protocol
    /// without signatures. docs/models.md shows how to make the last two.
    #[arg(long, num_args = 1..=2, value_names = ["KIND", "WHAT"], default_value = "builtin")]
    pub model: Vec<String>,
    /// Longest sequence of a text or of vectors that is answered.
    #[arg(long, value_name = "LENGTH", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub sequence: u32,
    /// What to learn from: a text file or, for image and tensor, a folder of images with the names of
    /// Fashion-MNIST. The built-in models need it.
    #[arg(long, value_name = "FILE or FOLDER")]
    pub data: Option<PathBuf>,
    /// Folder of the checkpoint; a start goes on from it, or from the one before, whose name ends in .previous: to start
    /// anew, move both away. A remote model keeps its own checkpoint; the folder then holds only the certificate of --tls.
    #[arg(long, value_name = "FOLDER")]
    pub checkpoint: Option<PathBuf>,
    /// Seconds between checkpoints at least; 0: after each step, as long as they take a tenth of the time at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=YEAR))]
    pub checkpoint_every: u64,
    /// Where to compute: auto, cpu or cuda. A remote model computes where its own process says.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Threads with which to compute on the CPU.
    #[arg(long, default_value_t = 1)]
    pub threads: u16,
    /// Decides the first parameters and the order of the data [default: drawn anew at each start]. Two miners of one seed
    /// and the same data are one model, and one of them is paid.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Train until so many steps have been taken in all, those of the checkpoint included; 0: only
    /// serve. Without it, --train-only takes 1500, and serving trains a built-in model without end and a
    /// TorchScript module not at all.
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// Train without a chain, write the checkpoint, tell the held-out loss, and end.
    #[arg(long)]
    pub train_only: bool,
    /// Without a chain and without training, tell the model's loss where validators take scores (of a text the
    /// last token alone), over this many held-out examples, and end.
    #[arg(long, value_name = "EXAMPLES", conflicts_with = "train_only", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub evaluate: Option<u32>,
    /// Share of the time that training takes while serving, from 0.01 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    pub duty: f64,
    /// Examples in a step of training.
    #[arg(long, default_value_t = TrainingConfig::default().batch)]
    pub batch: usize,
    /// Length of the vectors that are answered: the market's.
    #[arg(long, value_name = "LENGTH", default_value_t = 64)]
    pub response_dim: u32,
    /// Gradients that a caller may send in a minute; 0 refuses all.
    #[arg(long, value_name = "COUNT", default_value_t = FeedbackRules::default().quota)]
    pub gradient_quota: u32,
    /// Stake behind each gradient: a caller with ten times as much may send ten a minute, up to --gradient-quota; one with
    /// less may send none, and no question of more than 4096 positions (256 to a remote model). 0: any registered caller
    /// may.
    #[arg(long, value_name = "NOE", default_value_t = 1)]
    pub gradient_stake: u64,
    /// Learning rate for gradients of callers.
    #[arg(long, value_name = "RATE", default_value_t = FeedbackRules::default().rate)]
    pub gradient_rate: f64,
    /// Stake from which on a caller is answered. Others are refused before their signature is verified. 0: every registered neuron
    /// is.
    #[arg(long, value_name = "NOE", default_value_t = 0)]
    pub caller_stake: u64,
    /// Most calls that may wait for the model. When one more comes, the one with the least stake is answered `busy`, among
    /// equals the latest. Callers can claim up to 128 MiB of memory for each of these, and for eight more.
    #[arg(long, value_name = "CALLS", default_value_t = QUEUE, value_parser = clap::value_parser!(u16).range(1..=MOST_QUEUE))]
    pub queue: u16,
    /// Append what happens to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Where else to tell what happens.
    #[command(flatten)]
    pub telemetry: noesis_telemetry::Flags,
    /// Misbehave on purpose, to watch what the market does with it: noise, silent,
    /// late:MILLISECONDS, nan, leak, or relay:HOTKEY to answer what that neuron answers.
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<Fault>,
}

/// When to speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsChoice {
    /// Unless it listens on a loopback address.
    Auto,
    /// Always.
    On,
    /// Never: who is on the way reads questions and answers. They are signed all the same.
    Off,
}

/// What `--model` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// A small network of the market's modality: a transformer over bytes, a convolutional network over
    /// images, a perceptron over vectors.
    Builtin,
    /// A TorchScript file.
    TorchScript(PathBuf),
    /// A process on this machine.
    Remote(SocketAddr),
}

/// What `--modality` can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModalityChoice {
    /// Bytes of text.
    Text,
    /// Pictures.
    Image,
    /// Vectors.
    Tensor,
}

impl From<ModalityChoice> for Modality {
    fn from(choice: ModalityChoice) -> Self {
        match choice {
            ModalityChoice::Text => Self::Text,
            ModalityChoice::Image => Self::Image,
            ModalityChoice::Tensor => Self::Tensor,
        }
    }
}

impl Config {
    /// Reads the words of a command line, and the file of flags that they may name.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words; help and version too.
    pub fn read<W: Into<OsString>>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&noesis_configuration::matches(Self::command(), words)?)
    }

    /// Checks what the types of the flags do not.
    pub fn check(&self) -> Result<()> {
        if !(LEAST_DUTY..=1.0).contains(&self.duty) {
            bail!(
                "--duty {}: say a share of the time from {LEAST_DUTY} to 1",
                self.duty
            );
        }
        if self.batch == 0 || self.batch > 4096 {
            bail!("--batch {}: say one from 1 to 4096", self.batch);
        }
        if !(self.gradient_rate.is_finite() && self.gradient_rate > 0.0) {
            bail!(
                "--gradient-rate {} is no learning rate: say one above 0, or --gradient-quota 0 to \
                 refuse all gradients",
                self.gradient_rate
            );
        }
        if self.endpoint.is_none() && self.listen.ip().is_unspecified() {
            bail!(
                "--listen {} is every address of this machine: say with --endpoint HOST:PORT where \
                 others find it",
                self.listen
            );
        }
        let modality = self.modality();
        if let (Some(told), Some(market)) = (self.modality, self.market_modality()) {
            if market != Modality::from(told) {
                bail!("--market {} is of another modality than --modality {told:?}: say one of the two", self.market);
            }
        }
        if self.fault == Some(Fault::Leak) && modality != Modality::Text {
            bail!("--fault leak with {modality:?}: {NOTHING_TO_LEAK}");
        }
        match self.model()? {
            ModelChoice::Builtin if self.data.is_none() => {
                bail!("--data is missing: name what the built-in model learns from")
            }
            ModelChoice::TorchScript(_) if self.until_step() > 0 && self.data.is_none() => {
                bail!("--data is missing: name what the module is to learn from, or leave --steps and --train-only out")
            }
            ModelChoice::TorchScript(_) if self.evaluate.is_some() && self.data.is_none() => {
                bail!("--data is missing: name what to evaluate the module on")
            }
            ModelChoice::Remote(_) if self.evaluate.is_some() => {
                bail!("a remote model has no head here to evaluate: leave --evaluate out")
            }
            ModelChoice::Remote(_) if self.train_only || self.steps.is_some() => {
                bail!("a remote model trains itself: leave --steps and --train-only out")
            }
            ModelChoice::Remote(_) if self.fault.is_some() => {
                bail!("--fault is for the models of this program: leave it out with --model remote")
            }
            ModelChoice::Remote(_) if self.device == DeviceChoice::Cuda => {
                bail!("a remote model computes in its own process: choose the device there, and leave --device out")
            }
            ModelChoice::Builtin | ModelChoice::TorchScript(_) if self.checkpoint.is_none() => {
                bail!("--checkpoint is missing: name a folder that keeps what the model learns")
            }
            _ => {}
        }
        let serves = !self.train_only && self.evaluate.is_none();
        if serves && self.serves_tls() && self.checkpoint.is_none() {
            bail!("--checkpoint is missing: name a folder that keeps the certificate, or say --tls off");
        }
        if self.response_dim == 0 || self.response_dim > 1 << 16 {
            bail!(
                "--response-dim {}: say one from 1 to 65536",
                self.response_dim
            );
        }
        Ok(())
    }

    /// The modality that `--market` names, unless it is a number.
    fn market_modality(&self) -> Option<Modality> {
        let choice = ModalityChoice::from_str(&self.market, true).ok()?;
        Some(choice.into())
    }

    /// What the model takes.
    pub fn modality(&self) -> Modality {
        let told = self.modality.map(Modality::from);
        told.or_else(|| self.market_modality())
            .unwrap_or(Modality::Text)
    }

    /// Which model.
    ///
    /// # Errors
    ///
    /// When the words are not one of the three.
    pub fn model(&self) -> Result<ModelChoice> {
        let words: Vec<&str> = self.model.iter().map(String::as_str).collect();
        Ok(match words[..] {
            ["builtin"] => ModelChoice::Builtin,
            ["torchscript", file] => ModelChoice::TorchScript(file.into()),
            ["remote", address] => ModelChoice::Remote(loopback(address)?),
            _ => bail!(
                "--model {}: say builtin, torchscript FILE, or remote HOST:PORT",
                words.join(" ")
            ),
        })
    }

    /// The data, if there are any, and the network, of which a TorchScript file is tried out.
    ///
    /// # Errors
    ///
    /// When either is missing or unfit, in words.
    pub fn load(&self, device: Device) -> Result<(Option<DataSet>, NetworkConfig)> {
        let load = |path| DataSet::load(self.modality(), path, self.sequence as usize);
        let data = self.data.as_deref().map(load).transpose()?;
        let dim = self.response_dim.into();
        let network = match &data {
            Some(data) => data.builtin(dim),
            None => NetworkConfig::builtin(self.modality(), self.sequence.into(), dim),
        };
        let network = match self.model()? {
            ModelChoice::TorchScript(file) => {
                let (inputs, classes) = (network.inputs(), network.classes());
                let script = ScriptConfig::examine(&file, inputs, classes, dim, device)?;
                if let NetworkConfig::Patches(builtin) = &network {
                    let (found, wanted) = (script.image_positions, builtin.positions());
                    if found != wanted {
                        bail!(
                            "{} answers {found} positions to an image, and the market's validators take \
                             {wanted}, one for each patch: see docs/models.md",
                            file.display()
                        );
                    }
                }
                if !script.trainable && self.until_step() > 0 {
                    bail!(
                        "the parameters of {} are frozen: export it without freezing or tracing them away, or \
                         leave --steps and --train-only out",
                        file.display()
                    );
                }
                NetworkConfig::Script(script)
            }
            ModelChoice::Builtin | ModelChoice::Remote(_) => network,
        };
        network.check()?;
        Ok((data, network))
    }

    /// What a remote model is to be.
    pub fn remote(&self, address: SocketAddr) -> RemoteConfig {
        let (sequence, dim) = (self.sequence.into(), self.response_dim.into());
        RemoteConfig {
            address,
            network: NetworkConfig::builtin(self.modality(), sequence, dim),
            patience: REMOTE_PATIENCE,
        }
    }

    /// The settings of the training.
    pub fn training_config(&self) -> TrainingConfig {
        TrainingConfig {
            batch: self.batch,
            decay_steps: self
                .steps
                .filter(|steps| *steps > 0)
                .unwrap_or(TrainingConfig::default().decay_steps),
            seed: self.seed.unwrap_or_else(rand::random),
            ..TrainingConfig::default()
        }
    }

    /// How gradients of callers are treated.
    pub fn feedback(&self) -> FeedbackRules {
        FeedbackRules {
            rate: self.gradient_rate,
            quota: self.gradient_quota,
            stake: self.gradient_stake.saturating_mul(NOE),
            ..FeedbackRules::default()
        }
    }

    /// Steps after which training ends.
    pub fn until_step(&self) -> u64 {
        let all = match self.model() {
            _ if self.train_only => TrainingConfig::default().decay_steps,
            Ok(ModelChoice::Builtin) => u64::MAX,
            // What its owner trained is not changed unasked.
            _ => 0,
        };
        self.steps.unwrap_or(all)
    }

    /// The file of the checkpoint, in its folder.
    pub fn checkpoint_file(folder: &Path) -> PathBuf {
        folder.join(CHECKPOINT_FILE)
    }

    /// Whether it serves with TLS.
    pub fn serves_tls(&self) -> bool {
        match self.tls {
            TlsChoice::Auto => !self.listen.ip().is_loopback(),
            TlsChoice::On => true,
            TlsChoice::Off => false,
        }
    }

    /// The file of the certificate and its secret key, in the folder of the checkpoint.
    pub fn certificate_file(folder: &Path) -> PathBuf {
        folder.join(CERTIFICATE_FILE)
    }

    /// What is admitted: of callers with enough stake the calls that may wait, and beside them some that are being answered.
    /// One caller has at most half of them.
    pub fn limits(&self) -> Limits {
        let calls = usize::from(self.queue) + BEING_ANSWERED;
        Limits {
            calls,
            calls_per_caller: calls / 2,
            caller_stake: self.caller_stake.saturating_mul(NOE),
            ..Limits::default()
        }
    }

    /// Shortest time between checkpoints.
    pub fn checkpoint_interval(&self) -> Duration {
        Duration::from_secs(self.checkpoint_every)
    }

    /// Where others find it, given where it listens.
    pub fn published_endpoint(&self, bound: SocketAddr) -> String {
        self.endpoint.clone().unwrap_or_else(|| bound.to_string())
    }

    /// Most that a registration may cost, in units.
    pub fn max_cost_units(&self) -> u64 {
        self.max_cost.saturating_mul(NOE)
    }
}

#[cfg(test)]
mod tests;
