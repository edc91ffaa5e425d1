//! Who votes for whom among the honest, when each sees only some of the others.

use clap::{Args, ValueEnum};
use market_mechanism::Uid;

use anyhow::{ensure, Result};

use crate::{
    chance::Chance,
    world::{Group, World},
};

/// The shape of a sparse graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Each votes for those that follow it, the first following on the last: all are voted for alike.
    Ring,
    /// Each votes for some drawn at random, the same ones in every epoch.
    Random,
}

/// Flags of the honest side's graph.
#[derive(Args, Clone, Copy, Debug)]
pub struct GraphFlags {
    /// How many honest neurons each honest neuron votes for: 1 to the number of them. All, where it is
    /// not given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub honest_edges: Option<u16>,
    /// Which ones, where it is not all.
    #[arg(long, value_enum, default_value_t = Shape::Ring)]
    pub honest_graph: Shape,
    /// Seed of a random graph.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl GraphFlags {
    /// Edges of each of `peers` honest neurons.
    pub fn edges(&self, peers: u16) -> Result<u16> {
        let edges = self.honest_edges.unwrap_or(peers);
        ensure!(
            (1..=peers).contains(&edges),
            "--honest-edges {edges} is out of range: from 1 to {peers}, the number of honest peers"
        );
        Ok(edges)
    }

    /// Sets the rows of the group: each neuron votes for `edges` of them, all with the same weight.
    pub fn vote(&self, world: &mut World, group: &Group, edges: u16) {
        for voter in group.clone() {
            let chosen = match self.honest_graph {
                Shape::Ring => ring(group, voter, edges),
                Shape::Random => random(group, voter, edges, self.seed),
            };
            world.vote(voter, chosen.into_iter().map(|uid| (uid, 1.0)));
        }
    }
}

/// The `edges` neurons that follow on `voter` in its group; the last is the voter itself.
pub fn ring(group: &Group, voter: Uid, edges: u16) -> Vec<Uid> {
    let followers = (voter.saturating_add(1)..group.end).chain(group.start..=voter);
    followers.take(edges.into()).collect()
}

/// Others drawn at random, and the voter itself only where all are wanted.
fn random(group: &Group, voter: Uid, edges: u16, seed: u64) -> Vec<Uid> {
    let others: Vec<Uid> = group.clone().filter(|&uid| uid != voter).collect();
    let all = usize::from(edges) > others.len();
    let mut chance = Chance::new(seed ^ u64::from(voter) << 32);
    let mut chosen = chance.draw(others, edges.into());
    chosen.extend(all.then_some(voter));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_goes_round_and_ends_with_the_voter() {
        assert_eq!(ring(&(10..14), 12, 2), [13, 10]);
        assert_eq!(ring(&(10..14), 12, 4), [13, 10, 11, 12]);
    }

    #[test]
    fn a_random_graph_has_as_many_edges_and_depends_on_the_seed() {
        let group = 0..50;
        let one = random(&group, 3, 20, 1);
        assert_eq!(one.len(), 20);
        assert!(!one.contains(&3));
        assert_eq!(one, random(&group, 3, 20, 1));
        assert_ne!(one, random(&group, 3, 20, 2));
        assert_eq!(random(&group, 3, 50, 1).len(), 50);
    }

    #[test]
    fn more_edges_than_neurons_are_refused_with_the_range() {
        let flags = GraphFlags {
            honest_edges: Some(60),
            honest_graph: Shape::Ring,
            seed: 1,
        };
        let error = flags.edges(51).unwrap_err().to_string();
        assert!(error.contains("from 1 to 51"), "{error}");
        assert_eq!(flags.edges(60).unwrap(), 60);
    }
}
