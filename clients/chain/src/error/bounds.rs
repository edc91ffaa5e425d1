//! The bounds of what governance sets, in numbers and in words. The pallet has them too, and is the one to refuse;
//! here they are to be told before anything is signed.

use std::ops::RangeInclusive;

use market_primitives::{Share, MAX_CAPACITY, MAX_MINTED};

use super::MarketError;
use crate::{ParameterValue, Rules};

/// The largest number of blocks that a field of the runtime holds.
const MOST_BLOCKS: u64 = u32::MAX as u64;

/// A share, in parts of 10^18.
const SHARE: RangeInclusive<u64> = 0..=Share::ONE.0;

/// Numbers in the runtime's units, and in words what they must be, beside each other too.
const BOUNDS: [(&str, RangeInclusive<u64>, &str); 18] = [
    (
        "emission_share",
        SHARE,
        "at most what the other markets leave; lower one of theirs first and wait for its next epoch",
    ),
    ("rho", 1..=100_000_000_000, "above 0 and at most 100"),
    ("kappa", SHARE, "0 to 1"),
    ("lambda", SHARE, "0 to 1"),
    ("alpha", SHARE, "0 to 1"),
    ("trust_threshold", SHARE, "0 to 1"),
    ("quorum", SHARE, "0 to 1"),
    ("tempo", 1..=100_800, "1 to 100800 blocks"),
    (
        "capacity",
        1..=MAX_CAPACITY as u64,
        "1 to 4096, and no less than it is",
    ),
    ("min_weights", 0..=MAX_CAPACITY as u64, "below capacity"),
    ("max_weight", 1..=Share::ONE.0, "1 / capacity to 1"),
    (
        "weights_rate_limit",
        1..=MOST_BLOCKS,
        "1 block to activity_cutoff",
    ),
    (
        "activity_cutoff",
        0..=MOST_BLOCKS,
        "(reveal_period + 1) * tempo to 4294967295 blocks",
    ),
    ("immunity", 0..=MOST_BLOCKS, "0 to 4294967295 blocks"),
    ("reveal_period", 0..=10, "0 to 10 epochs"),
    (
        "registration_cost",
        0..=MAX_MINTED,
        "at most 21 million NOE",
    ),
    (
        "registration_cost_floor",
        4..=MAX_MINTED,
        "4 units to registration_cost",
    ),
    ("response_dim", 1..=65_536, "1 to 65536"),
];

/// What a parameter must be, in words; `None` of one that is no number or that this program does not know.
pub fn bounds(parameter: &str) -> Option<&'static str> {
    let (_, _, bounds) = BOUNDS.iter().find(|(name, ..)| *name == parameter)?;
    Some(bounds)
}

/// The error of a parameter that is out of its bounds, by the pallet's name for it: `MaxWeightOutOfBounds`.
pub(super) fn out_of_bounds(error: &str) -> Option<MarketError> {
    let camel = error.strip_suffix("OutOfBounds")?;
    let of_name = |name: &&str| {
        let words = name.split('_').flat_map(|word| {
            let (first, rest) = word.split_at(1);
            [first.to_uppercase(), rest.into()]
        });
        words.collect::<String>() == camel
    };
    BOUNDS
        .iter()
        .map(|(name, ..)| *name)
        .find(of_name)
        .and_then(refused)
}

/// The error of a parameter that is out of its bounds.
fn refused(parameter: &str) -> Option<MarketError> {
    let (name, _, bounds) = BOUNDS.iter().find(|(name, ..)| *name == parameter)?;
    Some(MarketError::OutOfBounds {
        parameter: name,
        bounds,
    })
}

