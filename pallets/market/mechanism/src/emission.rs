//! Step 10, emission: who is paid what.

use alloc::{vec, vec::Vec};

use crate::{
    fixed::{apportion, scaled_down, ONE},
    market::Market,
    Neuron, Parameters,
};

/// Bits dropped of a product of two shares, of 120 bits, so that 63 are left.
const PRODUCT_BITS: u32 = 57;

/// Payouts by uid, in units: `emission` is divided in proportion to `lambda D + (1 - lambda) I`.
///
/// They sum to `emission` exactly; to 0 where the market is not in consensus and the gate is on, or
/// where there is nobody to pay.
pub fn payouts(
    market: &Market,
    in_consensus: bool,
    incentive: &[u64],
    dividend: &[u64],
    emission: u64,
) -> Vec<u64> {
    if market.parameters.consensus_gate && !in_consensus {
        return vec![0; incentive.len()];
    }
    let shares: Vec<u64> = incentive
        .iter()
        .zip(dividend)
        .map(|(&incentive, &dividend)| portions(&market.parameters, incentive, dividend).1)
        .collect();
    apportion(emission, &shares)
}

/// The part of a neuron's payout that dividends earned, rounded down; the rest the incentive did.
pub fn from_dividends(parameters: &Parameters, neuron: &Neuron) -> u64 {
    let (dividends, all) = portions(parameters, neuron.incentive, neuron.dividend);
    scaled_down(neuron.payout, dividends, all).unwrap_or(0)
}

/// `lambda D`, and `lambda D + (1 - lambda) I`, to which payouts are in proportion.
fn portions(parameters: &Parameters, incentive: u64, dividend: u64) -> (u64, u64) {
    let lambda = u128::from(parameters.lambda);
    let rest = u128::from(ONE).saturating_sub(lambda);
    let dividends = lambda.saturating_mul(dividend.into());
    let all = dividends.saturating_add(rest.saturating_mul(incentive.into()));
    let short =
        |product: u128| u64::try_from(product.wrapping_shr(PRODUCT_BITS)).unwrap_or(u64::MAX);
    (short(dividends), short(all))
}
