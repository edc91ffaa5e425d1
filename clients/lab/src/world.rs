//! A simulated market: neurons with stakes, who vote and are paid by the mechanism of the chain.

use std::ops::Range;

use market_mechanism::{epoch, Clock, Graph, Market, Outcome, Parameters, Slot, Uid, ONE};

use crate::flags::Course;

/// All stake at the start, in units: rounding to whole ones is then far below what is printed.
pub const STAKE: f64 = 1e15;

/// Blocks of an epoch, as in the preset `default`.
const TEMPO: u64 = 100;

/// A rate that leaves stakes almost as they are.
const LITTLE: f64 = 0.001;

/// The weight that stands for the largest of a row.
const LARGEST: f64 = u16::MAX as f64;

/// Neurons that act alike: their uids are next to each other.
pub type Group = Range<Uid>;

/// A market between two epochs.
pub struct World {
    parameters: Parameters,
    slots: Vec<Option<Slot>>,
    graph: Graph,
    /// Epochs settled.
    epoch: u64,
}

/// What an epoch left behind, as one group sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The group's share of all stake after the epoch.
    pub share: f64,
    /// The consensus loss.
    pub loss: f64,
    /// Units minted.
    pub minted: u64,
}

impl World {
    /// A market of groups, each given as its share of `stake` (in units) and the number of its
    /// neurons, who share that equally.
    pub fn new<const N: usize>(
        parameters: Parameters,
        stake: f64,
        groups: [(f64, u16); N],
    ) -> (Self, [Group; N]) {
        let mut slots = Vec::new();
        let mut first: Uid = 0;
        let groups = groups.map(|(share, count)| {
            let stake = (stake * share / f64::from(count.max(1))) as u64;
            let slot = Slot {
                stake,
                registered_at: 0,
            };
            slots.extend((0..count).map(|_| Some(slot)));
            let group = first..first.saturating_add(count);
            first = group.end;
            group
        });
        let graph = Graph::new(slots.len());
        let world = Self {
            parameters,
            slots,
            graph,
            epoch: 0,
        };
        (world, groups)
    }

    /// Sets the row of `voter`: weights in any order and unit, the largest of which becomes 65,535.
    pub fn vote(&mut self, voter: Uid, weights: impl IntoIterator<Item = (Uid, f64)>) {
        let mut weights: Vec<(Uid, f64)> = weights.into_iter().collect();
        weights.sort_unstable_by_key(|&(uid, _)| uid);
        let largest = weights
            .iter()
            .map(|&(_, weight)| weight)
            .fold(0.0, f64::max);
        let edges: Vec<(Uid, u16)> = weights
            .into_iter()
            .map(|(uid, weight)| (uid, (weight / largest * LARGEST).round() as u16))
            .filter(|&(_, weight)| weight > 0)
            .collect();
        self.graph.set_weights(voter, self.now(), &edges);
    }

    /// Every neuron of `voters` gives the same weight to every neuron of `chosen`.
    pub fn vote_alike(&mut self, voters: &Group, chosen: &Group) {
        for voter in voters.clone() {
            self.vote(voter, chosen.clone().map(|uid| (uid, 1.0)));
        }
    }

    /// When the next epoch is, in blocks.
    fn now(&self) -> u64 {
        (self.epoch + 1) * TEMPO
    }

    /// Settles an epoch that mints `rate` of all stake, and pays it out.
    pub fn settle(&mut self, rate: f64) -> Outcome {
        let clock = Clock {
            epoch: self.epoch + 1,
            now: self.now(),
        };
        let emission = (rate * self.stake(&self.all()) as f64) as u64;
        let market = Market::new(self.parameters, &self.slots, clock);
        let outcome = epoch(&market, &mut self.graph, emission);
        for (slot, neuron) in self.slots.iter_mut().zip(&outcome.neurons) {
            if let Some(slot) = slot {
                slot.stake = slot.stake.saturating_add(neuron.payout);
            }
        }
        self.epoch += 1;
        outcome
    }

