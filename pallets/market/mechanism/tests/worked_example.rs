//! The example that `docs/mechanism.md` works by hand, number for number.

#![allow(clippy::unwrap_used)] // a test may

use market_mechanism::{
    epoch, Bond, Clock, Holding, Market, Neuron, Parameters, Row, Slot, Weight,
};

/// Stakes of the example, in units.
const STAKES: [u64; 4] = [600, 200, 200, 0];

/// What is minted in an epoch.
const EMISSION: u64 = 1_000_000;

fn settle(number: u64, rows: [&[Weight]; 4], bonds: &mut Vec<Vec<Holding>>) -> Vec<Neuron> {
    let slots = STAKES.map(|stake| {
        Some(Slot {
            stake,
            registered_at: 0,
        })
    });
    let clock = Clock {
        epoch: number,
        now: number * 100,
        previous: (number - 1) * 100,
    };
    let market = Market::new(Parameters::DEFAULT, &slots, clock);
    let rows = rows.map(|edges| Row {
        set_at: number * 100 - 10,
        edges,
    });
    let outcome = epoch(&market, &rows, bonds, EMISSION);
    assert!(outcome.in_consensus);
    assert_eq!(outcome.minted, EMISSION);
    outcome.neurons
}

/// A share as the page gives it, to six places.
fn places(share: u64) -> f64 {
    (share as f64 / 1e12).round() / 1e6
}

fn column(neurons: &[Neuron], field: fn(&Neuron) -> u64) -> Vec<f64> {
    neurons.iter().map(|neuron| places(field(neuron))).collect()
}

fn held(bonds: &[Vec<Holding>]) -> Vec<Vec<(u16, f64)>> {
    let share = |bond: Bond| bond.to_fixed() as f64 / 2_f64.powi(127);
    bonds
        .iter()
        .map(|row| {
            row.iter()
                .map(|&(to, bond)| (to, (share(bond) * 1e6).round() / 1e6))
                .collect()
        })
        .collect()
}

#[test]
fn the_example_of_the_documentation() {
    let mut bonds = Vec::new();

    let first = settle(1, [&[(2, 3), (3, 1)], &[(3, 1)], &[], &[]], &mut bonds);
    assert_eq!(column(&first, |n| n.rank), [0.0, 0.0, 0.5625, 0.4375]);
    assert_eq!(column(&first, |n| n.trust), [0.0, 0.0, 0.75, 1.0]);
    assert_eq!(
        column(&first, |n| n.consensus),
        [0.006693, 0.006693, 0.924142, 0.993307]
    );
    assert_eq!(
        column(&first, |n| n.incentive),
        [0.0, 0.0, 0.544666, 0.455334]
    );
    assert_eq!(
        held(&bonds),
        [
            vec![(2, 0.5625), (3, 0.1875)],
            vec![(3, 0.25)],
            vec![],
            vec![]
        ]
    );
    assert_eq!(
        column(&first, |n| n.dividend),
        [0.739809, 0.260191, 0.0, 0.0]
    );
    let paid: Vec<u64> = first.iter().map(|neuron| neuron.payout).collect();
    assert_eq!(paid, [369_904, 130_096, 272_333, 227_667]);

    // The second validator changes its mind; nobody's stake has changed.
    let second = settle(2, [&[(2, 3), (3, 1)], &[(2, 1)], &[], &[]], &mut bonds);
    assert_eq!(column(&second, |n| n.rank), [0.0, 0.0, 0.8125, 0.1875]);
    assert_eq!(column(&second, |n| n.trust), [0.0, 0.0, 1.0, 0.75]);
    assert_eq!(
        column(&second, |n| n.incentive),
        [0.0, 0.0, 0.823248, 0.176752]
    );
    assert_eq!(
        held(&bonds),
        [
            vec![(2, 0.5625), (3, 0.1875)],
            vec![(2, 0.125), (3, 0.125)],
            vec![],
            vec![]
        ]
    );
    assert_eq!(
        column(&second, |n| n.dividend),
        [0.779618, 0.220382, 0.0, 0.0]
    );
    let paid: Vec<u64> = second.iter().map(|neuron| neuron.payout).collect();
    assert_eq!(paid, [389_809, 110_191, 411_624, 88_376]);
}
