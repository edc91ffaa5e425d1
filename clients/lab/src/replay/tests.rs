#![allow(clippy::unwrap_used)] // a test may

use std::collections::BTreeMap;

use market_mechanism::{epoch, Clock, Graph, Market, Slot};
use noesis_chain::market_state::{self, EpochRules, MarketState, Moment};

use super::*;

/// The block at whose start the epoch of the tests began.
const BEGAN: u32 = 20;

/// The defaults of the mechanism, as the chain stores them.
fn rules() -> EpochRules {
    let defaults = market_mechanism::Parameters::DEFAULT;
    EpochRules {
        rho: defaults.rho,
        kappa: defaults.kappa,
        lambda: defaults.lambda,
        alpha: defaults.alpha,
        trust_threshold: defaults.trust_threshold,
        self_weight: defaults.self_weight,
        consensus_gate: defaults.consensus_gate,
        count_idle_stake: defaults.count_idle_stake,
        quorum: defaults.quorum,
        activity_cutoff: 100,
    }
}

fn slots(registered_at: u32) -> Vec<Option<market_state::Slot>> {
    let slot = |stake| market_state::Slot {
        stake,
        registered_at: Moment {
            block: registered_at,
            call: 1,
        },
    };
    [600, 200, 200, 0].map(|stake| Some(slot(stake))).into()
}

fn rows(graph: &Graph) -> BTreeMap<u16, market_state::Row> {
    let row = |row: &market_mechanism::Row| {
        let (gaps, weights, bonds) = row.edges.clone().into_parts();
        market_state::Row {
            set_at: Moment {
                block: (row.set_at >> 32) as u32,
                call: row.set_at as u32,
            },
            gaps,
            weights,
            bonds,
        }
    };
    let taken = (0..).zip(&graph.rows);
    let taken = taken.filter(|(_, row)| !row.edges.is_empty());
    taken.map(|(uid, edges)| (uid, row(edges))).collect()
}

fn columns(graph: &Graph) -> Vec<market_state::Column> {
    let column = |column: &market_mechanism::Column| {
        let (mantissa, exponent) = column.scale.parts();
        market_state::Column {
            mantissa,
            exponent,
            sum: column.sum,
        }
    };
    graph.columns.iter().map(column).collect()
}

/// The example of the mechanism's documentation, before and after its second epoch.
fn epoch_of_chain() -> (MarketState, MarketState) {
    let at = |block: u32| (u64::from(block) << 32) + 1;
    let seen: Vec<_> = slots(3)
        .into_iter()
        .map(|slot| {
            slot.map(|slot| Slot {
                stake: slot.stake,
                registered_at: slot.registered_at.time(),
            })
        })
        .collect();
    let clock = |number, block: u32| Clock {
        epoch: number,
        now: (u64::from(block) << 32) - 1,
    };
    let parameters = market_mechanism::Parameters {
        activity_cutoff: at(101) - 2,
        ..market_mechanism::Parameters::DEFAULT
    };
    let mut graph = Graph::new(4);
    graph.set_weights(0, at(5), &[(2, 3), (3, 1)]);
    graph.set_weights(1, at(6), &[(3, 1)]);
    let first = Market::new(parameters, &seen, clock(1, 10));
    epoch(&first, &mut graph, 1_000_000);
    graph.set_weights(1, at(15), &[(2, 2), (3, 1)]);
    let mut before = MarketState {
        rules: rules(),
        slots: slots(3),
        rows: rows(&graph),
        columns: columns(&graph),
        ..MarketState::default()
    };
    before.epoch.epoch = 1;

    let second = Market::new(parameters, &seen, clock(2, BEGAN));
    let outcome = epoch(&second, &mut graph, 1_000_000);
    assert!(outcome.in_consensus);
    let neurons = outcome.neurons.iter();
    let after = MarketState {
        rows: rows(&graph),
        columns: columns(&graph),
        outcomes: neurons
            .map(|neuron| market_state::Outcome {
                rank: neuron.rank,
                trust: neuron.trust,
                consensus: neuron.consensus,
                incentive: neuron.incentive,
                dividend: neuron.dividend,
                pay: neuron.payout,
            })
            .collect(),
        epoch: EpochSummary {
            epoch: 2,
            began: BEGAN,
            finished: BEGAN + 1,
            loss: outcome.loss,
            in_consensus: true,
            minted: 1_000_000,
        },
        ..before.clone()
    };
    (before, after)
}

