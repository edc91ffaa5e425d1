//! What must hold of any market, whatever the numbers.

#![allow(clippy::unwrap_used)] // a test may

mod support;

use market_mechanism::{
    epoch, Bond, Clock, Holding, Market, Neuron, Parameters, Row, Slot, Weight, ONE,
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
        let (mut bonds, mut other_bonds) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let other_world = permuted(&world, &names);
            let ours = world.settle(&mut bonds, NOE);
            let other = other_world.settle(&mut other_bonds, NOE);
            // Only a tie in a remainder is decided by uid, and such a tie is about one part; a
            // dividend adds up as many as there are bonds.
            let parts = (n * n) as u64 + 2;
            for (uid, &name) in names.iter().enumerate() {
                let name = usize::from(name);
                let (a, b) = (&ours.neurons[uid], &other.neurons[name]);
                assert_eq!((a.trust, a.consensus), (b.trust, b.consensus));
                assert_close(a.rank, b.rank, parts, "rank");
                assert_close(a.incentive, b.incentive, parts, "incentive");
                assert_close(a.dividend, b.dividend, parts, "dividend");
                assert_close(a.payout, b.payout, 1, "payout");
                assert_eq!(renamed(&bonds[uid], &names), other_bonds[name]);
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
        let ours = world.settle(&mut Vec::new(), NOE);
        let other = scaled.settle(&mut Vec::new(), NOE);
        if factor.is_power_of_two() {
            assert_eq!(ours, other);
        }
        assert_eq!(ours.in_consensus, other.in_consensus);
        assert_eq!(ours.voting, other.voting);
        for (a, b) in ours.neurons.iter().zip(&other.neurons) {
            assert_eq!((a.trust, a.consensus), (b.trust, b.consensus));
            assert_close(a.rank, b.rank, 2, "rank");
            assert_close(a.incentive, b.incentive, 2, "incentive");
            // Bonds have 26 bits, and one may be rounded the other way.
            assert_close(a.dividend, b.dividend, ONE / 10_000_000, "dividend");
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
        clock: Clock {
            epoch: 1,
            now: 1,
            previous: 0,
        },
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
        let mut bonds = Vec::new();
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
            let outcome = world.settle(&mut bonds, emission);
            if 2 * cabal < all && outcome.in_consensus {
                tried += 1;
                near += u64::from(cabal * 100 > all * 49);
                let paid = total(&outcome.neurons[split..], |neuron| neuron.payout);
                // paid / emission <= cabal / all, but for the unit that rounding may give each.
                let members = (n - split) as u128;
                assert!(
                    paid.saturating_sub(members) * all <= cabal * u128::from(emission),
                    "{world:?}"
                );
                let incentive = total(&outcome.neurons[split..], |neuron| neuron.incentive);
                let dividend = total(&outcome.neurons[split..], |neuron| neuron.dividend);
                // Its bonds are in itself, so what it gets as dividends is its incentive.
                assert!(incentive.abs_diff(dividend) <= (n * n) as u128 + 2);
                assert!(incentive.saturating_sub(members) * all <= cabal * u128::from(ONE));
            }
            for (slot, neuron) in world.slots.iter_mut().zip(&outcome.neurons) {
                slot.as_mut().unwrap().stake += neuron.payout;
            }
            world.clock.previous = world.clock.now;
            world.clock.now += 1;
            world.clock.epoch += 1;
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
        clock: Clock {
            epoch: 1,
            now: 100,
            previous: 0,
        },
    };
    let mut bonds = Vec::new();
    for _ in 0..2_000 {
        // Two validators that agree, six miners that only earn, a hundred times all stake at first.
        let now = world.clock.now;
        world.rows[0] = (now, vec![(2, 9), (3, 8), (4, 7), (5, 6), (6, 5), (7, 4)]);
        world.rows[1] = (now, vec![(2, 8), (3, 8), (4, 8), (5, 6), (6, 4), (7, 4)]);
        let outcome = world.settle(&mut bonds, 800 * NOE);
        assert!(outcome.in_consensus);
        assert_eq!(outcome.minted, 800 * NOE);
        for (slot, neuron) in world.slots.iter_mut().flatten().zip(&outcome.neurons) {
            slot.stake += neuron.payout;
        }
        world.clock.previous = now;
        world.clock.now += 100;
        world.clock.epoch += 1;
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
    assert!(!world.settle(&mut bonds, NOE).in_consensus);
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

fn any_bonds() -> impl Strategy<Value = Vec<Holding>> {
    vec((any_uid(), any::<u32>().prop_map(Bond::from_bits)), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_input_has_a_result_that_adds_up(
        parameters in any_parameters(),
        slots in vec(option::weighted(0.9, (any_size(), any_size())), 0..24),
        rows in vec(any_row(), 0..26),
        mut bonds in vec(any_bonds(), 0..26),
        clock in (any_size(), any_size(), any_size()),
        emission in any_size(),
    ) {
        let slots: Vec<_> = slots
            .into_iter()
            .map(|slot| slot.map(|(stake, registered_at)| Slot { stake, registered_at }))
            .collect();
        let clock = Clock { epoch: clock.0, now: clock.1, previous: clock.2 };
        let rows: Vec<_> = rows.iter().map(|(set_at, edges)| Row { set_at: *set_at, edges }).collect();
        let market = Market::new(parameters, &slots, clock);
        for _ in 0..2 {
            let outcome = epoch(&market, &rows, &mut bonds, emission);
            let neurons = &outcome.neurons;
            prop_assert_eq!(neurons.len(), slots.len());
            let incentive = total(neurons, |neuron| neuron.incentive);
            prop_assert!(incentive == 0 || incentive == u128::from(ONE));
            prop_assert_eq!(total(neurons, |neuron| neuron.dividend), incentive);
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
            prop_assert_eq!(bonds.len(), slots.len());
            for row in &bonds {
                prop_assert!(row.windows(2).all(|pair| pair[0].0 < pair[1].0));
                prop_assert!(row.iter().all(|&(to, bond)| usize::from(to) < slots.len() && !bond.is_zero()));
            }
        }
    }
}
