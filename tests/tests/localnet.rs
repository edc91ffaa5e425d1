//! The main job: one command, a chain, four miners and two validators, and the worth of each miner
//! becomes its pay.

use anyhow::{ensure, Context, Result};
use noesis_tests::{cache, program};
use serde_json::Value;
use std::process::Command;

/// Ports that neither the default network nor the other tests use.
const BASE_PORT: &str = "19900";

#[test]
fn the_trained_miner_earns_most_and_useless_ones_next_to_nothing() -> Result<()> {
    let cache = cache()?;
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("out.json");
    let status = Command::new(program("noesis")?)
        .args(["localnet", "--epochs", "3", "--base-port", BASE_PORT])
        .arg("--json")
        .arg(&report)
        .arg("--folder")
        .arg(folder.path().join("network"))
        .arg("--data")
        .arg(cache.join("data/king-james.txt"))
        .arg("--cache")
        .arg(&cache)
        .status()?;
    ensure!(status.success(), "noesis localnet ended with {status}");

    let report: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    let first = report["first_paid_epoch_seconds"]
        .as_f64()
        .context("first_paid_epoch_seconds is missing")?;
    ensure!(first < 60.0, "the first epoch was paid after {first} s");

    let epochs = report["epochs"].as_array().context("epochs are missing")?;
    ensure!(epochs.len() == 3, "{} epochs", epochs.len());
    for epoch in epochs {
        let minted = epoch["minted"].as_u64().context("minted")?;
        let paid: u64 = neurons(epoch)?
            .iter()
            .filter_map(|neuron| neuron["pay"].as_u64())
            .sum();
        ensure!(minted > 0 && paid == minted, "{paid} of {minted} was paid");
        ensure!(epoch["loss"].as_f64().context("loss")? < 0.0);
    }

    let third = &epochs[2];
    let minted = third["minted"].as_u64().context("minted")? as f64;
    let pay = |name: &str| -> Result<f64> {
        let neurons = neurons(third)?;
        let neuron = neurons.iter().find(|neuron| neuron["name"] == name);
        Ok(neuron
            .and_then(|neuron| neuron["pay"].as_u64())
            .with_context(|| format!("{name} is missing"))? as f64)
    };
    let trained = pay("trained")?;
    for other in ["scratch", "noise", "late"] {
        ensure!(trained > pay(other)?, "{other} earns more than trained");
    }
    // Who is never heard cannot seem useful by chance, as noise may.
    ensure!(pay("late")? == 0.0, "late earns");
    let noise = pay("noise")? / minted;
    ensure!(noise < 0.02, "noise earns {noise} of the emission");
    Ok(())
}

fn neurons(epoch: &Value) -> Result<&Vec<Value>> {
    epoch["neurons"].as_array().context("neurons are missing")
}
