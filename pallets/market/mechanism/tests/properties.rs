//! What must hold of any market, whatever the numbers.

#![allow(clippy::unwrap_used)] // a test may

mod support;

use market_mechanism::{
    epoch, Clock, Column, Edges, Graph, Market, Neuron, Parameters, Row, Scaled, Slot, Weight, ONE,
};
use proptest::{collection::vec, option, prelude::*};
use support::{generate, Random, World};

/// One NOE, in units.
const NOE: u64 = 1_000_000_000;

fn total(neurons: &[Neuron], field: fn(&Neuron) -> u64) -> u128 {
    neurons.iter().map(|neuron| u128::from(field(neuron))).sum()
}

fn assert_close(a: u64, b: u64, most: u64, what: &str) {
    assert!(a.abs_diff(b) <= most, "{what}: {a} and {b}");
}

/// The world with every uid `i` renamed to `names[i]`.
fn permuted(world: &World, names: &[u16]) -> World {
    let mut other = world.clone();
    for (uid, &name) in names.iter().enumerate() {
        let name = usize::from(name);
        other.slots[name] = world.slots[uid];
        let (set_at, edges) = &world.rows[uid];
        other.rows[name] = (*set_at, renamed(edges, names));
    }
    other
}

fn renamed<T: Copy>(row: &[(u16, T)], names: &[u16]) -> Vec<(u16, T)> {
    let mut row: Vec<_> = row
        .iter()
        .map(|&(to, value)| (names[usize::from(to)], value))
        .collect();
    row.sort_by_key(|edge| edge.0);
    row
}

#[test]
fn permuting_uids_permutes_the_results() {
    for seed in 0..2_000 {
        let random = &mut Random::new(seed);
        let mut world = generate::world(random, 64);
        let n = world.slots.len();
        let mut names: Vec<u16> = (0..n as u16).collect();
        for last in (1..n).rev() {
            names.swap(last, random.below(last as u64 + 1) as usize);
        }
        let (mut graph, mut other_graph) = (Graph::default(), Graph::default());
        for _ in 0..3 {
            let other_world = permuted(&world, &names);
            let ours = world.settle(&mut graph, NOE);
            let other = other_world.settle(&mut other_graph, NOE);
            // Ranks are rounded down in the order of the rows, and ties in a remainder are decided by
            // uid: a few parts of 10^18 each. By them a bond may be rounded the other way.
            let parts = 64 * n as u64 + 2;
            let bond = ONE / 100_000_000;
            for (uid, &name) in names.iter().enumerate() {
                let name = usize::from(name);
                let (a, b) = (&ours.neurons[uid], &other.neurons[name]);
                // Trust is exact, but for stakes beyond any currency's.
                assert_close(a.trust, b.trust, parts, "trust");
                assert_close(a.consensus, b.consensus, 100 * parts, "consensus");
                assert_close(a.rank, b.rank, parts, "rank");
                assert_close(a.incentive, b.incentive, parts, "incentive");
                assert_close(a.dividend, b.dividend, bond, "dividend");
                assert_close(a.payout, b.payout, 1 + NOE / 100_000_000, "payout");
            }
            assert!(ours.loss.abs_diff(other.loss) <= parts);
            assert_eq!(ours.in_consensus, other.in_consensus);
            generate::live(random, &mut world);
        }
    }
}

#[test]
fn scaling_all_stake_leaves_shares_unchanged() {
    for seed in 0..3_000 {
        let random = &mut Random::new(seed);
        let mut world = generate::world(random, 64);
        for slot in world.slots.iter_mut().flatten() {
            slot.stake >>= 24;
        }
        let factor = random.of(&[2, 1 << 10, 1 << 17, 3, 1_000, 99_991]);
        let mut scaled = world.clone();
        for slot in scaled.slots.iter_mut().flatten() {
            slot.stake *= factor;
        }
        let ours = world.settle(&mut Graph::default(), NOE);
        let other = scaled.settle(&mut Graph::default(), NOE);
        if factor.is_power_of_two() {
            assert_eq!(ours, other);
        }
        assert_eq!(ours.in_consensus, other.in_consensus);
        assert_eq!(ours.voting, other.voting);
        for (a, b) in ours.neurons.iter().zip(&other.neurons) {
            assert_eq!((a.trust, a.consensus), (b.trust, b.consensus));
            // A vote is computed to 47 bits.
            assert_close(a.rank, b.rank, ONE / 100_000_000_000_000, "rank");
            assert_close(
                a.incentive,
                b.incentive,
                ONE / 100_000_000_000_000,
                "incentive",
            );
            // A bond may be rounded the other way.
            assert_close(a.dividend, b.dividend, ONE / 100_000_000, "dividend");
        }
    }
}

