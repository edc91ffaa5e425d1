//! Decimal numbers as people write them, exact: whole numbers of parts of a power of ten.

/// A text that is no such number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    #[error("a number has digits alone, and a point before its decimals, such as 0.5")]
    NotANumber,
    #[error("it cannot be negative: give it without the sign")]
    Negative,
    #[error("it has too many decimals, {0}: give fewer")]
    TooManyDecimals(usize),
    #[error("it is too large: give less")]
    TooLarge,
}

/// The parts of 10^-`decimals` in a number.
pub fn parse(text: &str, decimals: usize) -> Result<u64, DecimalError> {
    if text.starts_with('-') {
        return Err(DecimalError::Negative);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || text.ends_with('.') || !digits(whole) || !digits(part) {
        return Err(DecimalError::NotANumber);
    }
    let part = part.trim_end_matches('0');
    if part.len() > decimals {
        return Err(DecimalError::TooManyDecimals(part.len()));
    }
    // Digits alone: what does not fit is too large.
    let parts = format!("{whole}{part:0<decimals$}").parse();
    parts.map_err(|_| DecimalError::TooLarge)
}

/// So many parts of 10^-`decimals` as a number.
pub fn text(parts: u64, decimals: usize) -> String {
    let digits = format!("{parts:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    match part.trim_end_matches('0') {
        "" => whole.into(),
        part => format!("{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for (parts, decimals, shown) in [
            (0, 18, "0"),
            (1, 18, "0.000000000000000001"),
            (500_000_000_000_000_000, 18, "0.5"),
            (1_000_000_000_000_000_000, 18, "1"),
            (10_000_000_000, 9, "10"),
            (7, 0, "7"),
            (u64::MAX, 0, "18446744073709551615"),
        ] {
            assert_eq!(text(parts, decimals), shown);
            assert_eq!(parse(shown, decimals), Ok(parts), "{shown}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        use DecimalError::*;
        for (text, error) in [
            ("", NotANumber),
            (".5", NotANumber),
            ("1.", NotANumber),
            ("1e3", NotANumber),
            ("+1", NotANumber),
            ("-1", Negative),
            ("0.1234567891", TooManyDecimals(10)),
            ("18446744074", TooLarge),
        ] {
            assert_eq!(parse(text, 9), Err(error), "{text}");
        }
    }
}
