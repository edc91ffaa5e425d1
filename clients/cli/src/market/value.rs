//! The value of a parameter as people read and write it, in its unit.

use anyhow::{Context, Result};
use noesis_chain::{bounds, ParameterValue, Rules};
use serde_json::Value;

use crate::{amount::Amount, decimal, exit::Usage};

/// The name of a market's share of the emission, which is set like a parameter.
pub const EMISSION_SHARE: &str = "emission_share";

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Parts of 10^-so many.
    Decimal(usize),
    /// Things with a name.
    Whole(&'static str),
    /// Units of NOE.
    Amount,
}

/// The unit of a parameter; of one that this program does not know, none.
fn unit(name: &str) -> Unit {
    match name {
        "rho" => Unit::Decimal(9),
        EMISSION_SHARE | "kappa" | "lambda" | "alpha" | "trust_threshold" | "quorum"
        | "max_weight" => Unit::Decimal(18),
        "tempo" | "weights_rate_limit" | "activity_cutoff" | "immunity" => Unit::Whole("blocks"),
        "reveal_period" => Unit::Whole("epochs"),
        "registration_cost" | "registration_cost_floor" => Unit::Amount,
        _ => Unit::Whole(""),
    }
}

/// Everything that is set, by name.
pub fn rows(rules: &Rules) -> impl Iterator<Item = (&str, ParameterValue)> {
    let share = ParameterValue::Number(rules.emission_share.0);
    let parameters = rules.parameters.iter();
    std::iter::once((EMISSION_SHARE, share))
        .chain(parameters.map(|(name, value)| (name.as_str(), *value)))
}

/// A value for programs: shares and rho as the numbers that people see, amounts in units, times in blocks or epochs.
pub fn json(name: &str, value: ParameterValue) -> Value {
    match (value, unit(name)) {
        (ParameterValue::Truth(truth), _) => truth.into(),
        (ParameterValue::Number(number), Unit::Decimal(decimals)) => {
            // The nearest number that JSON's readers have; digits and a point always are one.
            let nearest: f64 = decimal::text(number, decimals).parse().unwrap_or(f64::NAN);
            nearest.into()
        }
        (ParameterValue::Number(number), _) => number.into(),
    }
}

/// A value with its unit.
pub fn words(name: &str, value: ParameterValue) -> String {
    let number = match value {
        ParameterValue::Truth(truth) => return truth.to_string(),
        ParameterValue::Number(number) => number,
    };
    match unit(name) {
        Unit::Decimal(decimals) => decimal::text(number, decimals),
        Unit::Whole("") => number.to_string(),
        Unit::Whole(things) => format!("{number} {things}"),
        Unit::Amount => Amount(number).to_string(),
    }
}

/// What somebody wrote as the new value of a parameter that is `old` now.
pub fn parse(name: &str, text: &str, old: ParameterValue) -> Result<ParameterValue> {
    read(name, text.trim(), old).with_context(|| {
        let bounds =
            bounds(name).map_or(String::new(), |bounds| format!(", which must be {bounds}"));
        format!("{name}={text} is no value of {name}{bounds}")
    })
}

fn read(name: &str, text: &str, old: ParameterValue) -> Result<ParameterValue> {
    let wrong = |error: String| Usage(error);
    if let ParameterValue::Truth(_) = old {
        let truth = text
            .parse()
            .map_err(|_| wrong("write true or false".into()))?;
        return Ok(ParameterValue::Truth(truth));
    }
    let number = match unit(name) {
        Unit::Amount => {
            let Amount(units) = text.parse().map_err(|error| wrong(format!("{error}")))?;
            units
        }
        Unit::Decimal(decimals) => {
            decimal::parse(text, decimals).map_err(|error| wrong(error.to_string()))?
        }
        Unit::Whole(things) => {
            let number = text.strip_suffix(things).unwrap_or(text).trim_end();
            let sort = |error| match error {
                decimal::DecimalError::TooManyDecimals(_) => wrong("write a whole number".into()),
                error => wrong(error.to_string()),
            };
            decimal::parse(number, 0).map_err(sort)?
        }
    };
    Ok(ParameterValue::Number(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_is_exact_in_its_unit_and_can_be_typed_again() {
        let number = ParameterValue::Number;
        for (name, value, shown) in [
            ("kappa", number(500_000_000_000_000_000), "0.5"),
            ("quorum", number(1_000_000_000_000_000_000), "1"),
            ("alpha", number(1), "0.000000000000000001"),
            ("rho", number(10_000_000_000), "10"),
            ("tempo", number(10), "10 blocks"),
            ("reveal_period", number(0), "0 epochs"),
            ("registration_cost_floor", number(10_000_000), "0.01 NOE"),
            ("something_new", number(7), "7"),
            ("self_weight", ParameterValue::Truth(false), "false"),
        ] {
            assert_eq!(words(name, value), shown);
            assert_eq!(parse(name, shown, value).unwrap(), value, "{name}");
        }
        assert_eq!(parse("tempo", "20", number(1)).unwrap(), number(20));
    }

    #[test]
    fn programs_get_the_numbers_that_people_see_and_amounts_in_units() {
        let number = ParameterValue::Number;
        for (name, value, expected) in [
            ("kappa", number(500_000_000_000_000_000), json!(0.5)),
            (EMISSION_SHARE, number(180_000_000_000_000_000), json!(0.18)),
            ("rho", number(10_000_000_000), json!(10.0)),
            ("tempo", number(10), json!(10)),
            ("registration_cost", number(10_000_000), json!(10_000_000)),
            ("self_weight", ParameterValue::Truth(true), json!(true)),
        ] {
            assert_eq!(super::json(name, value), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_the_bounds() {
        for (name, text, wrong) in [
            ("kappa", "half", "digits alone"),
            ("tempo", "1.5", "whole number"),
            ("tempo", "10 epochs", "digits alone"),
            ("tempo", "-1", "negative"),
            ("registration_cost", "1 TAO", "no unit of amounts"),
        ] {
            let error = parse(name, text, ParameterValue::Number(1)).unwrap_err();
            assert_eq!(crate::exit::code(&error), 2);
            let words = format!("{error:#}");
            assert!(words.contains(wrong), "{words}");
            assert!(words.contains(bounds(name).unwrap()), "{words}");
        }
        let error = parse("self_weight", "yes", ParameterValue::Truth(true)).unwrap_err();
        assert!(format!("{error:#}").contains("true or false"));
    }
}
