//! The bounds of what governance sets, in words. The pallet has them in numbers, and is the one to refuse.

/// Each with what it must be.
const BOUNDS: [(&str, &str); 20] = [
    (
        "emission_share",
        "at most what the other markets leave; lower one of theirs first and wait for its next epoch",
    ),
    ("rho", "above 0 and at most 100"),
    ("kappa", "0 to 1"),
    ("lambda", "0 to 1"),
    ("alpha", "0 to 1"),
    ("trust_threshold", "0 to 1"),
    ("self_weight", "true or false"),
    ("consensus_gate", "true or false"),
    ("count_idle_stake", "true or false"),
    ("quorum", "0 to 1"),
    ("tempo", "1 to 100800 blocks"),
    ("capacity", "1 to 4096, and no less than it is"),
    ("min_weights", "below capacity"),
    ("max_weight", "1 / capacity to 1"),
    ("weights_rate_limit", "1 block to activity_cutoff"),
    (
        "activity_cutoff",
        "(reveal_period + 1) * tempo blocks or more",
    ),
    ("reveal_period", "0 to 10 epochs"),
    ("registration_cost", "at most 21 million NOE"),
    (
        "registration_cost_floor",
        "4 units to registration_cost",
    ),
    ("response_dim", "1 to 65536"),
];

/// What a parameter must be, in words; `None` of one that has no bounds or that this program does not know.
pub fn bounds(parameter: &str) -> Option<&'static str> {
    let (_, bounds) = BOUNDS.iter().find(|(name, _)| *name == parameter)?;
    Some(bounds)
}

/// The parameter of an error of the pallet, and what it must be: `max_weight` of `MaxWeightOutOfBounds`.
pub(super) fn out_of_bounds(error: &str) -> Option<(&'static str, &'static str)> {
    let camel = error.strip_suffix("OutOfBounds")?;
    BOUNDS.into_iter().find(|(name, _)| {
        let words = name.split('_').flat_map(|word| {
            let (first, rest) = word.split_at(1);
            [first.to_uppercase(), rest.into()]
        });
        words.collect::<String>() == camel
    })
}
