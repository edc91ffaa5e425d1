//! Step 5, consensus: the sigmoid of trust.

use crate::{fixed::ONE, parameters::Parameters, scaled::Scaled};

/// One in units of 2^-63.
const UNIT: u64 = 1 << 63;

/// ln 2 in parts of 10^27, the parts that `rho * (T - kappa)` comes in.
const LN_2: u128 = 693_147_180_559_945_309_417_232_121;

/// Consensus of one neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consensus {
    /// In parts of 10^18, strictly between 0 and 1.
    pub parts: u64,
    /// To full relative precision however small it is, for products whose proportions count.
    pub(crate) exact: Scaled,
}

/// `C = 1 / (1 + exp(-rho (T - kappa)))` for a trust in parts of 10^18.
///
/// Symmetric to the part: trust as far above `kappa` as another is below gives the complement.
pub fn consensus(parameters: &Parameters, trust: u64) -> Consensus {
    let above = trust > parameters.kappa;
    let distance = trust.abs_diff(parameters.kappa);
    let (power, halvings) =
        exp_negative(u128::from(parameters.rho).saturating_mul(distance.into()));
    // 1 + exp(-|x|), between 1 and 2.
    let whole = u128::from(UNIT).saturating_add(power.checked_shr(halvings).unwrap_or(0).into());
    let low = Scaled::ratio(power.into(), whole)
        .multiply(Scaled::new(1, 0_i32.saturating_sub_unsigned(halvings)));
    let parts = Scaled::multiply(low, Scaled::new(ONE.into(), 0))
        .to_fixed(0)
        .clamp(1, ONE / 2);
    if above {
        Consensus {
            parts: ONE.saturating_sub(parts),
            exact: Scaled::ratio(UNIT.into(), whole),
        }
    } else {
        Consensus { parts, exact: low }
    }
}

/// `exp(-x)` for an `x` in parts of 10^27: a number between 1/2 and 1 in units of 2^-63, and how often
/// it is to be halved.
fn exp_negative(x: u128) -> (u64, u32) {
    let halvings = x.checked_div(LN_2).unwrap_or(0);
    let rest = x.saturating_sub(halvings.saturating_mul(LN_2));
    // Less than ln 2, from parts of 10^27 over parts of 10^18 to units of 2^-63.
    let z = (rest / 1_000_000_000)
        .wrapping_shl(63)
        .checked_div(ONE.into())
        .unwrap_or(0);
    // exp(-z) = 1 - z/1 (1 - z/2 (1 - z/3 (...))); the first term left out is below 10^-21.
    let power = (1..=20_u64).rev().fold(UNIT, |inner, order| {
        let product = z.saturating_mul(inner.into()).wrapping_shr(63);
        let term = product.checked_div(order.into()).unwrap_or(0);
        UNIT.saturating_sub(u64::try_from(term).unwrap_or(UNIT))
    });
    (power, u32::try_from(halvings).unwrap_or(u32::MAX))
}
