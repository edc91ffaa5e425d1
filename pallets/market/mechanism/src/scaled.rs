//! Numbers with 64 significant bits at any magnitude: factors that are computed once a neuron.
//!
//! Stakes may span 64 bits, and row sums and forgetting span more on top; a fixed point fine enough
//! for the smallest would overflow on the largest. These numbers are rounded down, and no operation
//! fails: results too small become 0.

/// `mantissa * 2^exponent`; the mantissa's top bit is set, except in zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scaled {
    mantissa: u64,
    exponent: i32,
}

impl Scaled {
    /// From mantissa and exponent, as [`Self::parts`] gives them; any two are a number.
    pub fn from_parts(mantissa: u64, exponent: i32) -> Self {
        Self::new(mantissa.into(), exponent)
    }

    /// Mantissa and exponent, to be stored.
    pub fn parts(self) -> (u64, i32) {
        (self.mantissa, self.exponent)
    }

    /// Zero.
    pub const ZERO: Self = Self {
        mantissa: 0,
        exponent: 0,
    };

    /// `value * 2^exponent`, to 64 significant bits.
    pub fn new(value: u128, exponent: i32) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let zeros = value.leading_zeros();
        let top = value.wrapping_shl(zeros).wrapping_shr(64);
        Self {
            // The upper half of 128 bits has 64.
            mantissa: u64::try_from(top).unwrap_or(u64::MAX),
            exponent: exponent.saturating_add(64).saturating_sub_unsigned(zeros),
        }
    }

    /// `numerator / denominator`; 0 where the denominator is 0.
    pub fn ratio(numerator: u128, denominator: u128) -> Self {
        Self::new(numerator, 0).divide(Self::new(denominator, 0))
    }

    /// The product.
    pub fn multiply(self, other: Self) -> Self {
        let product = u128::from(self.mantissa).saturating_mul(other.mantissa.into());
        Self::new(product, self.exponent.saturating_add(other.exponent))
    }

    /// The quotient; 0 where the divisor is 0.
    pub fn divide(self, other: Self) -> Self {
        let quotient = u128::from(self.mantissa)
            .wrapping_shl(64)
            .checked_div(other.mantissa.into())
            .unwrap_or(0);
        let exponent = self.exponent.saturating_sub(other.exponent);
        Self::new(quotient, exponent.saturating_sub(64))
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        if self.mantissa == 0 {
            return other;
        }
        if other.mantissa == 0 {
            return self;
        }
        let exponent = self.exponent.max(other.exponent);
        // A bit is left for the carry.
        let aligned = |value: Self| {
            let behind = exponent.saturating_sub(value.exponent).unsigned_abs();
            u128::from(value.mantissa)
                .wrapping_shl(63)
                .checked_shr(behind)
                .unwrap_or(0)
        };
        let sum = aligned(self).saturating_add(aligned(other));
        Self::new(sum, exponent.saturating_sub(63))
    }

    /// The value in units of `2^-bits`, rounded down; saturates.
    pub fn to_fixed(self, bits: i32) -> u64 {
        let shift = self.exponent.saturating_add(bits);
        if shift <= 0 {
            self.mantissa.checked_shr(shift.unsigned_abs()).unwrap_or(0)
        } else if self.mantissa == 0 {
            0
        } else {
            u64::MAX
        }
    }

    /// The mantissa cut to `bits` bits (1 to 64, its top one set except in zero), and the exponent
    /// that goes with it.
    pub fn cut(self, bits: u32) -> (u64, i32) {
        let dropped = 64_u32.saturating_sub(bits);
        (
            self.mantissa.checked_shr(dropped).unwrap_or(0),
            self.exponent.saturating_add_unsigned(dropped),
        )
    }

    /// The power of two just above the value: `value < 2^magnitude`; `None` for zero.
    pub fn magnitude(self) -> Option<i32> {
        (self.mantissa != 0).then(|| self.exponent.saturating_add(64))
    }
}
