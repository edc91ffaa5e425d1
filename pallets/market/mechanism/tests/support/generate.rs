//! Random and adversarial markets.

use market_mechanism::{
    parameters::{RHO_MAX, RHO_ONE},
    Clock, Parameters, Slot, Weight, ONE,
};

use super::{Random, World};

/// Parameters: the presets, anything, or the ends of the ranges.
pub fn parameters(random: &mut Random) -> Parameters {
    let presets = [Parameters::DEFAULT, Parameters::LOCAL, Parameters::PAPER];
    let preset = random.of(&presets);
    let extremes = [0, 1, ONE / 1_000, ONE / 2, ONE - 1, ONE];
    match random.below(4) {
        0 | 1 => preset,
        2 => Parameters {
            rho: random.within(1, 40 * RHO_ONE),
            kappa: random.within(0, ONE),
            lambda: random.within(0, ONE),
            alpha: random.within(0, ONE),
            trust_threshold: random.within(0, ONE),
            quorum: random.within(0, ONE),
            activity_cutoff: random.within(0, 200),
            self_weight: random.one_in(2),
            consensus_gate: random.one_in(2),
            count_idle_stake: random.one_in(2),
        },
        _ => Parameters {
            rho: random.of(&[1, RHO_ONE, 10 * RHO_ONE, RHO_MAX]),
            kappa: random.of(&extremes),
            lambda: random.of(&extremes),
            alpha: random.of(&extremes),
            trust_threshold: random.of(&extremes),
            quorum: random.of(&extremes),
            activity_cutoff: random.of(&[0, 100, u64::MAX]),
            self_weight: random.one_in(2),
            consensus_gate: random.one_in(2),
            count_idle_stake: random.one_in(2),
        },
    }
}

/// How stake is spread.
#[derive(Clone, Copy)]
enum Spread {
    Even,
    Random,
    Magnitudes,
    Zero,
    Whale,
    Extreme,
}

fn stake(random: &mut Random, spread: Spread, uid: usize, whale: usize) -> u64 {
    match spread {
        Spread::Even => 1_000_000_000,
        Spread::Random => random.below(1_000_000_000_000),
        Spread::Magnitudes => random.magnitude(54),
        Spread::Zero => 0,
        Spread::Whale if uid == whale => 1 << 54,
        Spread::Whale => random.below(1_000),
        Spread::Extreme => random.of(&[0, 1, 2, 1 << 32, u64::MAX - 1, u64::MAX]),
    }
}

/// How rows are made.
#[derive(Clone, Copy)]
pub enum Habit {
    Sparse,
    Dense,
    Full,
    OneEach,
    Itself,
    /// Full weight to one, the smallest to everybody else.
    Epsilon,
    /// Two groups that vote within themselves alone, split at this uid.
    Cabal(usize),
}

const HABITS: [Habit; 6] = [
    Habit::Sparse,
    Habit::Dense,
    Habit::Full,
    Habit::OneEach,
    Habit::Itself,
    Habit::Epsilon,
];

pub fn row(random: &mut Random, habit: Habit, uid: usize, n: usize) -> Vec<Weight> {
    let favourite = random.below(n as u64) as usize;
    let density = random.within(1, 8);
    let weight = |random: &mut Random, to: usize| match habit {
        Habit::Sparse if random.one_in(density + 2) => random.within(1, 65_535),
        Habit::Sparse => 0,
        Habit::Dense => random.below(65_536),
        Habit::Full => 65_535,
        Habit::OneEach => u64::from(to == favourite),
        Habit::Itself => u64::from(to == uid) * 65_535,
        Habit::Epsilon if to == favourite => 65_535,
        Habit::Epsilon => 1,
        Habit::Cabal(split) if (to < split) == (uid < split) => random.magnitude(16),
        Habit::Cabal(_) => 0,
    };
    (0..n)
        .map(|to| (to as u16, weight(random, to) as u16))
        .filter(|&(_, weight)| weight > 0)
        .collect()
}

/// A market of up to `most` slots at its first epoch (or, at times, at a later one).
pub fn world(random: &mut Random, most: u64) -> World {
    let n = random
        .magnitude(64 - u64::from((most - 1).leading_zeros()))
        .min(most) as usize;
    let now = 1_000;
    let spread = random.of(&[
        Spread::Even,
        Spread::Random,
        Spread::Random,
        Spread::Magnitudes,
        Spread::Magnitudes,
        Spread::Zero,
        Spread::Whale,
        Spread::Extreme,
    ]);
    let whale = random.below(n as u64) as usize;
    let holes = random.of(&[0, 0, 3, 10]);
    let newcomers = random.of(&[0, 0, 4, 10]);
    let slots = (0..n)
        .map(|uid| {
            let slot = Slot {
                stake: stake(random, spread, uid, whale),
                registered_at: if newcomers > 0 && random.one_in(newcomers) {
                    random.within(900, now)
                } else {
                    0
                },
            };
            (holes == 0 || !random.one_in(holes)).then_some(slot)
        })
        .collect();
    let split = random.within(0, n as u64) as usize;
    let cabal = random.one_in(5);
    let common = random.of(&HABITS);
    let mixed = random.one_in(3);
    let idle = random.of(&[0, 0, 2, 5]);
    let mut world = World {
        parameters: parameters(random),
        slots,
        rows: vec![(0, Vec::new()); n],
        clock: Clock {
            epoch: random.of(&[0, 1, 1, 1, 2, 7, 1_000, 1_000_000]),
            now,
        },
        previous: 950,
    };
    for uid in 0..n {
        let habit = match (cabal, mixed) {
            (true, _) => Habit::Cabal(split),
            (_, true) => random.of(&HABITS),
            _ => common,
        };
        if idle == 0 || !random.one_in(idle) {
            let set_at = if random.one_in(8) {
                random.within(0, now)
            } else {
                now
            };
            world.rows[uid] = (set_at, row(random, habit, uid, n));
        }
    }
    world
}

/// Lets a market live until its next epoch: rows change, neurons come and go, stake moves.
pub fn live(random: &mut Random, world: &mut World) {
    let n = world.slots.len();
    world.pass_to(world.clock.now + 100);
    let now = world.clock.now;
    for uid in 0..n {
        if random.one_in(3) {
            let habit = random.of(&HABITS);
            world.rows[uid] = (random.within(now - 99, now), row(random, habit, uid, n));
        }
        if random.one_in(20) {
            world.slots[uid] = (!random.one_in(3)).then(|| Slot {
                stake: random.magnitude(54),
                registered_at: random.within(now - 99, now),
            });
        }
        if let Some(slot) = &mut world.slots[uid] {
            if random.one_in(4) {
                let change = random.below(slot.stake / 8 + 1);
                slot.stake = slot.stake.saturating_add(change).saturating_sub(change / 2);
            }
        }
    }
}
