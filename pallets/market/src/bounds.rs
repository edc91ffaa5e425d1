//! The bounds of a market's parameters: outside of them a market would do nothing, or never again be changed.

use crate::{types::MAX_REVEAL_PERIOD, Error, Parameters};
use market_mechanism::{OutOfRange, ONE};
use market_primitives::{BlockNumber, MAX_CAPACITY, MAX_MINTED};

/// Below this a price does not rise by 26 percent, for want of smaller units.
const MIN_COST: u64 = 4;

/// The longest epoch, a week of blocks of six seconds: parameters change where one epoch ends and the next
/// begins, so a longer one could not be taken back.
pub const MAX_TEMPO: BlockNumber = 100_800;

/// The largest `response_dim`.
const MAX_RESPONSE_DIM: u32 = 65_536;

/// A parameter that is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the name of the parameter; `reason` has the bounds
pub enum OutOfBounds {
    Rho,
    Kappa,
    Lambda,
    Alpha,
    TrustThreshold,
    Quorum,
    Tempo,
    Capacity,
    MinWeights,
    MaxWeight,
    WeightsRateLimit,
    ActivityCutoff,
    RevealPeriod,
    RegistrationCost,
    RegistrationCostFloor,
    ResponseDim,
}

impl OutOfBounds {
    /// The parameter and its bounds in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Rho => "rho must be above 0 and at most 100",
            Self::Kappa => "kappa must be between 0 and 1",
            Self::Lambda => "lambda must be between 0 and 1",
            Self::Alpha => "alpha must be between 0 and 1",
            Self::TrustThreshold => "trust_threshold must be between 0 and 1",
            Self::Quorum => "quorum must be between 0 and 1",
            Self::Tempo => "tempo must be 1 to 100800 blocks",
            Self::Capacity => "capacity must be 1 to 4096",
            Self::MinWeights => "min_weights must be below capacity",
            Self::MaxWeight => {
                "max_weight must be at most 1 and at least 1 / capacity, or no row is valid"
            }
            Self::WeightsRateLimit => {
                "weights_rate_limit must be at least 1 block, or free calls have no limit, and at most \
                 activity_cutoff, or rows are too old before they may be renewed"
            }
            Self::ActivityCutoff => {
                "activity_cutoff must be at least (reveal_period + 1) * tempo blocks, or rows are too \
                 old before they count: raise it, or lower reveal_period"
            }
            Self::RevealPeriod => "reveal_period must be at most 10 epochs",
            Self::RegistrationCost => "registration_cost must be at most 21 million NOE",
            Self::RegistrationCostFloor => {
                "registration_cost_floor must be at least 4 units and at most registration_cost"
            }
            Self::ResponseDim => "response_dim must be 1 to 65536",
        }
    }
}

impl From<OutOfRange> for OutOfBounds {
    fn from(out: OutOfRange) -> Self {
        match out {
            OutOfRange::Rho => Self::Rho,
            OutOfRange::Kappa => Self::Kappa,
            OutOfRange::Lambda => Self::Lambda,
            OutOfRange::Alpha => Self::Alpha,
            OutOfRange::TrustThreshold => Self::TrustThreshold,
            OutOfRange::Quorum => Self::Quorum,
        }
    }
}

impl<T> From<OutOfBounds> for Error<T> {
    fn from(out: OutOfBounds) -> Self {
        match out {
            OutOfBounds::Rho => Self::RhoOutOfBounds,
            OutOfBounds::Kappa => Self::KappaOutOfBounds,
            OutOfBounds::Lambda => Self::LambdaOutOfBounds,
            OutOfBounds::Alpha => Self::AlphaOutOfBounds,
            OutOfBounds::TrustThreshold => Self::TrustThresholdOutOfBounds,
            OutOfBounds::Quorum => Self::QuorumOutOfBounds,
            OutOfBounds::Tempo => Self::TempoOutOfBounds,
            OutOfBounds::Capacity => Self::CapacityOutOfBounds,
            OutOfBounds::MinWeights => Self::MinWeightsOutOfBounds,
            OutOfBounds::MaxWeight => Self::MaxWeightOutOfBounds,
            OutOfBounds::WeightsRateLimit => Self::WeightsRateLimitOutOfBounds,
            OutOfBounds::ActivityCutoff => Self::ActivityCutoffOutOfBounds,
            OutOfBounds::RevealPeriod => Self::RevealPeriodOutOfBounds,
            OutOfBounds::RegistrationCost => Self::RegistrationCostOutOfBounds,
            OutOfBounds::RegistrationCostFloor => Self::RegistrationCostFloorOutOfBounds,
            OutOfBounds::ResponseDim => Self::ResponseDimOutOfBounds,
        }
    }
}