/// The columns that differ, by how much, and whose.
fn found(before: MarketState, after: &MarketState) -> Vec<(&'static str, u64, Vec<u16>)> {
    let replay = Replay::new(before, after).unwrap();
    let different = replay.rows.into_iter().filter(|row| row.differing > 0);
    different
        .map(|row| (row.column, row.largest_difference, row.uids))
        .collect()
}

#[test]
fn an_epoch_as_the_chain_stored_it_is_confirmed_in_each_format() {
    let (before, after) = epoch_of_chain();
    let replay = Replay::new(before, &after).unwrap();
    assert!(replay.agrees(), "{replay:?}");
    assert_eq!(
        (replay.neurons, replay.edges, replay.changed_hands),
        (4, 4, 0)
    );
    let compared: Vec<_> = replay.rows.iter().map(|row| row.compared).collect();
    assert_eq!(compared, [4, 4, 4, 4, 4, 4, 1, 1, 1, 4, 4, 4]);

    let text = print(0, &replay, Format::Text).unwrap();
    assert!(text.starts_with("Does epoch 2 of market 0, computed again, give"));
    assert!(text.contains("Yes, to the last digit. Neurons: 4, edges: 4, on the state after block 19; finished in block 21, 1000000 units were minted."));
    let csv = print(0, &replay, Format::Csv).unwrap();
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns));
    assert_eq!(csv.lines().count(), 13);
    assert!(csv.contains("\n2,20,21,4,4,0,rank,4,0,0,\n"), "{csv}");
    let json: serde_json::Value =
        serde_json::from_str(&print(0, &replay, Format::Json).unwrap()).unwrap();
    assert_eq!(json["epoch"], 2);
    assert_eq!(json["rows"][0]["largest_difference"], 0);
}

#[test]
fn every_deviation_is_found_and_named() {
    type Deviation = (&'static str, u64, &'static [u16], fn(&mut MarketState));
    let deviations: [Deviation; 12] = [
        ("rank", 1, &[2], |after| after.outcomes[2].rank += 1),
        ("trust", 7, &[3], |after| after.outcomes[3].trust -= 7),
        ("consensus", 1, &[0], |after| {
            after.outcomes[0].consensus += 1
        }),
        ("incentive", 1, &[2], |after| {
            after.outcomes[2].incentive += 1
        }),
        ("dividend", 2, &[0, 1], |after| {
            after.outcomes[0].dividend -= 2;
            after.outcomes[1].dividend += 1;
        }),
        ("pay", 1, &[3], |after| after.outcomes[3].pay -= 1),
        ("loss", 3, &[], |after| after.epoch.loss -= 3),
        ("in_consensus", 1, &[], |after| {
            after.epoch.in_consensus = false;
        }),
        ("bonds", 1, &[1], |after| {
            after.rows.get_mut(&1).unwrap().bonds[0] += 1;
        }),
        ("bonds", 5, &[9], |after| {
            let row = market_state::Row {
                gaps: vec![40],
                weights: vec![0],
                bonds: vec![5],
                ..market_state::Row::default()
            };
            after.rows.insert(9, row);
        }),
        ("bond_sums", 1, &[2], |after| after.columns[2].sum += 1),
        ("bond_scales", 4, &[3], |after| {
            after.columns[3].mantissa -= 4
        }),
    ];
    for (column, difference, uids, deviate) in deviations {
        let (before, mut after) = epoch_of_chain();
        deviate(&mut after);
        let expected = vec![(column, difference, uids.to_vec())];
        assert_eq!(found(before, &after), expected);
    }
}

