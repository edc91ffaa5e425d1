//! Each stage by itself, at its boundaries.

#![allow(clippy::unwrap_used)] // a test may

mod support;

use market_mechanism::{
    edges::largest_share,
    epoch,
    fixed::{apportion, share},
    parameters::{RHO_MAX, RHO_ONE},
    sigmoid::consensus,
    Clock, Edges, Graph, Market, OutOfRange, Parameters, Renewal, Row, Slot, Verdict, Votes,
    Weight, ONE,
};
use support::bonds;

const CLOCK: Clock = Clock { epoch: 1, now: 100 };

fn slot(stake: u64, registered_at: u64) -> Option<Slot> {
    Some(Slot {
        stake,
        registered_at,
    })
}

fn count(market: &Market, rows: &[(u64, &[Weight])]) -> Votes {
    let mut votes = Votes::new(market);
    for (uid, &(set_at, weights)) in (0..).zip(rows) {
        let edges = Edges::default().with_weights(weights);
        votes.add_row(market, uid, &Row { set_at, edges });
    }
    votes
}

fn verdict(parameters: Parameters, slots: &[Option<Slot>], rows: &[(u64, &[Weight])]) -> Verdict {
    let market = Market::new(parameters, slots, CLOCK);
    count(&market, rows).verdict(&market)
}

fn row_sums(slots: &[Option<Slot>], rows: &[(u64, &[Weight])]) -> Vec<u32> {
    let market = Market::new(Parameters::DEFAULT, slots, CLOCK);
    count(&market, rows).row_sums
}

/// Ranks as a test writes them, in thousandths.
fn thousandths(shares: &[u64]) -> Vec<u64> {
    shares.iter().map(|share| share / (ONE / 1_000)).collect()
}

#[test]
fn shares_are_exact_and_never_above_one() {
    assert_eq!(share(1, 3), 333_333_333_333_333_333);
    assert_eq!(share(0, 0), 0);
    assert_eq!(share(5, 0), 0);
    assert_eq!(share(7, 5), ONE);
    assert_eq!(share(u128::MAX, u128::MAX), ONE);
    assert_eq!(share(1 << 79, 1 << 80), ONE / 2);
}

#[test]
fn apportioning_is_exact_and_prefers_the_larger_remainder_then_the_lower_index() {
    assert_eq!(apportion(10, &[1, 1, 1]), [4, 3, 3]);
    assert_eq!(apportion(10, &[3, 3, 1]), [4, 4, 2]);
    assert_eq!(apportion(2, &[1, 1, 1, 2]), [1, 0, 0, 1]);
    assert_eq!(apportion(10, &[0, 0]), [0, 0]);
    assert_eq!(apportion(10, &[]), [0; 0]);
    assert_eq!(apportion(0, &[1, 2]), [0, 0]);
    let most = apportion(u64::MAX, &[u64::MAX; 3]);
    assert_eq!(most, [u64::MAX / 3; 3]);
}

#[test]
fn the_sigmoid_is_accurate_and_stays_inside_zero_and_one() {
    let mut worst = 0.0_f64;
    for rho in [
        1,
        RHO_ONE / 3,
        RHO_ONE,
        10 * RHO_ONE,
        37_700_000_001,
        RHO_MAX,
    ] {
        for kappa in [0, 1, ONE / 3, ONE / 2, ONE - 1, ONE] {
            let parameters = Parameters {
                rho,
                kappa,
                ..Parameters::DEFAULT
            };
            let mut last = 0;
            for step in 0..=4_000 {
                let trust = ONE / 4_000 * step;
                let found = consensus(&parameters, trust).parts;
                assert!(0 < found && found < ONE);
                assert!(found >= last, "rising");
                last = found;
                let x = rho as f64 / 1e9 * ((trust as f64 - kappa as f64) / 1e18);
                let exact = 1.0 / (1.0 + (-x).exp());
                worst = worst.max((found as f64 / 1e18 - exact).abs());
            }
        }
    }
    assert!(worst < 1e-14, "{worst:e}");
    let half = consensus(&Parameters::DEFAULT, ONE / 2);
    assert_eq!(half.parts, ONE / 2);
    for distance in [1, 12_345, ONE / 7, ONE / 2] {
        let above = consensus(&Parameters::DEFAULT, ONE / 2 + distance).parts;
        let below = consensus(&Parameters::DEFAULT, ONE / 2 - distance).parts;
        assert_eq!(above + below, ONE);
    }
}

