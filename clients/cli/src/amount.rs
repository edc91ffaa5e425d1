//! Amounts as people write them, exact to the unit.

use std::{fmt, str::FromStr};

use noesis_chain::{ChainError, MarketError, MAX_MINTED};
use serde::{Serialize, Serializer};

use crate::decimal::{self, DecimalError};

/// Decimals of an amount in NOE.
const DECIMALS: usize = 9;

/// An amount in units; written and read as `1.5 NOE` or `1500000000 units`, a number in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u64);

/// A text that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("an amount is a number with a point before its decimals and nothing between its digits, such as 1.5, 1.5NOE or 1500000000units")]
    NotANumber,
    #[error("an amount cannot be negative: give it without the sign")]
    Negative,
    #[error("NOE has 9 decimals, and this has {0}: one unit is 0.000000001 NOE")]
    TooManyDecimals(usize),
    #[error("a unit is not divided: give a whole number of units, or NOE")]
    PartOfAUnit,
    #[error("`{0}` is no unit of amounts: write NOE, or units (10^-9 NOE)")]
    UnknownUnit(String),
    #[error("no amount may exceed the 21000000 NOE that are ever minted: give less")]
    TooLarge,
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        let end = text
            .find(|letter: char| letter.is_alphabetic())
            .unwrap_or(text.len());
        let (number, unit) = (text[..end].trim_end(), &text[end..]);
        let scale = match unit.to_ascii_lowercase().as_str() {
            "" | "noe" => DECIMALS,
            "unit" | "units" => 0,
            _ => return Err(AmountError::UnknownUnit(unit.into())),
        };
        match decimal::parse(number, scale) {
            Ok(units) if units <= MAX_MINTED => Ok(Self(units)),
            Ok(_) | Err(DecimalError::TooLarge) => Err(AmountError::TooLarge),
            Err(DecimalError::TooManyDecimals(_)) if scale == 0 => Err(AmountError::PartOfAUnit),
            Err(DecimalError::TooManyDecimals(found)) => Err(AmountError::TooManyDecimals(found)),
            Err(DecimalError::Negative) => Err(AmountError::Negative),
            Err(DecimalError::NotANumber) => Err(AmountError::NotANumber),
        }
    }
}

impl Amount {
    /// Its units, of which there has to be one at least.
    pub fn positive(self) -> Result<u64, ChainError> {
        match self.0 {
            0 => Err(MarketError::AmountZero.into()),
            units => Ok(units),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} NOE", decimal::text(self.0, DECIMALS))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_chain::NOE;

    fn parse(text: &str) -> Result<u64, AmountError> {
        text.parse().map(|Amount(units)| units)
    }

    #[test]
    fn amounts_are_exact_in_either_unit() {
        for (text, units) in [
            ("1.5", 1_500_000_000),
            ("1.5NOE", 1_500_000_000),
            (" 1.5 noe ", 1_500_000_000),
            ("0.000000001", 1),
            ("1500000000 units", 1_500_000_000),
            ("1unit", 1),
            ("0", 0),
            ("2.50000000000", 2_500_000_000),
            // No binary fraction is 0.1: a float would be off by a unit here.
            ("12345678.123456789", 12_345_678_123_456_789),
            ("21000000", MAX_MINTED),
        ] {
            assert_eq!(parse(text), Ok(units), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_what_to_do() {
        use AmountError::*;
        for (text, error) in [
            ("1.0000000001", TooManyDecimals(10)),
            ("-1", Negative),
            ("-0.5NOE", Negative),
            ("21000000.000000001", TooLarge),
            ("21000000000000001units", TooLarge),
            ("99999999999999999999999999", TooLarge),
            ("1.5units", PartOfAUnit),
            ("1.5 TAO", UnknownUnit("TAO".into())),
            ("1e3", UnknownUnit("e3".into())),
            ("", NotANumber),
            ("NOE", NotANumber),
            (".5", NotANumber),
            ("1.", NotANumber),
            ("1,000", NotANumber),
            ("1_000", NotANumber),
            ("+1", NotANumber),
            ("1.2.3", NotANumber),
            ("٣", NotANumber),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for units in [0, 1, NOE, 1_500_000_000, 12_345_678_123_456_789] {
            let shown = Amount(units).to_string();
            assert_eq!(parse(&shown), Ok(units), "{shown}");
        }
        assert_eq!(Amount(1_500_000_000).to_string(), "1.5 NOE");
    }
}
