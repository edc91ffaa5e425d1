//! A network of the user's own, exported from Python as TorchScript: `inputs` to `[batch, sequence,
//! response_dim]`. `docs/models.md` shows how to export one.
//!
//! Nothing about such a file is certain, so it is tried out when it is loaded, and a forward pass that
//! fails is an error, never a panic.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{nn, no_grad, Device, Kind, TchError, Tensor, TrainableCModule};

use crate::{inputs::InputShape, optimizer::trainable};

/// What a TorchScript file is, and what it turned out to do.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptConfig {
    /// Where it lies. No part of what it is: a checkpoint fits the same file elsewhere.
    #[serde(skip)]
    pub file: PathBuf,
    /// BLAKE3 hash of the file, in hexadecimal.
    pub blake3: String,
    /// What it takes.
    pub inputs: InputShape,
    /// Positions of its answer to one image; of texts and vectors it is as many as they have.
    pub image_positions: i64,
    /// Number of classes that the head tells apart.
    pub classes: i64,
    /// Length of the vectors that are answered.
    pub response_dim: i64,
    /// Whether it has a parameter that a gradient can change.
    pub trainable: bool,
}

impl PartialEq for ScriptConfig {
    fn eq(&self, other: &Self) -> bool {
        let of = |config: &Self| {
            let Self {
                inputs,
                image_positions,
                classes,
                response_dim,
                trainable,
                ..
            } = *config;
            (inputs, image_positions, classes, response_dim, trainable)
        };
        self.blake3 == other.blake3 && of(self) == of(other)
    }
}

/// Why a file is no network for this market.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be read.
    #[error(
        "the model {file} cannot be read: {source}; name a TorchScript file with --model torchscript FILE"
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// libtorch cannot load it.
    #[error("{file} is no TorchScript module that libtorch can load ({what}): write it with torch.jit.trace or torch.jit.script and .save(), see docs/models.md")]
    NotAModule {
        /// The file.
        file: PathBuf,
        /// What libtorch said.
        what: String,
    },
    /// Its parameters are of another precision than what is trained and kept.
    #[error("the parameter `{name}` of {file} is {kind:?}, and only f32 is trained and kept: export the module after .float(), or after .requires_grad_(False) to have it served as it is")]
    Precision {
        /// The file.
        file: PathBuf,
        /// Of the parameter.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// It failed on random inputs of the market's shape.
    #[error("{file} fails on random inputs {shape:?} of {inputs} ({what}): its forward must take one tensor of that type and any batch size, see docs/models.md")]
    Fails {
        /// The file.
        file: PathBuf,
        /// What it takes.
        inputs: InputShape,
        /// The shape of the inputs.
        shape: Vec<i64>,
        /// What libtorch said.
        what: String,
    },
    /// It answers something of another shape.
    #[error("{file} answers {found} to inputs {shape:?}, and the market wants f32 [{}, {}, {response_dim}], finite: end it in a linear layer of that size, or say --response-dim, see docs/models.md", shape[0], positions.map_or("patches".to_owned(), |count| count.to_string()))]
    WrongAnswer {
        /// The file.
        file: PathBuf,
        /// The shape of the inputs.
        shape: Vec<i64>,
        /// Positions wanted; `None`: any.
        positions: Option<i64>,
        /// Length of the vectors wanted.
        response_dim: i64,
        /// What it answered.
        found: String,
    },
}