/// A market of two groups that vote within themselves alone: the cabal is what lies at and above
/// `split`, and has less than half of the counted stake.
fn divided_world(random: &mut Random) -> Option<(World, usize)> {
    let n = random.within(2, 40) as usize;
    let split = random.within(1, n as u64 - 1) as usize;
    let mut world = World {
        parameters: random.of(&[Parameters::DEFAULT, Parameters::PAPER]),
        slots: (0..n)
            .map(|_| {
                Some(Slot {
                    stake: random.magnitude(50),
                    registered_at: 0,
                })
            })
            .collect(),
        rows: vec![(0, Vec::new()); n],
        clock: Clock { epoch: 1, now: 1 },
        previous: 0,
    };
    world.parameters.self_weight = random.one_in(2);
    world.parameters.activity_cutoff = u64::MAX;
    for uid in 0..n {
        world.rows[uid] = (
            1,
            generate::row(random, generate::Habit::Cabal(split), uid, n),
        );
    }
    // Shares near one half are where it is hardest.
    let stake = |world: &World, from: usize, to: usize| -> u64 {
        world.slots[from..to]
            .iter()
            .flatten()
            .map(|slot| slot.stake)
            .sum()
    };
    let (honest, cabal) = (stake(&world, 0, split), stake(&world, split, n));
    if random.one_in(2) && cabal > honest {
        world.slots[0].as_mut()?.stake += cabal - honest + random.magnitude(50);
    } else if random.one_in(2) && honest > cabal {
        world.slots[n - 1].as_mut()?.stake +=
            (honest - cabal) - (honest - cabal).min(random.magnitude(50));
    }
    Some((world, split))
}

#[test]
fn a_disjoint_minority_never_gains_in_an_epoch_in_consensus() {
    let (mut tried, mut near) = (0, 0);
    for seed in 0..20_000 {
        let random = &mut Random::new(seed);
        let Some((mut world, split)) = divided_world(random) else {
            continue;
        };
        let mut graph = Graph::default();
        for _ in 0..random.within(1, 6) {
            let emission = random.magnitude(45);
            let rows = |uid: &usize| {
                let itself = world.parameters.self_weight;
                world.rows[*uid]
                    .1
                    .iter()
                    .any(|&(to, _)| itself || usize::from(to) != *uid)
            };
            let counts = |uid: &usize| world.parameters.count_idle_stake || rows(uid);
            let stake = |uid: usize| u128::from(world.slots[uid].unwrap().stake);
            let n = world.slots.len();
            let all: u128 = (0..n).filter(counts).map(stake).sum();
            let cabal: u128 = (split..n).filter(counts).map(stake).sum();
            let outcome = world.settle(&mut graph, emission);
            if 2 * cabal < all && outcome.in_consensus {
                tried += 1;
                near += u64::from(cabal * 100 > all * 49);
                let paid = total(&outcome.neurons[split..], |neuron| neuron.payout);
                // paid / emission <= cabal / all, but for the unit that rounding may give each and the
                // precision of bonds.
                let members = (n - split) as u128;
                let slack = members + u128::from(emission) / 100_000_000;
                assert!(
                    paid.saturating_sub(slack) * all <= cabal * u128::from(emission),
                    "{world:?}"
                );
                let incentive = total(&outcome.neurons[split..], |neuron| neuron.incentive);
                let dividend = total(&outcome.neurons[split..], |neuron| neuron.dividend);
                // Its bonds are in itself, so what it gets as dividends is its incentive.
                assert!(incentive.abs_diff(dividend) <= u128::from(ONE) / 100_000_000);
                assert!(incentive.saturating_sub(members) * all <= cabal * u128::from(ONE));
            }
            for (slot, neuron) in world.slots.iter_mut().zip(&outcome.neurons) {
                slot.as_mut().unwrap().stake += neuron.payout;
            }
            world.pass_to(world.clock.now + 1);
        }
    }
    assert!(
        tried > 5_000 && near > 300,
        "{tried} epochs, {near} close to one half"
    );
}