impl Rules {
    /// Refuses what the chain would: a parameter out of its bounds, a larger share of the emission than others
    /// `left`, less capacity than the market has `now`, where it is there already. Of parameters that this program does
    /// not know nothing is said.
    ///
    /// Fails with [`MarketError::OutOfBounds`].
    pub fn check(&self, left: Share, now: Option<&Self>) -> Result<(), MarketError> {
        let outside = |(name, range, _): &&(&str, RangeInclusive<u64>, &str)| {
            let value = self.number(name);
            value.is_some_and(|value| !range.contains(&value))
        };
        let alone = BOUNDS.iter().find(outside).map(|(name, ..)| *name);
        match alone
            .or_else(|| self.beside_each_other(left, now))
            .and_then(refused)
        {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// The first number that is out of bounds which other numbers set.
    fn beside_each_other(&self, left: Share, now: Option<&Self>) -> Option<&'static str> {
        let of = |name| self.number(name);
        let own = self.parameters.iter().any(|(name, value)| {
            (name.as_str(), *value) == ("self_weight", ParameterValue::Truth(true))
        });
        let not_below = |least: Option<u64>, most: Option<u64>| {
            least.zip(most).is_none_or(|(least, most)| least <= most)
        };
        let slots = of("capacity");
        let spread = of("max_weight").zip(slots).is_none_or(|(weight, slots)| {
            u128::from(weight) * u128::from(slots) >= u128::from(Share::ONE.0)
        });
        let youngest = of("reveal_period")
            .zip(of("tempo"))
            .map(|(epochs, blocks)| epochs.saturating_add(1).saturating_mul(blocks));
        let edges = slots.map(|slots| match own {
            true => slots,
            false => slots.saturating_sub(1),
        });
        let rules = [
            ("emission_share", self.emission_share <= left),
            (
                "capacity",
                not_below(now.and_then(|now| now.number("capacity")), slots),
            ),
            ("min_weights", not_below(of("min_weights"), edges)),
            ("max_weight", spread),
            (
                "weights_rate_limit",
                not_below(of("weights_rate_limit"), of("activity_cutoff")),
            ),
            (
                "activity_cutoff",
                not_below(youngest, of("activity_cutoff")),
            ),
            (
                "registration_cost_floor",
                not_below(of("registration_cost_floor"), of("registration_cost")),
            ),
        ];
        rules
            .iter()
            .find(|(_, holds)| !holds)
            .map(|(name, _)| *name)
    }

    /// A number by its name, the share of the emission among them.
    fn number(&self, name: &str) -> Option<u64> {
        if name == "emission_share" {
            return Some(self.emission_share.0);
        }
        let (_, value) = self.parameters.iter().find(|(known, _)| known == name)?;
        match value {
            ParameterValue::Number(number) => Some(*number),
            ParameterValue::Truth(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_primitives::NOE;

    const ONE: u64 = Share::ONE.0;

    /// Parameters with new values.
    type Changes<'a> = &'a [(&'a str, u64)];

    /// The rules of a market in the presets, with some changed.
    fn rules(changes: Changes) -> Rules {
        let known = [
            ("rho", 10_000_000_000),
            ("kappa", ONE / 2),
            ("tempo", 10),
            ("capacity", 256),
            ("min_weights", 1),
            ("max_weight", ONE),
            ("weights_rate_limit", 10),
            ("activity_cutoff", 100),
            ("immunity", 20),
            ("reveal_period", 0),
            ("registration_cost", NOE),
            ("registration_cost_floor", 10),
            ("response_dim", 64),
        ];
        let changed = |name| changes.iter().find(|(other, _)| *other == name);
        let parameters = known.map(|(name, old)| {
            let number = changed(name).map_or(old, |(_, new)| *new);
            (name.into(), ParameterValue::Number(number))
        });
        Rules {
            emission_share: Share(changed("emission_share").map_or(ONE / 2, |(_, new)| *new)),
            parameters: parameters.into(),
        }
    }

    #[test]
    fn each_bound_holds_to_the_unit() {
        let left = Share(ONE / 2);
        let now = rules(&[]);
        let cases: [(&str, Changes, Changes); 12] = [
            (
                "emission_share",
                &[("emission_share", ONE / 2)],
                &[("emission_share", ONE / 2 + 1)],
            ),
            ("rho", &[("rho", 100_000_000_000)], &[("rho", 0)]),
            ("kappa", &[("kappa", ONE)], &[("kappa", ONE + 1)]),
            ("tempo", &[("tempo", 100)], &[("tempo", 0)]),
            ("capacity", &[("capacity", 4096)], &[("capacity", 255)]),
            (
                "min_weights",
                &[("min_weights", 255)],
                &[("min_weights", 256)],
            ),
            (
                "max_weight",
                &[("max_weight", ONE / 256)],
                &[("max_weight", ONE / 256 - 1)],
            ),
            (
                "weights_rate_limit",
                &[("weights_rate_limit", 100)],
                &[("weights_rate_limit", 101)],
            ),
            (
                "activity_cutoff",
                &[("reveal_period", 9)],
                &[("reveal_period", 10)],
            ),
            (
                "immunity",
                &[("immunity", MOST_BLOCKS)],
                &[("immunity", MOST_BLOCKS + 1)],
            ),
            (
                "registration_cost_floor",
                &[("registration_cost_floor", NOE)],
                &[("registration_cost", 9)],
            ),
            (
                "response_dim",
                &[("response_dim", 65_536)],
                &[("response_dim", 99_999_999_999)],
            ),
        ];
        for (name, inside, outside) in cases {
            assert_eq!(rules(inside).check(left, Some(&now)), Ok(()), "{name}");
            match rules(outside).check(left, Some(&now)) {
                Err(MarketError::OutOfBounds { parameter, .. }) => assert_eq!(parameter, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        // A new market has no capacity to keep, and what this program does not know has no bounds.
        let mut new = rules(&[("capacity", 8)]);
        let unknown = ("something_new".into(), ParameterValue::Number(u64::MAX));
        new.parameters.push(unknown);
        assert_eq!(new.check(left, None), Ok(()));
    }
}
