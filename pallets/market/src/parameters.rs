//! The rules of a market, with their ranges.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use market_mechanism::{parameters::RHO_ONE, OutOfRange, ONE};
use market_primitives::{share_parts, BlockNumber, Share, MAX_CAPACITY, NOE};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// The parameters of a market. Shares are in parts of 10^18 (in
/// JSON too, so that a genesis never depends on floating point), amounts in units, times in blocks.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Steepness of the sigmoid of consensus (the paper's rho), in parts of 10^9.
    pub rho: u64,
    /// Trust at which consensus is one half (the paper's kappa).
    #[serde(with = "share_parts")]
    pub kappa: Share,
    /// Share of the emission that is paid as dividends.
    #[serde(with = "share_parts")]
    pub lambda: Share,
    /// What bonds forget in an epoch; 0 never forgets, as in the paper.
    #[serde(with = "share_parts")]
    pub alpha: Share,
    /// Smallest normalised weight that counts as an edge, times the number of neurons.
    #[serde(with = "share_parts")]
    pub trust_threshold: Share,
    /// Whether a weight on oneself counts.
    pub self_weight: bool,
    /// Whether nothing is minted without consensus.
    pub consensus_gate: bool,
    /// Whether stake that does not vote counts.
    pub count_idle_stake: bool,
    /// Smallest share of all stake that must vote.
    #[serde(with = "share_parts")]
    pub quorum: Share,
    /// Blocks from one epoch to the next.
    pub tempo: BlockNumber,
    /// Number of slots.
    pub capacity: u16,
    /// Fewest edges in a row.
    pub min_weights: u16,
    /// Largest normalised weight of a row; one is no limit.
    #[serde(with = "share_parts")]
    pub max_weight: Share,
    /// Blocks between two rows, or two endpoints, of the same neuron.
    pub weights_rate_limit: BlockNumber,
    /// Age at which a row stops counting.
    pub activity_cutoff: BlockNumber,
    /// Units that the first registration costs.
    pub registration_cost: u64,
    /// Units below which the cost does not fall.
    pub registration_cost_floor: u64,
    /// Last dimension of every answer.
    pub response_dim: u32,
}

impl Default for Parameters {
    /// The defaults of `docs/mechanism.md`.
    fn default() -> Self {
        Self::with_tempo(100)
    }
}

impl Parameters {
    /// The defaults, with every time in proportion to `tempo` blocks.
    pub fn with_tempo(tempo: BlockNumber) -> Self {
        Self {
            rho: RHO_ONE.saturating_mul(10),
            kappa: Share(ONE / 2),
            lambda: Share(ONE / 2),
            alpha: Share(ONE / 10),
            trust_threshold: Share(ONE / 10),
            self_weight: false,
            consensus_gate: true,
            count_idle_stake: false,
            quorum: Share(ONE / 4),
            tempo,
            capacity: MAX_CAPACITY,
            min_weights: 1,
            max_weight: Share(ONE),
            weights_rate_limit: tempo / 2,
            activity_cutoff: tempo.saturating_mul(10),
            registration_cost: NOE,
            registration_cost_floor: NOE / 100,
            response_dim: 256,
        }
    }

    /// The parameters under which the paper's results hold: no forgetting, every edge and all stake
    /// counts.
    pub fn paper() -> Self {
        Self {
            alpha: Share(0),
            trust_threshold: Share(0),
            self_weight: true,
            count_idle_stake: true,
            quorum: Share(0),
            ..Self::default()
        }
    }

    /// Those that the arithmetic of the epoch depends on.
    pub fn mechanism(&self) -> market_mechanism::Parameters {
        market_mechanism::Parameters {
            rho: self.rho,
            kappa: self.kappa.0,
            lambda: self.lambda.0,
            alpha: self.alpha.0,
            trust_threshold: self.trust_threshold.0,
            quorum: self.quorum.0,
            activity_cutoff: self.activity_cutoff.into(),
            self_weight: self.self_weight,
            consensus_gate: self.consensus_gate,
            count_idle_stake: self.count_idle_stake,
        }
    }

    /// Whether an epoch is due in block `now`.
    pub fn is_epoch(&self, now: BlockNumber) -> bool {
        now > 0 && now % self.tempo.max(1) == 0
    }

    /// The first block after `now` in which an epoch is due.
    pub fn next_epoch_block(&self, now: BlockNumber) -> BlockNumber {
        let tempo = self.tempo.max(1);
        (now / tempo).saturating_add(1).saturating_mul(tempo)
    }

    /// Checks every range; the reason names the parameter and the range.
    pub fn validate(&self) -> Result<(), &'static str> {
        self.mechanism().validate().map_err(|out| match out {
            OutOfRange::Rho => "rho must be above 0 and at most 100",
            OutOfRange::Kappa => "kappa must be between 0 and 1",
            OutOfRange::Lambda => "lambda must be between 0 and 1",
            OutOfRange::Alpha => "alpha must be between 0 and 1",
            OutOfRange::TrustThreshold => "trust_threshold must be between 0 and 1",
            OutOfRange::Quorum => "quorum must be between 0 and 1",
        })?;
        let share = |share: Share| share.0 <= ONE;
        let rules = [
            (share(self.max_weight), "max_weight must be between 0 and 1"),
            (self.tempo >= 1, "tempo must be at least 1 block"),
            (
                (1..=MAX_CAPACITY).contains(&self.capacity),
                "capacity must be 1 to 4096",
            ),
            (
                self.min_weights <= self.capacity,
                "min_weights must not exceed capacity",
            ),
            (
                self.registration_cost_floor <= self.registration_cost,
                "registration_cost_floor must not exceed registration_cost",
            ),
            (
                (1..=65_536).contains(&self.response_dim),
                "response_dim must be 1 to 65536",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(reason),
            None => Ok(()),
        }
    }
}
