//! A miner and a validator as programs: asked over TLS under the certificate that is on chain, watched by their numbers, and
//! what is left of the validator when it is gone, its student.

use anyhow::{ensure, Context, Result};
use noesis_chain::{find_neuron, keypair};
use noesis_neuron::Certificate;
use noesis_tests::{cache, free_port, http, neuron, program, Node, Process};
use serde_json::Value;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const TEXT: u16 = 0;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Answers after which it is no accident that the miner is heard.
const ENOUGH: usize = 20;

/// What a program has told, but for a line that is being written.
fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The page of numbers that a program serves.
fn numbers(port: u16) -> Result<String> {
    http(
        port,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
}

/// What `noesis-validator student` says of what lies in that checkpoint.
fn student(words: &[&str], checkpoint: &Path) -> Result<Vec<u8>> {
    let output = Command::new(program("noesis-validator")?)
        .arg("student")
        .args(words)
        .arg("--checkpoint")
        .arg(checkpoint)
        .arg("--data")
        .arg(cache()?.join("data/king-james.txt"))
        .args(["--device", "cpu"])
        .output()?;
    ensure!(output.status.success(), "student {words:?}: {output:?}");
    Ok(output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_is_asked_under_its_certificate_and_what_it_taught_outlives_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let mut node = Node::start(path, free_port()?)?;
    let url = node.url.clone();
    let chain = node.chain().await?;
    // One that knows more than the validator for as long as this takes: two beginners teach each other nothing.
    let mut training = neuron("noesis-miner", "//Charlie", &url, path)?;
    let trained = training.args(["--train-only", "--steps", "300"]).output()?;
    ensure!(trained.status.success(), "{trained:?}");

    let (miner_page, validator_page) = (free_port()?, free_port()?);
    let (board, log) = (path.join("board"), path.join("miner.log"));
    let mut miner = neuron("noesis-miner", "//Charlie", &url, path)?;
    miner
        .args(["--tls", "on", "--listen"])
        .arg(format!("127.0.0.1:{}", free_port()?))
        .arg("--metrics")
        .arg(format!("127.0.0.1:{miner_page}"))
        .arg("--tensorboard")
        .arg(&board);
    let mut miner = Process::start(&mut miner, &log)?;
    let hotkey = keypair("//Charlie//hotkey")?.public_key().0;
    let start = Instant::now();
    let (uid, published) = loop {
        let metagraph = chain.metagraph(TEXT).await?;
        let found = find_neuron(&metagraph, &hotkey).filter(|one| one.endpoint.is_some());
        if let Some(found) = found {
            break (found.uid, found.certificate);
        }
        ensure!(
            miner.is_running()? && start.elapsed() < LONG,
            "the miner serves nowhere; its log:\n{}",
            std::fs::read_to_string(&log)?
        );
        sleep(Duration::from_millis(200)).await;
    };
    let kept = Certificate::keep_at(&path.join("noesis-miner/tls.pem"))?;
    ensure!(
        published == Some(kept.fingerprint()),
        "{published:?} is published, and {kept:?} kept"
    );

    let mut validator = neuron("noesis-validator", "//Alice", &url, path)?;
    validator
        .arg("--student")
        .arg("--metrics")
        .arg(format!("127.0.0.1:{validator_page}"));
    let log = path.join("validator.log");
    let mut validator = Process::start(&mut validator, &log)?;
    let start = Instant::now();
    loop {
        let events = events(&path.join("noesis-validator.jsonl"));
        let answers = events
            .iter()
            .filter_map(|event| event["answers"].as_array());
        // Who listens with TLS has no answer for who speaks without, or expects another certificate.
        let heard = answers
            .flatten()
            .filter(|answer| answer["uid"] == uid && answer["outcome"] == "ok");
        let assessed = events.iter().filter(|event| event["event"] == "evaluation");
        // What an assessment leaves is written after it is told of: of the one before the last it is there.
        if heard.count() >= ENOUGH && assessed.count() >= 2 {
            break;
        }
        ensure!(
            miner.is_running()? && validator.is_running()? && start.elapsed() < LONG,
            "the miner is not heard; the validator's log:\n{}",
            std::fs::read_to_string(&log)?
        );
        sleep(Duration::from_millis(200)).await;
    }

    let (miner_page, validator_page) = (numbers(miner_page)?, numbers(validator_page)?);
    for (page, shown) in [
        (&miner_page, "noesis_miner_loss "),
        (
            &miner_page,
            "noesis_miner_calls_total{method=\"forward\",outcome=\"ok\"} ",
        ),
        (&validator_page, "noesis_validator_loss "),
    ] {
        let is_shown = page.lines().any(|line| line.starts_with(shown));
        ensure!(is_shown, "{shown}is missing in\n{page}");
    }
    let file = std::fs::read_dir(&board)?.next().context("no board")??;
    let (written, tag) = (std::fs::read(file.path())?, b"noesis_miner_loss");
    ensure!(
        written.windows(tag.len()).any(|bytes| bytes == tag),
        "no loss on the board, of {} bytes",
        written.len()
    );

    // Killed with -9, the one and the other: a student needs neither.
    drop(validator);
    drop(miner);
    let checkpoint = path.join("noesis-validator");
    let compared: Value = serde_json::from_slice(&student(&["evaluate", "--json"], &checkpoint)?)?;
    for (line, model) in [
        (0usize, "network"),
        (2, "student"),
        (3, "the same model alone"),
    ] {
        let line = &compared["lines"][line];
        let measured = line["model"] == model && line["kept_back"].is_number();
        ensure!(measured, "{model} is not measured: {compared}");
    }
    let offline = &compared["lines"][2]["evaluation"];
    ensure!(offline.is_number(), "{compared}");
    let to = path.join("student");
    student(&["export", "--to", &to.to_string_lossy()], &checkpoint)?;
    for name in ["student.safetensors", "student.pt", "README.md"] {
        let size = std::fs::metadata(to.join(name)).context(name)?.len();
        ensure!(size > 0, "{name} is empty");
    }
    Ok(())
}