#[test]
fn the_sigmoid_agrees_with_sixty_decimal_digits_to_two_parts() {
    // rho, kappa, trust, consensus; computed with Python's decimal module.
    let vectors = [
        (10_000_000_000, ONE / 2, 0, 6_692_850_924_284_856),
        (10_000_000_000, ONE / 2, ONE, 993_307_149_075_715_144),
        (
            10_000_000_000,
            ONE / 2,
            ONE / 4 * 3,
            924_141_819_978_756_449,
        ),
        (
            10_000_000_000,
            ONE / 2,
            ONE / 100 * 49,
            475_020_812_521_060_014,
        ),
        (10_000_000_000, ONE / 2, ONE / 3, 158_869_104_880_915_151),
        (
            1_000_000_000,
            ONE / 2,
            123_456_789_012_345_678,
            406_960_902_346_784_346,
        ),
        (
            37_700_000_001,
            ONE / 3,
            400_000_000_000_000_001,
            925_071_266_207_604_415,
        ),
        (
            100_000_000_000,
            ONE / 2,
            ONE / 100 * 48,
            119_202_922_022_117_556,
        ),
        (100_000_000_000, ONE, ONE / 10 * 7, 93_576),
        (1, 0, ONE, 500_000_000_250_000_000),
    ];
    for (rho, kappa, trust, exact) in vectors {
        let parameters = Parameters {
            rho,
            kappa,
            ..Parameters::DEFAULT
        };
        let found = consensus(&parameters, trust).parts;
        assert!(found.abs_diff(exact) <= 2, "{found} for {exact}");
    }
}

#[test]
fn parameters_out_of_range_are_named_and_clamped() {
    assert_eq!(Parameters::DEFAULT.validate(), Ok(()));
    assert_eq!(Parameters::LOCAL.validate(), Ok(()));
    assert_eq!(Parameters::PAPER.validate(), Ok(()));
    let too_much = Parameters {
        rho: u64::MAX,
        kappa: u64::MAX,
        lambda: u64::MAX,
        alpha: u64::MAX,
        trust_threshold: u64::MAX,
        quorum: u64::MAX,
        ..Parameters::DEFAULT
    };
    assert_eq!(too_much.validate(), Err(OutOfRange::Rho));
    assert_eq!(too_much.clamped().validate(), Ok(()));
    let good = Parameters::DEFAULT;
    let over = ONE + 1;
    let cases = [
        (Parameters { rho: 0, ..good }, OutOfRange::Rho),
        (
            Parameters {
                kappa: over,
                ..good
            },
            OutOfRange::Kappa,
        ),
        (
            Parameters {
                lambda: over,
                ..good
            },
            OutOfRange::Lambda,
        ),
        (
            Parameters {
                alpha: over,
                ..good
            },
            OutOfRange::Alpha,
        ),
        (
            Parameters {
                trust_threshold: over,
                ..good
            },
            OutOfRange::TrustThreshold,
        ),
        (
            Parameters {
                quorum: over,
                ..good
            },
            OutOfRange::Quorum,
        ),
    ];
    for (parameters, error) in cases {
        assert_eq!(parameters.validate(), Err(error));
        assert_eq!(parameters.clamped().validate(), Ok(()));
    }
}

#[test]
fn edges_to_slots_registered_after_the_row_was_set_are_dropped() {
    let slots = [slot(10, 0), slot(0, 60), slot(0, 61), None];
    let rows: [(u64, &[Weight]); 1] = [(60, &[(1, 1), (2, 1), (3, 1), (9, 1)])];
    let found = verdict(Parameters::DEFAULT, &slots, &rows);
    assert_eq!(found.rank, [0, ONE, 0, 0]);
    assert_eq!(row_sums(&slots, &rows), [1, 0, 0, 0]);
}

#[test]
fn a_row_of_the_previous_owner_or_past_the_cutoff_does_not_count() {
    let parameters = Parameters {
        activity_cutoff: 40,
        ..Parameters::DEFAULT
    };
    let edges: &[Weight] = &[(3, 1)];
    let slots = [slot(10, 0), slot(10, 0), slot(10, 80), slot(0, 0)];
    let found = verdict(parameters, &slots, &[(60, edges), (59, edges), (79, edges)]);
    assert_eq!(found.rank, [0, 0, 0, ONE]);
    // A third of all stake votes: enough for the quorum.
    assert_eq!(thousandths(&[found.voting]), [333]);
    assert!(found.in_consensus);
}

