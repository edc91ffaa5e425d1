//! Shares in parts of 10^18, and the exact division of a whole into them.

use alloc::vec::Vec;

/// Parts in one: every share of this crate is a `u64` between 0 and this, as in FRAME's `Perquintill`.
pub const ONE: u64 = 1_000_000_000_000_000_000;

/// One half, in parts.
pub const HALF: u64 = ONE / 2;

/// `part / whole` in parts of [`ONE`], rounded down; 0 where `whole` is 0, at most [`ONE`].
///
/// Exact while `whole` has no more than 64 bits. A larger one loses its lowest bits, which are worth
/// less than 2^-63 of it; `part == whole` gives [`ONE`] all the same.
pub fn share(part: u128, whole: u128) -> u64 {
    let spare = 64_u32.saturating_sub(whole.leading_zeros());
    let (part, whole) = (
        part.min(whole).wrapping_shr(spare),
        whole.wrapping_shr(spare),
    );
    part.saturating_mul(ONE.into())
        .checked_div(whole)
        .and_then(|parts| u64::try_from(parts).ok())
        .unwrap_or(0)
}

/// `amount * part / whole`, rounded down; `None` where `whole` is 0 or the result has more than 64 bits.
pub fn scaled_down(amount: u64, part: u64, whole: u64) -> Option<u64> {
    let product = u128::from(amount).checked_mul(part.into())?;
    u64::try_from(product.checked_div(whole.into())?).ok()
}

/// Divides `amount` in proportion to `weights`, in whole units, by largest remainder.
///
/// The result sums to `amount` exactly, or to 0 where all weights are 0. Each entry is its exact
/// proportion rounded down or up. Of equal remainders the one at the lower index is rounded up first:
/// that is the only thing in which the order of the weights matters.
pub fn apportion(amount: u64, weights: &[u64]) -> Vec<u64> {
    let total: u128 = weights
        .iter()
        .fold(0, |sum: u128, &weight| sum.saturating_add(weight.into()));
    let amount = u128::from(amount);
    let mut remainders = Vec::with_capacity(weights.len());
    let mut parts: Vec<u64> = Vec::with_capacity(weights.len());
    let mut left = if total == 0 { 0 } else { amount };
    for (index, &weight) in weights.iter().enumerate() {
        // Two factors of 64 bits each: the product always fits.
        let product = amount.saturating_mul(weight.into());
        let part = product.checked_div(total).unwrap_or(0);
        let remainder = product.checked_rem(total).unwrap_or(0);
        // The part is at most the amount, so it has 64 bits.
        parts.push(u64::try_from(part).unwrap_or(u64::MAX));
        left = left.saturating_sub(part);
        if remainder > 0 {
            remainders.push((remainder, index));
        }
    }
    // What the rounding left over is less than one unit for each remainder.
    let count = usize::try_from(left).unwrap_or(usize::MAX);
    let larger_first = |a: &(u128, usize), b: &(u128, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
    if count > 0 && count < remainders.len() {
        remainders.select_nth_unstable_by(count, larger_first);
    }
    for &(_, index) in remainders.iter().take(count) {
        if let Some(part) = parts.get_mut(index) {
            *part = part.saturating_add(1);
        }
    }
    parts
}
