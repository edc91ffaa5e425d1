//! Parts of a hundred as people write them, exact.

use std::str::FromStr;

use noesis_chain::Share;

use crate::decimal::{self, DecimalError};

/// Decimals of a percentage: a share is in parts of 10^18.
const DECIMALS: usize = 16;

/// A share, written as `12.5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentage(pub Share);

/// A text that is no percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PercentageError {
    // Whether 0.1 is a tenth or a thousandth nobody knows.
    #[error("a percentage is written with its sign, such as 12.5%")]
    NoSign,
    #[error(transparent)]
    Number(#[from] DecimalError),
}

impl FromStr for Percentage {
    type Err = PercentageError;

    fn from_str(text: &str) -> Result<Self, PercentageError> {
        let number = text.strip_suffix('%').ok_or(PercentageError::NoSign)?;
        let share = decimal::parse(number.trim_end(), DECIMALS)?;
        Ok(Self(Share(share)))
    }
}

/// A share as a percentage, exactly.
pub fn percentage(share: Share) -> String {
    format!("{}%", decimal::text(share.0, DECIMALS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_exact_and_has_its_sign() {
        let share = |text: &str| text.parse().map(|Percentage(share)| share.0);
        assert_eq!(share("18%"), Ok(180_000_000_000_000_000));
        assert_eq!(share("0.0000000000000001 %"), Ok(1));
        assert_eq!(share("0.1"), Err(PercentageError::NoSign));
        assert_eq!(share("-1%"), Err(DecimalError::Negative.into()));
        assert_eq!(share("1.5.%"), Err(DecimalError::NotANumber.into()));
        assert_eq!(percentage(Share(125_000_000_000_000_000)), "12.5%");
    }
}