#[test]
fn what_the_epoch_started_from_decides() {
    let deviations: [fn(&mut MarketState); 4] = [
        |before| before.slots[0].as_mut().unwrap().stake += 100,
        |before| before.rows.get_mut(&0).unwrap().weights[0] += 1,
        |before| before.rules.kappa /= 2,
        |before| before.columns[2].sum /= 2,
    ];
    for deviate in deviations {
        let (mut before, after) = epoch_of_chain();
        deviate(&mut before);
        assert!(!found(before, &after).is_empty());
    }
    // A row that the rules no longer let count.
    let (mut before, after) = epoch_of_chain();
    before.rules.activity_cutoff = 13;
    assert!(!found(before, &after).is_empty());
    let (mut before, after) = epoch_of_chain();
    before.rules.activity_cutoff = 14;
    assert!(found(before, &after).is_empty());
}

#[test]
fn nothing_is_expected_of_a_neuron_that_left_meanwhile() {
    let (before, mut after) = epoch_of_chain();
    after.slots[1] = None;
    after.slots.push(before.slots[1]);
    after.outcomes[1] = market_state::Outcome::default();
    after.columns[1] = market_state::Column::default();
    let row = after.rows.remove(&1).unwrap();
    // Its bonds, in units of 2^-31, no longer count in the sums of their columns.
    for (column, bond) in after.columns[2..].iter_mut().zip(row.bonds) {
        column.sum -= u64::from(bond);
    }
    let replay = Replay::new(before.clone(), &after).unwrap();
    assert_eq!(replay.changed_hands, 1);
    assert!(replay.agrees(), "{replay:?}");
    assert!(answer(&replay)
        .ends_with("One slot changed hands before it was finished, and has nothing."));

    after.outcomes[1].pay = 1;
    assert_eq!(found(before, &after), [("pay", 1, vec![1])]);
}

#[test]
fn weights_that_arrived_meanwhile_change_no_bond() {
    let (before, mut after) = epoch_of_chain();
    let row = after.rows.get_mut(&0).unwrap();
    row.weights = vec![1, 60_000];
    row.set_at.block = BEGAN;
    assert!(found(before, &after).is_empty());
}

#[test]
fn differences_are_put_in_words_however_many() {
    let (before, mut after) = epoch_of_chain();
    after.outcomes[2].rank += 1;
    after.epoch.loss += 1;
    let replay = Replay::new(before, &after).unwrap();
    assert!(!replay.agrees());
    assert_eq!(
        differences(&replay),
        "rank of uid 2 (by up to 1); loss (by up to 1)"
    );
    let text = print(0, &replay, Format::Text).unwrap();
    assert!(
        text.contains("No: rank of uid 2 (by up to 1); loss"),
        "{text}"
    );
}

#[test]
fn a_state_of_another_version_is_an_error_in_words() {
    let wrong: [fn(&mut MarketState, &mut MarketState); 4] = [
        |_, after| after.outcomes.truncate(3),
        |_, after| after.columns.clear(),
        |before, _| before.rows.get_mut(&0).unwrap().gaps.push(255),
        |before, _| {
            before.rows.insert(4, market_state::Row::default());
        },
    ];
    for spoil in wrong {
        let (mut before, mut after) = epoch_of_chain();
        spoil(&mut before, &mut after);
        let error = Replay::new(before, &after).unwrap_err().to_string();
        assert!(error.contains("of another version"), "{error}");
    }
}

#[test]
fn an_absent_node_is_an_error_in_words() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", free.local_addr().unwrap());
    drop(free);
    let flags = Flags {
        market: "text".into(),
        url,
        epoch: None,
    };
    let error = run(&flags, Format::Text).unwrap_err().to_string();
    assert!(error.contains("no node answers"), "{error}");
}
