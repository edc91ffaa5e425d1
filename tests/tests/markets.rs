//! Texts, images and vectors are traded beside each other on one chain, by the programs that people run.

use anyhow::{ensure, Context, Result};
use noesis_tests::localnet::{epochs, localnet, minted, pay};

/// Ports that neither the default network nor the other tests use.
const BASE_PORT: &str = "19940";

/// So many steps teach a miner more than its validator learns until the first pay.
const STEPS: &str = "400";

#[test]
fn three_markets_of_one_chain_each_pay_the_miner_that_was_trained() -> Result<()> {
    let flags = ["--market", "all", "--epochs", "1"];
    let network = ["--base-port", BASE_PORT, "--train-steps", STEPS];
    let report = localnet(&[flags, network].concat())?;
    for market in ["text", "image", "tensor"] {
        let paid = epochs(&report["markets"][market]).context(market)?;
        // The market that pays first goes on until the last one does.
        let last = paid
            .last()
            .with_context(|| format!("{market} paid nobody"))?;
        minted(last).context(market)?;
        let [trained, noise, validator] =
            ["trained", "noise", "validator-1"].map(|name| pay(last, &format!("{market}-{name}")));
        let (trained, noise, validator) = (trained?, noise?, validator?);
        ensure!(
            trained > noise && validator > 0,
            "{market} paid {trained} to trained, {noise} to noise, {validator} to the validator"
        );
    }
    Ok(())
}
