//! What the integration tests share: markets in plain data, generators, and the crate's answer.

#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; a test may unwrap

pub mod generate;
pub mod oracle;

use market_mechanism::{epoch, Clock, Graph, Market, Outcome, Parameters, Slot, Uid, Weight};

/// A market in plain data, from which both the crate and the oracle are fed.
#[derive(Clone, Debug)]
pub struct World {
    pub parameters: Parameters,
    pub slots: Vec<Option<Slot>>,
    pub rows: Vec<(u64, Vec<Weight>)>,
    pub clock: Clock,
    /// When the view of the epoch before was frozen: bonds of and in neurons registered since start
    /// at zero.
    pub previous: u64,
}

impl World {
    /// One epoch as the crate computes it.
    pub fn settle(&self, graph: &mut Graph, emission: u64) -> Outcome {
        graph.rows.resize_with(self.slots.len(), Default::default);
        graph
            .columns
            .resize_with(self.slots.len(), Default::default);
        for (uid, slot) in (0..).zip(&self.slots) {
            if slot.is_none_or(|slot| slot.registered_at > self.previous) {
                graph.vacate(uid);
            }
        }
        for (uid, (set_at, edges)) in (0..).zip(&self.rows) {
            graph.set_weights(uid, *set_at, edges);
        }
        let market = Market::new(self.parameters, &self.slots, self.clock);
        epoch(&market, graph, emission)
    }

    /// Goes on to the moment `now` and the next epoch.
    pub fn pass_to(&mut self, now: u64) {
        self.previous = self.clock.now;
        self.clock.now = now;
        self.clock.epoch = self.clock.epoch.saturating_add(1);
    }
}

/// The bonds of a neuron as shares of all bonds in each other: to whom, and how much.
pub fn bonds(graph: &Graph, uid: Uid) -> Vec<(Uid, f64)> {
    let edges = graph.rows[usize::from(uid)].edges.iter();
    edges
        .filter(|&(_, _, bond)| bond > 0)
        .map(|(to, _, bond)| {
            (
                to,
                f64::from(bond) / f64::from(market_mechanism::WHOLE_BOND),
            )
        })
        .collect()
}

/// A small generator of pseudo-random numbers (xorshift64*), so that every run sees the same markets.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// From `least` to `most`, both included.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True once in `odds` times.
    pub fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    /// One of the given.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Small numbers as likely as large ones: even over the logarithm, 1 to 2^bits.
    pub fn magnitude(&mut self, bits: u64) -> u64 {
        let size = self.within(1, bits.min(64));
        (self.next() >> (64 - size)).max(1)
    }
}
