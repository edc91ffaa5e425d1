//! The format of one bond: a share of all stake to 26 significant bits, at any magnitude.

use crate::scaled::Scaled;

/// Stored bits of the mantissa; its leading 1 is not stored.
const MANTISSA_BITS: u32 = 25;
/// The exponent field of a bond of one.
const EXPONENT_ONE: i32 = 127;
/// The leading 1 of a mantissa.
const LEADING: u64 = 1 << MANTISSA_BITS;
/// Bits that rounding cuts off a sum of 64.
const CUT_BITS: u32 = 63 - MANTISSA_BITS;
/// What those bits can hold.
const CUT_MASK: u64 = (1 << CUT_BITS) - 1;
/// The other bits of 64.
const CUT_OFFSET: u32 = 64 - CUT_BITS;
/// An odd number near 2^64 over the golden ratio: multiplying by it spreads low bits over the high ones.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A bond: a share of all stake, in 32 bits.
///
/// The upper 7 bits are an exponent `e`, the lower 25 a mantissa `m`; the value is
/// `(1 + m / 2^25) * 2^(e - 127)`, and 0 where all bits are 0. So its relative precision is 2^-25
/// between 2^-126 and 2: the smallest bond that one epoch can make of the smallest stake, the largest
/// row and the largest market is above 2^-97.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bond(u32);

impl Bond {
    /// No bond.
    pub const ZERO: Self = Self(0);

    /// A bond from its stored bits; any bits are a bond.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits to store.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Whether there is no bond.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Mantissa with its leading 1, and exponent: the value is `mantissa * 2^exponent`.
    #[inline]
    fn parts(self) -> (u64, i32) {
        if self.is_zero() {
            return (0, 0);
        }
        let mantissa = u64::from(self.0) & (LEADING.saturating_sub(1)) | LEADING;
        let field = self.0.wrapping_shr(MANTISSA_BITS);
        // Seven bits.
        let exponent = i32::try_from(field)
            .unwrap_or(0)
            .saturating_sub(EXPONENT_ONE)
            .saturating_sub_unsigned(MANTISSA_BITS);
        (mantissa, exponent)
    }

    /// The value in units of 2^-127, rounded down.
    #[inline]
    pub fn to_fixed(self) -> u128 {
        let (mantissa, exponent) = self.parts();
        let shift = exponent.saturating_add(127);
        let mantissa = u128::from(mantissa);
        if shift < 0 {
            mantissa.wrapping_shr(shift.unsigned_abs())
        } else {
            // At most 102 and 26 bits.
            mantissa.wrapping_shl(shift.unsigned_abs())
        }
    }

    /// `value * 2^exponent` as a bond, rounded up where the bits cut off, of [`CUT_BITS`], carry when
    /// `dither`, of as many, is added.
    ///
    /// Too small becomes zero, too large becomes the largest.
    #[inline]
    fn round(value: u64, exponent: i32, dither: u64) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let zeros = value.leading_zeros();
        let value = value.wrapping_shl(zeros);
        let carry = (value & CUT_MASK)
            .wrapping_add(dither)
            .wrapping_shr(CUT_BITS);
        let mantissa = value.wrapping_shr(CUT_BITS).wrapping_add(carry);
        let field = exponent
            .saturating_sub_unsigned(zeros)
            .saturating_add(63)
            .saturating_add(EXPONENT_ONE);
        // Adding rather than joining lets a mantissa rounded up to 2 pass into the exponent.
        let bits = i64::from(field)
            .wrapping_shl(MANTISSA_BITS)
            .saturating_add_unsigned(mantissa)
            .saturating_sub_unsigned(LEADING);
        Self(u32::try_from(bits.max(0)).unwrap_or(u32::MAX))
    }
}

/// How bonds of one row grow: the factors of `B <- keep * B + step * w`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    keep: (u64, i32),
    step: (u64, i32),
    salt: u64,
}

impl Growth {
    /// `keep` is `1 - a`, `step` is `a * s / sum of the row`; `salt` should be fresh each epoch.
    pub(crate) fn new(keep: Scaled, step: Scaled, salt: u64) -> Self {
        Self {
            // Bits such that no product below has more than 63.
            keep: keep.cut(37),
            step: step.cut(47),
            salt,
        }
    }

    /// The bond that follows on `bond` with a vote of `weight`.
    ///
    /// Rounding is up or down by chance, in proportion, so that steps far smaller than a bond's last
    /// bit are not lost over many epochs. The chance comes from the bond, the weight and the salt
    /// alone, so that it is the same everywhere and does not depend on the order of uids.
    #[inline]
    pub(crate) fn grow(&self, bond: Bond, weight: u16) -> Bond {
        let (mantissa, exponent) = bond.parts();
        let kept = mantissa.wrapping_mul(self.keep.0);
        let added = self.step.0.wrapping_mul(weight.into());
        let kept_exponent = exponent.saturating_add(self.keep.1);
        let exponent = match (kept, added) {
            (0, _) => self.step.1,
            (_, 0) => kept_exponent,
            _ => kept_exponent.max(self.step.1),
        };
        let at = |value: u64, own: i32| {
            let shift = exponent.saturating_sub(own).unsigned_abs();
            value.checked_shr(shift).unwrap_or(0)
        };
        let sum = at(kept, kept_exponent).saturating_add(at(added, self.step.1));
        let seed = u64::from(bond.0).wrapping_shl(16) | u64::from(weight);
        let chance = (seed ^ self.salt).wrapping_mul(SCATTER);
        Bond::round(sum, exponent, chance.wrapping_shr(CUT_OFFSET))
    }
}

/// How much of a column's incentive goes to each bond in it: incentive over the sum of the bonds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Yield {
    mantissa: u64,
    exponent: i32,
}

/// Lower bits of a yield's mantissa: with those of a bond, its upper ones make 63.
const LOWER_BITS: u32 = 27;

impl Yield {
    /// Unit of dividends, in bits after the point: the sum of all is one.
    pub(crate) const BITS: i32 = 62;

    /// `value` is the incentive, of one, for each unit of 2^-127 of bonds.
    pub(crate) fn new(value: Scaled) -> Self {
        let (mantissa, exponent) = value.cut(64);
        Self {
            mantissa,
            exponent: exponent
                .saturating_add_unsigned(LOWER_BITS)
                .saturating_add(127)
                .saturating_add(Self::BITS),
        }
    }

    /// The dividend of a bond, in units of 2^-62, rounded down.
    #[inline]
    pub(crate) fn of(self, bond: Bond) -> u64 {
        let (mantissa, exponent) = bond.parts();
        // Two narrow products are faster in Wasm than one of 128 bits.
        let upper = mantissa.wrapping_mul(self.mantissa.wrapping_shr(LOWER_BITS));
        let lower = mantissa.wrapping_mul(self.mantissa & ((1 << LOWER_BITS) - 1));
        let product = upper.wrapping_add(lower.wrapping_shr(LOWER_BITS));
        let shift = exponent.saturating_add(self.exponent);
        if shift <= 0 {
            product.checked_shr(shift.unsigned_abs()).unwrap_or(0)
        } else {
            // Only for bonds that nothing here made: more than the column's sum.
            product.saturating_mul(1_u64.checked_shl(shift.unsigned_abs()).unwrap_or(u64::MAX))
        }
    }
}

/// Scatters the bits of a number over all 64 (the finaliser of SplitMix64).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(SCATTER);
    bits = (bits ^ bits.wrapping_shr(30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits.wrapping_shr(27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits.wrapping_shr(31)
}
