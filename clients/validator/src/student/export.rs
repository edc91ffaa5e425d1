//! `noesis-validator student export`: the student as a folder that other programs can use.
//!
//! * `student.safetensors`: the parameters.
//! * `student.pt`: TorchScript, inputs of the market's modality in batches of any size to logits: tokens `i64 [batch,
//!   sequence]` of any length up to the context to `[batch, sequence, vocabulary]`, otherwise to `[batch, classes]`.
//!   Loaded again before it is left to others, and held against the student.
//! * `config.json`: the sizes. `tokenizer.json`, for text: bytes and specials.
//! * `README.md`: what it is, what it learned from, how good it is, how to load it.

use super::evaluate::Comparison;
use crate::part::{Parameters, Trained};
use noesis_model::{
    optimizer::trainable,
    tch::{nn::VarStore, no_grad, CModule, Device, TchError, Tensor},
    text::{BOS, PAD},
    ConfigError, InputShape, Network,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Most that a logit of the saved module may differ from the student's.
pub const TOLERANCE: f64 = 1e-5;

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The system refused.
    #[error("{path} cannot be written: {source}; name another folder with --to")]
    File {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// libtorch refused.
    #[error("{path} cannot be written or read back: {source}")]
    Torch {
        /// What was to be written.
        path: PathBuf,
        /// What libtorch said.
        source: TchError,
    },
    /// The sizes describe no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The saved module is another model.
    #[error("the module saved in {path} answers otherwise than the student, by {difference:e}: this is a mistake of this program")]
    Differs {
        /// The module.
        path: PathBuf,
        /// Largest difference of a logit.
        difference: f64,
    },
}

/// What the card says of the training.
#[derive(Clone, Debug)]
pub struct Training {
    /// Name of the data file.
    pub data: String,
    /// Bytes of it that were trained on; 0: not known.
    pub own_bytes: usize,
    /// How it compares.
    pub comparison: Comparison,
}

/// Writes the student to `folder`, which is made if need be.
///
/// # Errors
///
/// [`ExportError`] saying which file, and why.
pub fn export(student: &Trained, training: &Training, folder: &Path) -> Result<(), ExportError> {
    let file = |path: &Path, source| ExportError::File {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
    let student = on_the_cpu(student)?;
    let parameters = folder.join("student.safetensors");
    Tensor::write_safetensors(&student.named, &parameters).map_err(|source| {
        ExportError::Torch {
            path: parameters,
            source,
        }
    })?;
    let module = folder.join("student.pt");
    trace(&student.model, &module)?;
    let config = student.model.config();
    let inputs = config.inputs();
    let mut texts = vec![
        ("config.json", format!("{:#}\n", json!(config))),
        ("README.md", card(&inputs, training)),
    ];
    if let InputShape::Text { vocabulary, .. } = inputs {
        let tokenizer = json!({
            "type": "bytes",
            "vocabulary": vocabulary,
            "bytes": { "first": 0, "last": 255 },
            "specials": { "pad": PAD, "bos": BOS },
        });
        texts.push(("tokenizer.json", format!("{tokenizer:#}\n")));
    }
    for (name, text) in texts {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| file(&path, source))?;
    }
    Ok(())
}

/// A copy for tracing: constants on the CPU, not parameters, which a trace cannot hold.
struct Copied {
    model: Network,
    /// Its parameters, in the order of their names.
    named: Vec<(String, Tensor)>,
}

fn on_the_cpu(student: &Trained) -> Result<Copied, ConfigError> {
    let mut store = VarStore::new(Device::Cpu);
    let model = Network::new(&store.root(), student.network(Parameters::Average).config())?;
    let mut named = trainable(&store);
    no_grad(|| {
        for ((_, to), (_, from)) in named.iter_mut().zip(student.averages()) {
            to.copy_(from);
        }
    });
    store.freeze();
    Ok(Copied { model, named })
}

/// Traces, saves, loads again, compares on inputs of another size than that of the trace.
fn trace(model: &Network, path: &Path) -> Result<(), ExportError> {
    let torch = |source| ExportError::Torch {
        path: path.to_owned(),
        source,
    };
    let predict = |inputs: &Tensor| no_grad(|| model.predict(&model.represent(inputs)));
    let shape = model.config().inputs();
    let inputs = |batch| shape.random(batch, Device::Cpu);
    let mut forward = |inputs: &[Tensor]| vec![predict(&inputs[0])];
    let example = [inputs(2)];
    let module = CModule::create_by_tracing("Student", "forward", &example, &mut forward);
    module.and_then(|module| module.save(path)).map_err(torch)?;

    let loaded = CModule::load(path).map_err(torch)?;
    let mut others = vec![inputs(1), inputs(3)];
    if let Some(context) = shape.sequence_limit() {
        others.push(inputs(2).narrow(1, 0, (context / 2).max(1)));
    }
    for inputs in others {
        let answered = no_grad(|| loaded.forward_ts(&[&inputs])).map_err(torch)?;
        let expected = predict(&inputs);
        let difference = if answered.size() == expected.size() {
            (answered - expected).abs().max().double_value(&[])
        } else {
            f64::INFINITY
        };
        if difference.is_nan() || difference > TOLERANCE {
            let path = path.to_owned();
            return Err(ExportError::Differs { path, difference });
        }
    }
    Ok(())
}

/// The card, in Markdown.
fn card(inputs: &InputShape, training: &Training) -> String {
    let Training {
        data,
        own_bytes,
        comparison,
    } = training;
    let own = match own_bytes {
        0 => String::new(),
        bytes => format!("{bytes} bytes of "),
    };
    let steps = comparison.student_steps.unwrap_or_default();
    let (what, takes, python, rust, last) = match *inputs {
        InputShape::Text { context, .. } => (
            "A small transformer over bytes that predicts the next byte of a text",
            format!("Tokens `i64 [batch, sequence]`, at most {context} of them; a byte is its own token (`tokenizer.json`)."),
            "torch.tensor([list(b\"In the beginning\")])".to_owned(),
            "tch::Tensor::from_slice(&b\"In the beginning\".map(i64::from)).unsqueeze(0)".to_owned(),
            "[0, -1]",
        ),
        InputShape::Image { channels, height, width } => (
            "A small convolutional network that says what a picture shows",
            format!("Pictures `f32 [batch, {channels}, {height}, {width}]`, brightness from 0 to 1."),
            format!("torch.rand(1, {channels}, {height}, {width})"),
            format!("tch::Tensor::rand([1, {channels}, {height}, {width}], tch::kind::FLOAT_CPU)"),
            "[0]",
        ),
        InputShape::Tensor { dim, .. } => (
            "A small perceptron that says of which class a vector is",
            format!("Vectors `f32 [batch, sequence, {dim}]`."),
            format!("torch.rand(1, 1, {dim})"),
            format!("tch::Tensor::rand([1, 1, {dim}], tch::kind::FLOAT_CPU)"),
            "[0]",
        ),
    };
    format!(
        r#"# A Noesis student

{what}. A validator of a Noesis market trained it beside its network: it learned from the data themselves and from
what the network, joined of many peers' answers, predicts for them. It needs no peers.

* Data: {own}the training part of `{data}`.
* Steps: {steps}.
* Input: {takes}
* Files: `student.pt` (TorchScript), `student.safetensors` (parameters), `config.json` (sizes).

{comparison}
Kept-back targets are what no peer was sent, on the validation part; the evaluation part is data that nothing was ever
chosen by.

## Python

```python
import torch
student = torch.jit.load("student.pt")
inputs = {python}
logits = student(inputs){last}
print(int(logits.argmax()))
```

## Rust

```rust
let student = tch::CModule::load("student.pt")?;
let inputs = {rust};
let logits = student.forward_ts(&[inputs])?;
let best = logits.argmax(-1, false);
```
"#
    )
}