    /// Lets `course` pass; `vote` sets rows before each epoch (from 0). What is returned is seen by
    /// the group `watched`, epoch by epoch.
    pub fn run(
        &mut self,
        course: &Course,
        watched: &Group,
        mut vote: impl FnMut(&mut Self, u32),
    ) -> Vec<Point> {
        (0..course.epochs)
            .map(|epoch| {
                vote(self, epoch);
                let outcome = self.settle(course.rate);
                Point {
                    share: self.share(watched),
                    loss: loss(&outcome),
                    minted: outcome.minted,
                }
            })
            .collect()
    }

    /// Settles an epoch that mints little, and compares the share of it that a group is paid with the
    /// group's share of all stake: 1 where its share stays. `None` where nothing is
    /// minted, or the group has nothing.
    ///
    /// In the first epoch bonds are in proportion to the votes, as they are after many epochs of the
    /// same votes.
    pub fn pay_ratio(&mut self, group: &Group) -> Option<f64> {
        let share = self.share(group);
        let outcome = self.settle(LITTLE);
        (outcome.minted > 0 && share > 0.0).then(|| pay(&outcome, group) / share)
    }

    /// Every slot.
    pub fn all(&self) -> Group {
        // A market has no more slots than uids.
        0..Uid::try_from(self.slots.len()).unwrap_or(Uid::MAX)
    }

    /// Stake of one neuron, in units.
    pub fn stake_of(&self, uid: Uid) -> u64 {
        let slot = self.slots.get(usize::from(uid)).copied().flatten();
        slot.map_or(0, |slot| slot.stake)
    }

    /// Stake of a group, in units.
    pub fn stake(&self, group: &Group) -> u128 {
        group
            .clone()
            .map(|uid| u128::from(self.stake_of(uid)))
            .sum()
    }

    /// A group's share of all stake.
    pub fn share(&self, group: &Group) -> f64 {
        self.stake(group) as f64 / self.stake(&self.all()) as f64
    }
}

/// The loss of an epoch.
pub fn loss(outcome: &Outcome) -> f64 {
    outcome.loss as f64 / ONE as f64
}

/// What a group was paid, as a share of what was minted; 0 where nothing was.
pub fn pay(outcome: &Outcome, group: &Group) -> f64 {
    let paid: u64 = group
        .clone()
        .filter_map(|uid| outcome.neurons.get(usize::from(uid)))
        .map(|neuron| neuron.payout)
        .sum();
    paid as f64 / outcome.minted.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_share_the_stake_and_follow_on_each_other() {
        let (world, [few, many]) = World::new(Parameters::DEFAULT, 1000.0, [(0.4, 2), (0.6, 3)]);
        assert_eq!((few.clone(), many.clone()), (0..2, 2..5));
        assert_eq!(world.stake_of(1), 200);
        assert_eq!(world.share(&many), 0.6);
        assert_eq!(world.stake_of(9), 0);
    }

    #[test]
    fn rows_are_scaled_to_the_largest_weight_and_sorted() {
        let (mut world, _) = World::new(Parameters::DEFAULT, 1000.0, [(1.0, 3)]);
        world.vote(0, [(2, 0.5), (1, 2.0)]);
        world.vote(1, [(0, 0.0)]);
        world.vote(2, []);
        world.vote(2, [(0, 1.0), (1, 1.0 / 65_535.0)]);
        // Only 0 and 2 vote: for 1 and 2, and for 0 and 1.
        let outcome = world.settle(0.1);
        let rank = |uid: usize| outcome.neurons[uid].rank as f64 / ONE as f64;
        assert!((rank(0) - 0.5).abs() < 1e-4);
        assert!((rank(1) - 0.4).abs() < 1e-4);
        assert!((rank(2) - 0.1).abs() < 1e-4);
    }

    #[test]
    fn what_is_minted_is_the_rate_of_all_stake_at_the_time() {
        let (mut world, [all]) = World::new(Parameters::DEFAULT, 1e6, [(1.0, 4)]);
        let course = Course {
            epochs: 2,
            rate: 0.5,
        };
        let points = world.run(&course, &all, |world, _| {
            world.vote_alike(&(0..4), &(0..4));
        });
        assert_eq!(points[0].minted, 500_000);
        assert_eq!(points[1].minted, 750_000);
        assert_eq!(world.stake(&all), 2_250_000);
        assert_eq!(world.pay_ratio(&all), Some(1.0));
        assert_eq!(world.pay_ratio(&(0..0)), None);
    }
}