#[test]
fn the_diagonal_counts_where_self_weight_is_on() {
    let slots = [slot(10, 0), slot(10, 0)];
    let rows: [(u64, &[Weight]); 2] = [(90, &[(0, 3), (1, 1)]), (90, &[(1, 5)])];
    let off = verdict(Parameters::DEFAULT, &slots, &rows);
    // With nothing left, the second row votes for nobody.
    assert_eq!(off.rank, [0, ONE]);
    assert_eq!(off.voting, ONE / 2);
    let parameters = Parameters {
        self_weight: true,
        ..Parameters::DEFAULT
    };
    let on = verdict(parameters, &slots, &rows);
    assert_eq!(on.rank, [ONE / 8 * 3, ONE / 8 * 5]);
}

#[test]
fn unsorted_repeated_and_zero_edges_are_ignored() {
    let slots = [slot(10, 0), slot(0, 0), slot(0, 0), slot(0, 0)];
    let rows: [(u64, &[Weight]); 1] = [(90, &[(1, 0), (2, 4), (2, 9), (1, 9), (3, 4)])];
    let found = verdict(Parameters::DEFAULT, &slots, &rows);
    assert_eq!(found.rank, [0, 0, ONE / 2, ONE / 2]);
}

#[test]
fn an_edge_at_the_trust_threshold_is_none() {
    // Four neurons, threshold 0.4 / 4: a weight of one tenth is just too small.
    let parameters = Parameters {
        trust_threshold: ONE / 10 * 4,
        ..Parameters::DEFAULT
    };
    let slots = [slot(10, 0), slot(0, 0), slot(0, 0), slot(0, 0)];
    let at: [(u64, &[Weight]); 1] = [(90, &[(1, 100), (2, 900)])];
    let above: [(u64, &[Weight]); 1] = [(90, &[(1, 101), (2, 899)])];
    assert_eq!(verdict(parameters, &slots, &at).trust, [0, 0, ONE, 0]);
    assert_eq!(verdict(parameters, &slots, &above).trust, [0, ONE, ONE, 0]);
}

#[test]
fn idle_stake_counts_only_where_it_is_to() {
    let slots = [slot(30, 0), slot(70, 0)];
    let rows: [(u64, &[Weight]); 1] = [(90, &[(1, 1)])];
    let found = verdict(Parameters::DEFAULT, &slots, &rows);
    assert_eq!((found.rank[1], found.trust[1]), (ONE, ONE));
    assert!(found.in_consensus);
    let parameters = Parameters {
        count_idle_stake: true,
        ..Parameters::DEFAULT
    };
    let found = verdict(parameters, &slots, &rows);
    assert_eq!(
        (found.rank[1], found.trust[1]),
        (ONE / 10 * 3, ONE / 10 * 3)
    );
    assert!(!found.in_consensus);
}

#[test]
fn an_epoch_below_the_quorum_is_not_in_consensus() {
    let rows: [(u64, &[Weight]); 1] = [(90, &[(1, 1)])];
    let met = verdict(Parameters::DEFAULT, &[slot(25, 0), slot(75, 0)], &rows);
    assert!(met.in_consensus);
    let missed = verdict(Parameters::DEFAULT, &[slot(249, 0), slot(751, 0)], &rows);
    assert!(missed.loss < 0 && !missed.in_consensus);
}

#[test]
fn markets_of_nobody_of_one_and_without_stake_have_defined_results() {
    let nobody = verdict(Parameters::DEFAULT, &[], &[]);
    assert!(nobody.rank.is_empty() && !nobody.in_consensus);
    let edges: &[Weight] = &[(0, 1)];
    let one = verdict(Parameters::PAPER, &[slot(1, 0)], &[(90, edges)]);
    assert_eq!((one.rank[0], one.incentive[0]), (ONE, ONE));
    assert!(one.in_consensus);
    let poor = verdict(Parameters::PAPER, &[slot(0, 0)], &[(90, edges)]);
    assert_eq!((poor.rank[0], poor.incentive[0], poor.loss), (0, 0, 0));
    assert!(!poor.in_consensus);
}

/// A graph after one epoch in which each of the rows was set, and its market's later moments.
fn settle(slots: &[Option<Slot>], graph: &mut Graph, parameters: Parameters, clock: Clock) {
    epoch(&Market::new(parameters, slots, clock), graph, 0);
}

