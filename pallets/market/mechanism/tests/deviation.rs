//! Compares the crate with the floating-point oracle over 100,000 markets, and prints how far apart
//! they are. It has a main of its own so that what it measures is always printed.

#![allow(clippy::unwrap_used)] // a test may

mod support;

use std::{fmt, process::ExitCode, time::Instant};

use market_mechanism::{Graph, Neuron, Outcome, ONE};
use support::{
    generate,
    oracle::{self, Answer},
    Random, World,
};

/// Largest deviation that is accepted, absolute.
const TOLERANCE: f64 = 1e-6;

/// Largest deviations seen, and what they were seen in.
#[derive(Default)]
struct Measured {
    markets: u64,
    epochs: u64,
    rank: f64,
    trust: f64,
    consensus: f64,
    incentive: f64,
    dividend: f64,
    pay: f64,
    loss: f64,
    coarse: u64,
    ambiguous_trust: u64,
    ambiguous_gate: u64,
    in_consensus: u64,
}

fn main() -> ExitCode {
    let begun = Instant::now();
    let mut all = Measured::default();
    for seed in 0..100_000 {
        let mut random = Random::new(seed);
        // Few markets are large, or live long: an epoch of 256 neurons costs as much as 1,000 of eight.
        let most = random.of(&[8, 16, 32, 64, 128, 256]);
        let epochs = random.of(&[1, 1, 1, 1, 1, 1, 2, 4]);
        let long = if seed % 500 == 0 { 60 } else { epochs };
        chain(&mut random, &mut all, most, long);
    }
    println!("random and adversarial: {all}");

    // Bonds that never forget, over many epochs: rounding must not build up.
    let mut long = Measured::default();
    for seed in 0..12 {
        slow_market(&mut Random::new(seed), &mut long, 4_000);
    }
    println!("4,000 epochs without forgetting: {long}");
    println!("{:.1} s", begun.elapsed().as_secs_f64());

    if all.markets >= 100_000 && all.worst() < TOLERANCE && long.worst() < TOLERANCE {
        ExitCode::SUCCESS
    } else {
        println!("deviation of {TOLERANCE} or more, or too few markets");
        ExitCode::FAILURE
    }
}

/// A market from its beginning over a number of epochs.
fn chain(random: &mut Random, measured: &mut Measured, most: u64, epochs: u64) {
    let mut world = generate::world(random, most);
    if epochs > 1 {
        world.clock.epoch = random.of(&[1, 1, 500]);
    }
    let (mut graph, mut dense) = (Graph::default(), oracle::Dense::default());
    measured.markets += 1;
    for _ in 0..epochs {
        let emission = match random.below(4) {
            0 => random.magnitude(64),
            1 => random.below(3),
            _ => 100_000_000_000,
        };
        let ours = world.settle(&mut graph, emission);
        let theirs = oracle::epoch(&world, &mut dense);
        measured.compare(&world, &ours, &theirs, emission);
        for (slot, neuron) in world.slots.iter_mut().zip(&ours.neurons) {
            if let Some(slot) = slot {
                slot.stake = slot.stake.saturating_add(neuron.payout);
            }
        }
        generate::live(random, &mut world);
    }
}

/// A market of validators whose stakes drift slowly, bonds kept forever.
fn slow_market(random: &mut Random, measured: &mut Measured, epochs: u64) {
    let n = random.within(3, 12) as usize;
    let mut world = generate::world(random, 2);
    world.parameters = market_mechanism::Parameters {
        consensus_gate: random.one_in(2),
        activity_cutoff: u64::MAX,
        ..market_mechanism::Parameters::PAPER
    };
    world.slots = vec![
        Some(market_mechanism::Slot {
            stake: 1_000_000_000_000,
            registered_at: 0,
        });
        n
    ];
    world.rows = (0..n)
        .map(|uid| (1, generate::row(random, generate::Habit::Dense, uid, n)))
        .collect();
    world.clock.epoch = 1;
    let (mut graph, mut dense) = (Graph::default(), oracle::Dense::default());
    measured.markets += 1;
    let drift: Vec<u64> = (0..n).map(|_| random.below(2_000_000_000)).collect();
    for _ in 0..epochs {
        let ours = world.settle(&mut graph, 1_000_000_000);
        let theirs = oracle::epoch(&world, &mut dense);
        measured.compare(&world, &ours, &theirs, 1_000_000_000);
        world.pass_to(world.clock.now + 100);
        for (slot, drift) in world.slots.iter_mut().flatten().zip(&drift) {
            slot.stake += drift;
        }
        if random.one_in(50) {
            let uid = random.below(n as u64) as usize;
            world.rows[uid].1 = generate::row(random, generate::Habit::Dense, uid, n);
        }
    }
}

