//! The arithmetic of a market's epoch: rank, trust, consensus, incentive, bonds, dividends, emission.
//!
//! Pure and exact: integers alone, no clock, no storage, and a defined result for every input that the
//! types allow. `docs/mechanism.md` of the repository explains the formulas, the representation and its
//! precision, with an example worked by hand.
//!
//! A market held in memory is settled by [`epoch`]. One that lies in a database is handed over row by
//! row, over as many blocks as it takes: [`Votes`], then [`Renewal`], then [`emission::payouts`], in the
//! order that [`epoch`] shows.
//!
//! The first epoch of the example in the documentation:
//!
//! ```
//! use market_mechanism::{epoch, Clock, Graph, Market, Parameters, Slot, ONE};
//!
//! let slots = [600, 200, 200, 0].map(|stake| Some(Slot { stake, registered_at: 0 }));
//! let market = Market::new(Parameters::DEFAULT, &slots, Clock { epoch: 1, now: 100 });
//! let mut graph = Graph::new(slots.len());
//! graph.set_weights(0, 90, &[(2, 3), (3, 1)]);
//! graph.set_weights(1, 90, &[(3, 1)]);
//! let outcome = epoch(&market, &mut graph, 1_000_000);
//!
//! assert!(outcome.in_consensus);
//! assert_eq!(outcome.voting, ONE / 5 * 4);
//! assert_eq!(outcome.neurons[2].rank, ONE / 10_000 * 5_625);
//! assert_eq!(outcome.neurons[2].trust, ONE / 4 * 3);
//! let payouts = outcome.neurons.iter().map(|neuron| neuron.payout);
//! assert_eq!(payouts.collect::<Vec<_>>(), [369_904, 130_096, 272_333, 227_667]);
//! ```

#![no_std]
// Consensus code: whatever could panic, overflow or divide by zero has to say how it does not.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_arithmetic
)]

extern crate alloc;

pub mod bonds;
pub mod consensus;
pub mod delegation;
pub mod edges;
pub mod emission;
pub mod fixed;
pub mod graph;
pub mod market;
pub mod parameters;
pub mod rows;
mod runs;
pub mod scaled;
pub mod sigmoid;

use alloc::vec::Vec;

pub use bonds::{Column, Renewal};
pub use consensus::{Tally, Verdict, Votes};
pub use delegation::{earnings, Backing, Pool, Purchase};
pub use edges::{Edges, Weight, WHOLE_BOND};
pub use fixed::ONE;
pub use graph::Graph;
pub use market::{Clock, Market, Slot};
pub use parameters::{OutOfRange, Parameters};
pub use rows::{Ballot, Row};
pub use scaled::Scaled;

/// Number of a slot in its market.
pub type Uid = u16;

/// What an epoch gave one neuron. Shares are in parts of 10^18 ([`ONE`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neuron {
    /// Share of the counted stake's weight given to it.
    pub rank: u64,
    /// Share of the counted stake with an edge to it.
    pub trust: u64,
    /// Sigmoid of its trust, strictly between 0 and 1 (0 for an empty slot).
    pub consensus: u64,
    /// Rank times consensus, normalised.
    pub incentive: u64,
    /// Its part of what the bonds earned.
    pub dividend: u64,
    /// What it is paid, in units of currency.
    pub payout: u64,
}

/// What came of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// By uid, as many as there are slots; all 0 for an empty one.
    pub neurons: Vec<Neuron>,
    /// The consensus loss in parts of 10^18, rounded down.
    pub loss: i64,
    /// Whether the loss is negative and the quorum is met.
    pub in_consensus: bool,
    /// Share of all stake that voted, in parts of 10^18.
    pub voting: u64,
    /// Units minted: the sum of the payouts, which is the whole emission or 0.
    pub minted: u64,
}

/// Settles one epoch, from rows to payouts.
///
/// `graph` has a row and a column for each slot and is left as the epoch leaves it: weights as they
/// were, bonds renewed. `emission` is in units. Adding the payouts to the stakes (step 11) is the
/// caller's, and so is [`Graph::vacate`] where a slot changes hands.
pub fn epoch(market: &Market, graph: &mut Graph, emission: u64) -> Outcome {
    let mut votes = Votes::new(market);
    for (uid, row) in market.uids().zip(&graph.rows) {
        votes.add_row(market, uid, row);
    }
    let verdict = votes.verdict(market);

    let mut renewal = Renewal::new(market, &votes, &verdict.incentive, &graph.columns);
    for (uid, row) in market.uids().zip(&mut graph.rows) {
        renewal.renew_row(market, &votes, uid, row);
    }
    let dividend = renewal.dividends();
    graph.columns = renewal.columns();

    let payouts = emission::payouts(
        market,
        verdict.in_consensus,
        &verdict.incentive,
        &dividend,
        emission,
    );
    Outcome::new(&verdict, &dividend, &payouts)
}

impl Outcome {
    /// Puts together what the stages gave.
    pub fn new(verdict: &Verdict, dividend: &[u64], payouts: &[u64]) -> Self {
        let shares = verdict
            .rank
            .iter()
            .zip(&verdict.trust)
            .zip(&verdict.consensus)
            .zip(&verdict.incentive);
        let paid = dividend.iter().zip(payouts);
        Self {
            neurons: shares
                .zip(paid)
                .map(
                    |((((&rank, &trust), &consensus), &incentive), (&dividend, &payout))| Neuron {
                        rank,
                        trust,
                        consensus,
                        incentive,
                        dividend,
                        payout,
                    },
                )
                .collect(),
            loss: verdict.loss,
            in_consensus: verdict.in_consensus,
            voting: verdict.voting,
            minted: payouts.iter().copied().fold(0, u64::saturating_add),
        }
    }
}
