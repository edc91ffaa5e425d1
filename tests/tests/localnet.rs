//! The main job: one command, a chain, four miners and two validators, and the worth of each miner
//! becomes its pay.

use anyhow::{ensure, Context, Result};
use noesis_tests::localnet::{epochs, localnet, minted, pay};

/// Ports that neither the default network nor the other tests use.
const BASE_PORT: &str = "19900";

#[test]
fn the_trained_miner_earns_most_and_useless_ones_next_to_nothing() -> Result<()> {
    let report = localnet(&["--epochs", "3", "--base-port", BASE_PORT])?;
    let first = report["first_paid_epoch_seconds"]
        .as_f64()
        .context("first_paid_epoch_seconds is missing")?;
    ensure!(first < 60.0, "the first epoch was paid after {first} s");

    let epochs = epochs(&report)?;
    ensure!(epochs.len() == 3, "{} epochs", epochs.len());
    for epoch in epochs {
        minted(epoch)?;
        ensure!(epoch["loss"].as_f64().context("loss")? < 0.0);
    }

    let third = &epochs[2];
    let trained = pay(third, "trained")?;
    for other in ["scratch", "noise", "late"] {
        ensure!(
            trained > pay(third, other)?,
            "{other} earns more than trained"
        );
    }
    // Who is never heard cannot seem useful by chance, as noise may.
    ensure!(pay(third, "late")? == 0, "late earns");
    let noise = pay(third, "noise")? as f64 / minted(third)? as f64;
    ensure!(noise < 0.02, "noise earns {noise} of the emission");
    Ok(())
}