#[test]
fn bonds_of_and_in_slots_that_changed_hands_start_at_zero() {
    let slots = [slot(1, 0); 4];
    let mut graph = Graph::new(4);
    graph.set_weights(0, 90, &[(2, 1), (3, 1)]);
    graph.set_weights(1, 90, &[(2, 3), (3, 1)]);
    settle(&slots, &mut graph, Parameters::PAPER, CLOCK);
    let close = |graph: &Graph, uid, expected: &[(u16, f64)]| {
        let found = bonds(graph, uid);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.0, expected.0);
            assert!(
                (found.1 - expected.1).abs() < 5e-9,
                "{found:?} {expected:?}"
            );
        }
    };
    close(&graph, 0, &[(2, 0.4), (3, 2.0 / 3.0)]);
    close(&graph, 1, &[(2, 0.6), (3, 1.0 / 3.0)]);

    // The holder of the larger bond in 2 leaves, and so does 3. Nobody votes any more.
    graph.vacate(1);
    graph.vacate(3);
    graph.set_weights(0, 90, &[]);
    let clock = Clock { epoch: 2, ..CLOCK };
    settle(&slots, &mut graph, Parameters::PAPER, clock);
    close(&graph, 0, &[(2, 1.0)]);
    close(&graph, 1, &[]);

    // What it left behind weighs no more than it did: 0.2 (0.4 of a half) against a vote of a half.
    graph.set_weights(1, 90, &[(2, 1), (3, 1)]);
    let clock = Clock { epoch: 2, ..CLOCK };
    settle(&slots, &mut graph, Parameters::PAPER, clock);
    // c = 1/2 * (1/2 * 0.2), and 1 votes with a quarter of all stake: a s w = 1/2 * 1/4 * 1/2.
    let (old, new) = (0.25 * 0.5 / 2.0 / 2.0, 0.25 / 2.0 / 2.0);
    close(&graph, 0, &[(2, old / (old + new))]);
    close(&graph, 1, &[(2, new / (old + new)), (3, 1.0)]);
}

#[test]
fn a_holder_that_leaves_halfway_is_taken_out_of_the_sums() {
    let slots = [slot(1, 0); 3];
    let market = Market::new(Parameters::DEFAULT, &slots, CLOCK);
    let votes = count(&market, &[(90, &[(2, 1)]), (90, &[(2, 1)])]);
    let incentive = votes.verdict(&market).incentive;
    let mut renewal = Renewal::new(&market, &votes, &incentive, &[]);
    let mut rows = [(); 2].map(|()| Row {
        set_at: 90,
        edges: Edges::default().with_weights(&[(2, 1)]),
    });
    renewal.renew_row(&market, &votes, 0, &mut rows[0]);
    renewal.renew_row(&market, &votes, 1, &mut rows[1]);
    renewal.withdraw(&rows[0].edges);
    let (dividends, columns) = (renewal.dividends(), renewal.columns());
    // It is paid for this epoch all the same.
    assert_eq!(thousandths(&dividends), [500, 500, 0]);
    assert_eq!(
        columns[2].sum,
        u64::from(rows[1].edges.bonds().next().unwrap())
    );
}

#[test]
fn an_epoch_put_by_after_every_row_comes_to_the_same() {
    let slots = [slot(5, 0), slot(7, 0), slot(11, 0), slot(1, 0)];
    let market = Market::new(Parameters::PAPER, &slots, CLOCK);
    let mut whole = Graph::new(4);
    for uid in 0..4 {
        whole.set_weights(uid, 90, &[(0, 7 * uid + 1), (2, 300), (3, 5 + uid)]);
    }
    let mut pieces = whole.clone();
    let outcome = epoch(&market, &mut whole, 1_000);

    let mut votes = Votes::new(&market);
    for (uid, row) in (0..).zip(&pieces.rows) {
        votes = votes.clone();
        votes.add_row(&market, uid, row);
    }
    let incentive = votes.verdict(&market).incentive;
    let (mut sums, mut dividends): (Vec<u64>, _) = (Vec::new(), Vec::new());
    for (uid, row) in (0..).zip(&mut pieces.rows) {
        let columns = &pieces.columns;
        let mut renewal = Renewal::resume(&market, &votes, &incentive, columns, &sums, dividends);
        renewal.renew_row(&market, &votes, uid, row);
        sums = renewal.columns().iter().map(|column| column.sum).collect();
        dividends = renewal.dividends;
    }
    let columns = &pieces.columns;
    let last = Renewal::resume(&market, &votes, &incentive, columns, &sums, dividends);
    let (dividend, columns) = (last.dividends(), last.columns());
    assert_eq!((&pieces.rows, columns), (&whole.rows, whole.columns));
    let expected: Vec<u64> = outcome.neurons.iter().map(|n| n.dividend).collect();
    assert_eq!(dividend, expected);
}

