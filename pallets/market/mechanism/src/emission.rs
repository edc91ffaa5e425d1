//! Step 10, emission: who is paid what.

use alloc::{vec, vec::Vec};

use crate::{
    fixed::{apportion, ONE},
    market::Market,
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
    let lambda = u128::from(market.parameters.lambda);
    let rest = u128::from(ONE).saturating_sub(lambda);
    let shares: Vec<u64> = incentive
        .iter()
        .zip(dividend)
        .map(|(&incentive, &dividend)| {
            let share = lambda
                .saturating_mul(dividend.into())
                .saturating_add(rest.saturating_mul(incentive.into()));
            u64::try_from(share.wrapping_shr(PRODUCT_BITS)).unwrap_or(u64::MAX)
        })
        .collect();
    apportion(emission, &shares)
}
