//! The example that `docs/mechanism.md` works by hand, number for number.

#![allow(clippy::unwrap_used)] // a test may

mod support;

use market_mechanism::{epoch, Clock, Graph, Market, Neuron, Parameters, Slot, Weight};

/// Stakes of the example, in units.
const STAKES: [u64; 4] = [600, 200, 200, 0];

/// What is minted in an epoch.
const EMISSION: u64 = 1_000_000;

fn settle(number: u64, rows: [&[Weight]; 4], graph: &mut Graph) -> Vec<Neuron> {
    let slots = STAKES.map(|stake| {
        Some(Slot {
            stake,
            registered_at: 0,
        })
    });
    let clock = Clock {
        epoch: number,
        now: number * 100,
    };
    let market = Market::new(Parameters::DEFAULT, &slots, clock);
    for (uid, edges) in (0..).zip(rows) {
        graph.set_weights(uid, number * 100 - 10, edges);
    }
    let outcome = epoch(&market, graph, EMISSION);
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

/// Bonds as the page gives them: shares of the column, to six places.
fn held(graph: &Graph) -> [Vec<(u16, f64)>; 4] {
    [0, 1, 2, 3].map(|uid| {
        let bonds = support::bonds(graph, uid).into_iter();
        bonds
            .map(|(to, share)| (to, (share * 1e6).round() / 1e6))
            .collect()
    })
}

#[test]
fn the_example_of_the_documentation() {
    let mut graph = Graph::new(4);

    let first = settle(1, [&[(2, 3), (3, 1)], &[(3, 1)], &[], &[]], &mut graph);
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
        held(&graph),
        [
            vec![(2, 1.0), (3, 0.428571)],
            vec![(3, 0.571429)],
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
    let second = settle(2, [&[(2, 3), (3, 1)], &[(2, 1)], &[], &[]], &mut graph);
    assert_eq!(column(&second, |n| n.rank), [0.0, 0.0, 0.8125, 0.1875]);
    assert_eq!(column(&second, |n| n.trust), [0.0, 0.0, 1.0, 0.75]);
    assert_eq!(
        column(&second, |n| n.incentive),
        [0.0, 0.0, 0.823248, 0.176752]
    );
    assert_eq!(
        held(&graph),
        [
            vec![(2, 0.818182), (3, 0.6)],
            vec![(2, 0.181818), (3, 0.4)],
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
