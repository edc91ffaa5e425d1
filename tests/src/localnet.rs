//! A local network that runs until it has paid, and what its report says.

use crate::{cache, program};
use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;
use std::{
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a network may take: one that never pays would run for ever.
const LONG: Duration = Duration::from_secs(300);

/// Runs `noesis localnet` with these flags, on the data that the set-up fetched, until it ends by itself; its report.
pub fn localnet(flags: &[&str]) -> Result<Value> {
    let cache = cache()?;
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("out.json");
    let mut network = Command::new(program("noesis")?)
        .arg("localnet")
        .args(flags)
        .arg("--json")
        .arg(&report)
        .arg("--folder")
        .arg(folder.path().join("network"))
        .arg("--cache")
        .arg(&cache)
        .env("NOESIS_DATA", cache.join("data/king-james.txt"))
        .env("NOESIS_IMAGES", cache.join("data/fashion-mnist"))
        .spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = network.try_wait()? {
            break status;
        }
        if begun.elapsed() >= LONG {
            // Told to end, so that it ends its own programs.
            let pid = network.id().to_string();
            Command::new("kill").args(["-INT", &pid]).status()?;
            network.wait()?;
            bail!("noesis localnet {flags:?} has not paid after {LONG:?}");
        }
        sleep(Duration::from_millis(200));
    };
    ensure!(status.success(), "noesis localnet ended with {status}");
    Ok(serde_json::from_slice(&std::fs::read(&report)?)?)
}

/// The paid epochs in the report of a market, oldest first.
pub fn epochs(report: &Value) -> Result<&Vec<Value>> {
    report["epochs"].as_array().context("epochs are missing")
}

/// What an epoch minted, all of which must have been paid.
pub fn minted(epoch: &Value) -> Result<u64> {
    let minted = epoch["minted"].as_u64().context("minted")?;
    let paid: u64 = neurons(epoch)?
        .iter()
        .filter_map(|neuron| neuron["pay"].as_u64())
        .sum();
    ensure!(minted > 0 && paid == minted, "{paid} of {minted} was paid");
    Ok(minted)
}

/// What an epoch paid to the neuron of that name.
pub fn pay(epoch: &Value, name: &str) -> Result<u64> {
    let mut neurons = neurons(epoch)?.iter();
    let neuron = neurons.find(|neuron| neuron["name"] == name);
    neuron
        .and_then(|neuron| neuron["pay"].as_u64())
        .with_context(|| format!("{name} is missing"))
}

fn neurons(epoch: &Value) -> Result<&Vec<Value>> {
    epoch["neurons"].as_array().context("neurons are missing")
}