impl ScriptConfig {
    /// Loads the file to try it out on random inputs, of different batches and lengths.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] saying why it is no network of these inputs and this response dimension.
    pub fn examine(
        file: &Path,
        inputs: InputShape,
        classes: i64,
        response_dim: i64,
        device: Device,
    ) -> Result<Self, ScriptError> {
        let content = std::fs::read(file).map_err(|source| ScriptError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        let mut config = Self {
            file: file.to_owned(),
            blake3: blake3::hash(&content).to_hex().to_string(),
            inputs,
            image_positions: 0,
            classes,
            response_dim,
            trainable: false,
        };
        let store = nn::VarStore::new(device);
        let script = Script::load(&store.root(), &config)?;
        let trained = trainable(&store);
        if let Some((name, other)) = trained.iter().find(|(_, one)| one.kind() != Kind::Float) {
            return Err(ScriptError::Precision {
                file: file.to_owned(),
                name: name.clone(),
                kind: other.kind(),
            });
        }
        config.trainable = !trained.is_empty();
        for (batch, sequence) in [(3, i64::MAX), (1, 1)] {
            // Random, but the same each time: what is refused is refused at every start.
            let random = crate::seeded(0, || inputs.random(batch, device));
            let random = match inputs.sequence_limit() {
                Some(limit) => random.narrow(1, 0, sequence.min(limit)),
                None => random,
            };
            let answer = no_grad(|| script.represent(&random));
            let answer = answer.map_err(|error| ScriptError::Fails {
                file: file.to_owned(),
                inputs,
                shape: random.size(),
                what: telling_line(&error),
            })?;
            let positions = inputs.sequence_limit().map(|_| random.size()[1]);
            config.image_positions = check_answer(&config, &random.size(), positions, &answer)?;
        }
        Ok(config)
    }
}

/// The answer's positions, if it is what the market wants.
fn check_answer(
    config: &ScriptConfig,
    shape: &[i64],
    positions: Option<i64>,
    answer: &Tensor,
) -> Result<i64, ScriptError> {
    let finite = || bool::try_from(answer.isfinite().all()).unwrap_or(false);
    let found = match *answer.size() {
        [batch, found, dim]
            if batch == shape[0]
                && positions.is_none_or(|positions| positions == found)
                && dim == config.response_dim =>
        {
            if finite() {
                return Ok(found);
            }
            "values that are not finite".to_owned()
        }
        ref other => format!("{other:?}"),
    };
    Err(ScriptError::WrongAnswer {
        file: config.file.clone(),
        shape: shape.to_vec(),
        positions,
        response_dim: config.response_dim,
        found,
    })
}

/// The line of libtorch's error that says what is wrong, cut to 300 characters. The others are a trace of its code and
/// of the module's.
pub fn telling_line(error: &TchError) -> String {
    let words = error.to_string();
    let mut lines = words.lines().map(str::trim);
    let telling = lines.rfind(|line| line.starts_with("RuntimeError") || line.contains("Error: "));
    let telling = telling.or_else(|| words.lines().map(str::trim).find(|line| !line.is_empty()));
    telling.unwrap_or("no words").chars().take(300).collect()
}

/// The module. Its parameters live in the `VarStore` it was loaded into.
#[derive(Debug)]
pub struct Script {
    module: TrainableCModule,
}

impl Script {
    /// Loads the file, its parameters under `path`.
    ///
    /// # Errors
    ///
    /// [`ScriptError::NotAModule`].
    pub fn load(path: &nn::Path, config: &ScriptConfig) -> Result<Self, ScriptError> {
        let load = |path| -> Result<_, TchError> {
            // libtorch's own reader of files prints to the terminal what it does not understand.
            let mut content = std::fs::File::open(&config.file)?;
            let mut module = TrainableCModule::load_data(&mut content, path)?;
            module.f_set_eval()?;
            Ok(module)
        };
        let module = load(path / "script").map_err(|error| ScriptError::NotAModule {
            file: config.file.clone(),
            what: telling_line(&error),
        })?;
        Ok(Self { module })
    }

    /// Inputs to representations `f32 [batch, sequence, response_dim]`.
    ///
    /// # Errors
    ///
    /// What libtorch says where the module fails.
    pub fn represent(&self, inputs: &Tensor) -> Result<Tensor, TchError> {
        self.module.forward_ts(&[inputs])?.f_to_kind(Kind::Float)
    }
}

#[cfg(test)]
pub(crate) mod tests;