#[test]
fn miners_that_earn_and_never_vote_do_not_stop_the_market() {
    let mut world = World {
        parameters: Parameters::DEFAULT,
        slots: vec![
            Some(Slot {
                stake: NOE,
                registered_at: 0
            });
            8
        ],
        rows: vec![(0, Vec::new()); 8],
        clock: Clock { epoch: 1, now: 100 },
        previous: 0,
    };
    let mut graph = Graph::default();
    for _ in 0..2_000 {
        // Two validators that agree, six miners that only earn, a hundred times all stake at first.
        let now = world.clock.now;
        world.rows[0] = (now, vec![(2, 9), (3, 8), (4, 7), (5, 6), (6, 5), (7, 4)]);
        world.rows[1] = (now, vec![(2, 8), (3, 8), (4, 8), (5, 6), (6, 4), (7, 4)]);
        let outcome = world.settle(&mut graph, 800 * NOE);
        assert!(outcome.in_consensus);
        assert_eq!(outcome.minted, 800 * NOE);
        for (slot, neuron) in world.slots.iter_mut().flatten().zip(&outcome.neurons) {
            slot.stake += neuron.payout;
        }
        world.pass_to(now + 100);
    }
    // If their stake counted, the market would have stopped.
    world.parameters.count_idle_stake = true;
    world
        .rows
        .iter_mut()
        .for_each(|row| row.0 = world.clock.now);
    let idle: u64 = world.slots[2..]
        .iter()
        .flatten()
        .map(|slot| slot.stake)
        .sum();
    let busy: u64 = world.slots[..2]
        .iter()
        .flatten()
        .map(|slot| slot.stake)
        .sum();
    assert!(idle > busy);
    assert!(!world.settle(&mut graph, NOE).in_consensus);
}

fn any_parameters() -> impl Strategy<Value = Parameters> {
    let share = || prop_oneof![0..=ONE, any::<u64>(), Just(0), Just(ONE)];
    (
        any::<u64>(),
        (share(), share(), share(), share(), share()),
        any::<u64>(),
        any::<[bool; 3]>(),
    )
        .prop_map(|(rho, shares, activity_cutoff, switches)| Parameters {
            rho,
            kappa: shares.0,
            lambda: shares.1,
            alpha: shares.2,
            trust_threshold: shares.3,
            quorum: shares.4,
            activity_cutoff,
            self_weight: switches[0],
            consensus_gate: switches[1],
            count_idle_stake: switches[2],
        })
}

/// Numbers of any size, the ends of the range among them.
fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, any::<u64>(), Just(u64::MAX), Just(1 << 63)]
}

fn any_uid() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0..24_u16, 1 => any::<u16>()]
}

fn any_row() -> impl Strategy<Value = (u64, Vec<Weight>)> {
    let weight = prop_oneof![any::<u16>(), Just(0), Just(u16::MAX)];
    let edges = vec((any_uid(), weight), 0..24);
    (any_size(), edges, any::<bool>()).prop_map(|(set_at, mut edges, sorted)| {
        if sorted {
            edges.sort_unstable();
        }
        (set_at, edges)
    })
}

/// Rows as only a broken database could hold them: any bonds beside any weights.
fn any_edges() -> impl Strategy<Value = Edges> {
    vec((any::<u8>(), any::<u16>(), any::<u32>()), 0..24).prop_map(|edges| {
        let gaps: Vec<u8> = edges.iter().map(|edge| edge.0 % 32).collect();
        let weights = edges.iter().map(|edge| edge.1).collect();
        let bonds = edges.iter().map(|edge| edge.2).collect();
        Edges::from_parts(gaps, weights, bonds).unwrap()
    })
}