impl Measured {
    fn compare(&mut self, world: &World, ours: &Outcome, theirs: &Answer, emission: u64) {
        self.epochs += 1;
        check_sums(world, ours, emission);
        note(&mut self.rank, ours, &theirs.rank, |neuron| neuron.rank);
        if theirs.ambiguous_trust {
            self.ambiguous_trust += 1;
            return;
        }
        note(&mut self.trust, ours, &theirs.trust, |neuron| neuron.trust);
        let consensus: Vec<f64> = theirs
            .consensus
            .iter()
            .zip(&world.slots)
            .map(|(&consensus, slot)| slot.map_or(0.0, |_| consensus))
            .collect();
        note(&mut self.consensus, ours, &consensus, |neuron| {
            neuron.consensus
        });
        note(&mut self.incentive, ours, &theirs.incentive, |neuron| {
            neuron.incentive
        });
        // Those who are left may hold next to nothing, of a column or of all votes, beside one who is
        // gone or idle. How they share the rest is known as well as it was: coarsely, now that it is
        // all there is. Where idle stake does not count, their new votes soon outweigh it.
        let coarse = world.parameters.count_idle_stake && theirs.resolution >= TOLERANCE;
        let mut off = 0.0;
        note(&mut off, ours, &theirs.dividend, |neuron| neuron.dividend);
        if coarse {
            assert!(off < theirs.resolution, "{off:e} {world:?}");
            self.coarse += 1;
        } else {
            self.dividend = self.dividend.max(off);
        }
        let loss = ours.loss as f64 / 1e18;
        assert!(theirs.loss.is_finite());
        self.loss = self.loss.max((loss - theirs.loss).abs());
        match theirs.in_consensus {
            None => self.ambiguous_gate += 1,
            Some(in_consensus) => {
                assert_eq!(ours.in_consensus, in_consensus, "{world:?}");
                self.in_consensus += u64::from(in_consensus);
            }
        }
        // Whether it is minted has been checked by the sums. A unit may be large against the emission:
        // what a payout may be off by rounding to whole units is no deviation.
        if ours.minted > 0 && !coarse {
            for (neuron, share) in ours.neurons.iter().zip(&theirs.pay) {
                let exact = share * emission as f64;
                let off = (neuron.payout as f64 - exact).abs() - 1.0;
                self.pay = self.pay.max(off / (emission as f64));
            }
        }
    }

    fn worst(&self) -> f64 {
        [
            self.rank,
            self.trust,
            self.consensus,
            self.incentive,
            self.dividend,
            self.pay,
            self.loss,
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }
}

/// Notes how far a vector of shares is from what the oracle says.
fn note(largest: &mut f64, ours: &Outcome, theirs: &[f64], field: impl Fn(&Neuron) -> u64) {
    assert_eq!(ours.neurons.len(), theirs.len());
    for (neuron, exact) in ours.neurons.iter().zip(theirs) {
        let off = (field(neuron) as f64 / 1e18 - exact).abs();
        assert!(off.is_finite());
        *largest = largest.max(off);
    }
}

/// Shares sum to one or to nothing, payouts to the emission or to nothing, as the gate says.
fn check_sums(world: &World, ours: &Outcome, emission: u64) {
    let sum = |field: fn(&Neuron) -> u64| -> u128 {
        ours.neurons
            .iter()
            .map(|neuron| u128::from(field(neuron)))
            .sum()
    };
    let one = u128::from(ONE);
    let incentive = sum(|neuron| neuron.incentive);
    assert!(incentive == one || incentive == 0, "{world:?}");
    assert_eq!(sum(|neuron| neuron.dividend), incentive, "{world:?}");
    let rank = sum(|neuron| neuron.rank);
    assert!(
        world.parameters.count_idle_stake || rank == incentive,
        "{world:?}"
    );
    let minted = if incentive > 0 && (ours.in_consensus || !world.parameters.consensus_gate) {
        emission
    } else {
        0
    };
    assert_eq!(sum(|neuron| neuron.payout), u128::from(minted), "{world:?}");
    assert_eq!(ours.minted, minted);
    for (neuron, slot) in ours.neurons.iter().zip(&world.slots) {
        match slot {
            Some(_) => assert!(0 < neuron.consensus && neuron.consensus < ONE),
            None => assert_eq!(*neuron, Neuron::default()),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} markets, {} epochs, {} of them in consensus; largest deviation {:.1e}",
            self.markets,
            self.epochs,
            self.in_consensus,
            self.worst()
        )?;
        writeln!(
            f,
            "  rank {:.1e}, trust {:.1e}, consensus {:.1e}, incentive {:.1e}, dividend {:.1e}, pay {:.1e}, loss {:.1e}",
            self.rank, self.trust, self.consensus, self.incentive, self.dividend, self.pay, self.loss
        )?;
        writeln!(
            f,
            "  dividends coarser, idle stake being counted and nearly all holders of a column gone: in {} \
             epochs (compared with how fine they are then)",
            self.coarse
        )?;
        write!(
            f,
            "  too close to call: a weight and the trust threshold in {} epochs (only rank compared), \
             loss or quorum in {} (either accepted)",
            self.ambiguous_trust, self.ambiguous_gate
        )
    }
}