impl Parameters {
    /// Checks every bound; the first parameter that is out of its own.
    pub fn validate(&self) -> Result<(), OutOfBounds> {
        self.mechanism().validate()?;
        // A row of the first block of an epoch is a block younger than that when it first counts.
        let youngest = u64::from(self.reveal_period)
            .saturating_add(1)
            .saturating_mul(self.tempo.into());
        let rules = [
            (
                (1..=ONE).contains(&self.max_weight.0)
                    && u128::from(self.max_weight.0).saturating_mul(self.capacity.into())
                        >= u128::from(ONE),
                OutOfBounds::MaxWeight,
            ),
            ((1..=MAX_TEMPO).contains(&self.tempo), OutOfBounds::Tempo),
            (
                (1..=self.activity_cutoff).contains(&self.weights_rate_limit),
                OutOfBounds::WeightsRateLimit,
            ),
            (
                (1..=MAX_CAPACITY).contains(&self.capacity),
                OutOfBounds::Capacity,
            ),
            (
                self.min_weights < self.capacity
                    || self.self_weight && self.min_weights == self.capacity,
                OutOfBounds::MinWeights,
            ),
            (
                self.registration_cost <= MAX_MINTED,
                OutOfBounds::RegistrationCost,
            ),
            (
                (MIN_COST..=self.registration_cost).contains(&self.registration_cost_floor),
                OutOfBounds::RegistrationCostFloor,
            ),
            (
                self.reveal_period <= MAX_REVEAL_PERIOD,
                OutOfBounds::RevealPeriod,
            ),
            (
                u64::from(self.activity_cutoff) >= youngest,
                OutOfBounds::ActivityCutoff,
            ),
            (
                (1..=MAX_RESPONSE_DIM).contains(&self.response_dim),
                OutOfBounds::ResponseDim,
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, out)) => Err(*out),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OutOfBounds::*, *};
    use crate::mock::Test;
    use codec::Encode;
    use market_primitives::{Share, NOE};
    use std::collections::BTreeSet;

    type Change = fn(&mut Parameters);