#[test]
fn bonds_decay_to_nothing_and_leave_the_row() {
    // Both vote for 2; then the first changes its mind, and its bond fades against the other's.
    let slots = [slot(1, 0); 4];
    let mut graph = Graph::new(4);
    graph.set_weights(0, 90, &[(2, 1)]);
    graph.set_weights(1, 90, &[(2, 1)]);
    settle(&slots, &mut graph, Parameters::DEFAULT, CLOCK);
    graph.set_weights(0, 90, &[(3, 1)]);
    let mut epochs = 0;
    while bonds(&graph, 0).iter().any(|&(to, _)| to == 2) {
        epochs += 1;
        let clock = Clock {
            epoch: 1_000 + epochs,
            ..CLOCK
        };
        settle(&slots, &mut graph, Parameters::DEFAULT, clock);
        assert!(epochs < 1_000);
    }
    // 0.9^204 is the first power of which a half is below 2^-31; rounding by chance may keep it a while.
    assert!((150..300).contains(&epochs), "{epochs}");
    assert_eq!(graph.rows[0].edges.uids().collect::<Vec<_>>(), [3]);
}

#[test]
fn bonds_follow_votes_by_the_larger_of_alpha_and_one_in_t() {
    // 0 alone voted for 2; now 1 alone does. Its share of the bonds in 2 is a.
    let slots = [slot(1, 0); 3];
    let at = |number, alpha| {
        let parameters = Parameters {
            alpha,
            ..Parameters::DEFAULT
        };
        let mut graph = Graph::new(3);
        graph.set_weights(0, 90, &[(2, 1)]);
        settle(&slots, &mut graph, parameters, CLOCK);
        graph.set_weights(0, 90, &[]);
        graph.set_weights(1, 90, &[(2, 1)]);
        let clock = Clock {
            epoch: number,
            ..CLOCK
        };
        settle(&slots, &mut graph, parameters, clock);
        bonds(&graph, 1).first().map_or(0.0, |&(_, share)| share)
    };
    let close = |found: f64, exact: f64| assert!((found - exact).abs() < 3e-9, "{found}");
    close(at(0, 0), 1.0);
    close(at(1, 0), 1.0);
    close(at(4, 0), 0.25);
    close(at(4, ONE / 10), 0.25);
    close(at(1_000, ONE / 10), 0.1);
    close(at(1_000, ONE), 1.0);
    close(at(u64::MAX, 0), 0.0);
}

#[test]
fn tiny_steps_are_not_lost_to_rounding() {
    // Two holders whose votes change sides: 300,000 epochs of ten-millionths, each a few units of a bond.
    let slots = [slot(999, 0), slot(1, 0), slot(0, 0), slot(0, 0)];
    let mut graph = Graph::new(4);
    graph.set_weights(0, 90, &[(2, 1), (3, 9)]);
    graph.set_weights(1, 90, &[(2, 1)]);
    let first = Clock { epoch: 1, ..CLOCK };
    settle(&slots, &mut graph, Parameters::PAPER, first);
    graph.set_weights(0, 90, &[(2, 9), (3, 1)]);
    let (mut whale, mut small) = (0.0999_f64, 0.001_f64);
    for number in 10_000_000..10_300_000 {
        let clock = Clock {
            epoch: number,
            ..CLOCK
        };
        settle(&slots, &mut graph, Parameters::PAPER, clock);
        let a = 1.0 / number as f64;
        whale += a * (0.999 * 0.9 - whale);
        small += a * (0.001 - small);
    }
    let found = bonds(&graph, 1)[0].1;
    let exact = small / (whale + small);
    assert!((found - exact).abs() < 1e-6, "{found} and {exact}");
    assert!((found - 0.001 / 0.1009).abs() > 1e-3, "it did move");
}

#[test]
fn the_largest_share_of_a_row_is_never_understated() {
    assert_eq!(largest_share(&[]), 0);
    assert_eq!(largest_share(&[(1, 0)]), 0);
    assert_eq!(largest_share(&[(1, 7)]), ONE);
    assert_eq!(largest_share(&[(1, 1), (2, 1)]), ONE / 2);
    assert_eq!(largest_share(&[(1, 1), (2, 2)]), ONE / 3 * 2 + 1);
}
