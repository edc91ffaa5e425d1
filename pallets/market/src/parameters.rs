//! The rules of a market; `bounds` has their bounds.

use crate::types::Moment;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use market_mechanism::ONE;
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
    /// Age at which a row stops counting; at least `reveal_period + 1` tempos.
    pub activity_cutoff: BlockNumber,
    /// Age until which a neuron cannot be replaced.
    pub immunity: BlockNumber,
    /// Epochs between the commitment to a row and its being shown; 0 for rows in the clear.
    pub reveal_period: u32,
    /// Units that the first registration costs, and the next one after a change of this.
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
        let mechanism = market_mechanism::Parameters::DEFAULT;
        Self {
            rho: mechanism.rho,
            kappa: Share(mechanism.kappa),
            lambda: Share(mechanism.lambda),
            alpha: Share(mechanism.alpha),
            trust_threshold: Share(mechanism.trust_threshold),
            self_weight: mechanism.self_weight,
            consensus_gate: mechanism.consensus_gate,
            count_idle_stake: mechanism.count_idle_stake,
            quorum: Share(mechanism.quorum),
            tempo,
            capacity: MAX_CAPACITY,
            min_weights: 1,
            max_weight: Share(ONE),
            weights_rate_limit: (tempo / 2).max(1),
            activity_cutoff: tempo.saturating_mul(10),
            immunity: tempo.saturating_mul(20),
            reveal_period: 0,
            registration_cost: NOE,
            registration_cost_floor: NOE / 100,
            response_dim: 256,
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
            activity_cutoff: Moment::age(self.activity_cutoff),
            self_weight: self.self_weight,
            consensus_gate: self.consensus_gate,
            count_idle_stake: self.count_idle_stake,
        }
    }

    /// The last block, `now` included, at whose start an epoch was due; 0 before the first.
    pub fn last_epoch_block(&self, now: BlockNumber) -> BlockNumber {
        let tempo = self.tempo.max(1);
        (now / tempo).saturating_mul(tempo)
    }

    /// The first block after `now` in which an epoch is due.
    pub fn next_epoch_block(&self, now: BlockNumber) -> BlockNumber {
        let tempo = self.tempo.max(1);
        (now / tempo).saturating_add(1).saturating_mul(tempo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_those_that_the_oracle_checks() {
        // The mechanism's presets count time in blocks.
        let mechanism = |tempo, blocks| market_mechanism::Parameters {
            activity_cutoff: blocks,
            ..Parameters::with_tempo(tempo).mechanism()
        };
        let found = Parameters::with_tempo(100).mechanism().activity_cutoff;
        assert_eq!(
            found >> 32,
            market_mechanism::Parameters::DEFAULT.activity_cutoff
        );
        assert_eq!(mechanism(100, 1_000), market_mechanism::Parameters::DEFAULT);
        assert_eq!(mechanism(10, 100), market_mechanism::Parameters::LOCAL);
    }
}