    /// For each parameter with bounds: the outermost values that it may have, and the first beyond them.
    fn changes() -> Vec<(OutOfBounds, Vec<Change>, Vec<Change>)> {
        vec![
            (
                Rho,
                vec![|p| p.rho = 1, |p| p.rho = 100_000_000_000],
                vec![|p| p.rho = 0, |p| p.rho = 100_000_000_001],
            ),
            (
                Kappa,
                vec![|p| p.kappa = Share(0), |p| p.kappa = Share(ONE)],
                vec![|p| p.kappa = Share(ONE + 1)],
            ),
            (
                Lambda,
                vec![|p| p.lambda = Share(0), |p| p.lambda = Share(ONE)],
                vec![|p| p.lambda = Share(ONE + 1)],
            ),
            (
                Alpha,
                vec![|p| p.alpha = Share(0), |p| p.alpha = Share(ONE)],
                vec![|p| p.alpha = Share(ONE + 1)],
            ),
            (
                TrustThreshold,
                vec![|p| p.trust_threshold = Share(0), |p| {
                    p.trust_threshold = Share(ONE)
                }],
                vec![|p| p.trust_threshold = Share(ONE + 1)],
            ),
            (
                Quorum,
                vec![|p| p.quorum = Share(0), |p| p.quorum = Share(ONE)],
                vec![|p| p.quorum = Share(ONE + 1)],
            ),
            (
                Tempo,
                vec![|p| p.tempo = 1, |p| {
                    p.tempo = 100_800;
                    p.activity_cutoff = 100_800;
                }],
                vec![|p| p.tempo = 0, |p| p.tempo = 100_801],
            ),
            (
                Capacity,
                vec![
                    |p| {
                        p.capacity = 1;
                        p.min_weights = 0;
                    },
                    |p| p.capacity = 4096,
                ],
                vec![
                    |p| {
                        p.capacity = 4097;
                    },
                    |p| p.capacity = u16::MAX,
                ],
            ),
            (
                MinWeights,
                vec![|p| p.min_weights = 0, |p| p.min_weights = 4095, |p| {
                    p.min_weights = 4096;
                    p.self_weight = true;
                }],
                vec![|p| p.min_weights = 4096, |p| {
                    p.min_weights = 4097;
                    p.self_weight = true;
                }],
            ),
            (
                MaxWeight,
                vec![|p| p.max_weight = Share(ONE), |p| {
                    p.max_weight = Share(ONE / 4096 + 1)
                }],
                vec![
                    |p| p.max_weight = Share(ONE + 1),
                    |p| p.max_weight = Share(ONE / 5000),
                    |p| p.max_weight = Share(0),
                    // A row in a market of no slots cannot be spread.
                    |p| p.capacity = 0,
                ],
            ),
            (
                WeightsRateLimit,
                vec![|p| p.weights_rate_limit = 1, |p| {
                    p.weights_rate_limit = 1_000
                }],
                vec![|p| p.weights_rate_limit = 0, |p| {
                    p.weights_rate_limit = 1_001
                }],
            ),
            (
                ActivityCutoff,
                vec![|p| p.activity_cutoff = 100, |p| {
                    p.reveal_period = 10;
                    p.activity_cutoff = 1_100;
                }],
                vec![|p| p.activity_cutoff = 99, |p| {
                    p.reveal_period = 10;
                    p.activity_cutoff = 1_099;
                }],
            ),
            (
                RevealPeriod,
                vec![|p| {
                    p.reveal_period = 10;
                    p.activity_cutoff = 1_100;
                }],
                vec![|p| p.reveal_period = 11, |p| p.reveal_period = u32::MAX],
            ),
            (
                RegistrationCost,
                vec![|p| p.registration_cost = 21_000_000 * NOE],
                vec![|p| p.registration_cost = 21_000_000 * NOE + 1],
            ),
            (
                RegistrationCostFloor,
                vec![|p| p.registration_cost_floor = 4, |p| {
                    p.registration_cost_floor = NOE
                }],
                vec![|p| p.registration_cost_floor = 3, |p| {
                    p.registration_cost_floor = NOE + 1
                }],
            ),
            (
                ResponseDim,
                vec![|p| p.response_dim = 1, |p| p.response_dim = 65_536],
                vec![|p| p.response_dim = 0, |p| p.response_dim = 65_537],
            ),
        ]
    }

    #[test]
    fn each_parameter_has_its_bounds_to_the_unit() {
        let with = |change: &Change| {
            let mut parameters = Parameters::default();
            change(&mut parameters);
            parameters.validate()
        };
        for (parameter, inside, outside) in changes() {
            for change in &inside {
                assert_eq!(with(change), Ok(()), "{parameter:?}");
            }
            for change in &outside {
                assert_eq!(with(change), Err(parameter));
            }
        }
    }

    #[test]
    fn each_refusal_names_its_parameter_and_is_an_error_of_its_own() {
        let mut errors = BTreeSet::new();
        for (parameter, ..) in changes() {
            let snake = parameter.reason().split(' ').next().expect("it has words");
            let camel: String = snake
                .split('_')
                .map(|word| word[..1].to_uppercase() + &word[1..])
                .collect();
            assert_eq!(camel, format!("{parameter:?}"));
            let error = Error::<Test>::from(parameter);
            assert_eq!(format!("{error:?}"), format!("{camel}OutOfBounds"));
            errors.insert(error.encode());
        }
        assert_eq!(errors.len(), 16);
    }

    #[test]
    fn the_presets_are_within_bounds() {
        for tempo in [1, 10, 100, MAX_TEMPO] {
            assert_eq!(Parameters::with_tempo(tempo).validate(), Ok(()));
        }
    }
}