fn any_column() -> impl Strategy<Value = Column> {
    (any_size(), any::<i32>(), any_size()).prop_map(|(mantissa, exponent, sum)| Column {
        scale: Scaled::from_parts(mantissa, exponent),
        sum,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_input_has_a_result_that_adds_up(
        parameters in any_parameters(),
        slots in vec(option::weighted(0.9, (any_size(), any_size())), 0..24),
        rows in vec((any_size(), any_edges()), 0..26),
        columns in vec(any_column(), 0..26),
        newer in any_row(),
        clock in (any_size(), any_size()),
        emission in any_size(),
    ) {
        let slots: Vec<_> = slots
            .into_iter()
            .map(|slot| slot.map(|(stake, registered_at)| Slot { stake, registered_at }))
            .collect();
        let clock = Clock { epoch: clock.0, now: clock.1 };
        let rows = rows.into_iter().map(|(set_at, edges)| Row { set_at, edges }).collect();
        let mut graph = Graph { rows, columns };
        graph.set_weights(0, newer.0, &newer.1);
        let market = Market::new(parameters, &slots, clock);
        for _ in 0..2 {
            let outcome = epoch(&market, &mut graph, emission);
            let neurons = &outcome.neurons;
            prop_assert_eq!(neurons.len(), slots.len());
            let incentive = total(neurons, |neuron| neuron.incentive);
            prop_assert!(incentive == 0 || incentive == u128::from(ONE));
            // Nothing is earned where a column's sum is not that of its bonds, but far more.
            let dividend = total(neurons, |neuron| neuron.dividend);
            prop_assert!(dividend == incentive || dividend == 0);
            let rank = total(neurons, |neuron| neuron.rank);
            prop_assert!(rank <= u128::from(ONE));
            prop_assert!(parameters.count_idle_stake || rank == incentive);
            let paid = total(neurons, |neuron| neuron.payout);
            prop_assert_eq!(paid, u128::from(outcome.minted));
            prop_assert!(outcome.minted == 0 || outcome.minted == emission);
            prop_assert!(outcome.in_consensus || !parameters.consensus_gate || paid == 0);
            prop_assert!(outcome.loss.unsigned_abs() <= ONE / 2);
            prop_assert!(outcome.voting <= ONE);
            for (neuron, slot) in neurons.iter().zip(&slots) {
                prop_assert!(neuron.trust <= ONE);
                match slot {
                    Some(_) => prop_assert!(0 < neuron.consensus && neuron.consensus < ONE),
                    None => prop_assert_eq!(*neuron, Neuron::default()),
                }
            }
            prop_assert_eq!(graph.columns.len(), slots.len());
            for row in graph.rows.iter().take(slots.len()) {
                prop_assert!(row.edges.uids().is_sorted_by(|a, b| a < b));
            }
            graph.vacate(1);
        }
    }

    #[test]
    fn uids_come_back_from_their_gaps(uids in proptest::collection::btree_set(any::<u16>(), 0..300)) {
        let row: Vec<Weight> = uids.iter().map(|&uid| (uid, 1)).collect();
        let edges = Edges::default().with_weights(&row);
        prop_assert_eq!(edges.uids().collect::<Vec<_>>(), uids.into_iter().collect::<Vec<_>>());
        let (gaps, weights, bonds) = edges.clone().into_parts();
        prop_assert_eq!(Edges::from_parts(gaps, weights, bonds), Some(edges));
    }

    #[test]
    fn gaps_of_any_bytes_are_uids_or_nothing(gaps in vec(prop_oneof![any::<u8>(), Just(255)], 0..40), count in 0..40_usize) {
        if let Some(edges) = Edges::from_parts(gaps, vec![1; count], vec![0; count]) {
            prop_assert_eq!(edges.len(), count);
            prop_assert!(edges.uids().is_sorted_by(|a, b| a < b));
        }
    }
}
