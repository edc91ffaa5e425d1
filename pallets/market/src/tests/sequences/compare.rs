//! Holds the chain against the model.

use super::{moment, Model, Neuron};
use crate::{
    mock::*,
    pools::{Holdings, PoolPlace},
    tests::model::Pool,
    *,
};
use market_mechanism as mechanism;
use market_primitives::{Neuron as Shown, Share, SignedShare, Uid};
use std::collections::BTreeMap;

/// Fails where the chain is not what the model says, or breaks an invariant.
pub fn compare(model: &Model) {
    money(model);
    rules(model);
    delegation(model);
    metagraph(model);
    slots(model);
    assert_eq!(EpochCursors::<Test>::contains_key(TEXT), model.is_running());
    if !model.is_running() {
        graph(model);
    }
    if let Err(reason) = MarketPallet::check_invariants() {
        panic!("block {}: {reason:?}", System::block_number());
    }
}

/// What everybody owns, to the unit; that it is all that was issued, and no more than is scheduled.
fn money(model: &Model) {
    let own: u64 = model.neurons().map(|(_, neuron)| neuron.stake).sum();
    let stake = u128::from(own) + u128::from(model.delegated());
    let mut owned = model.free.clone();
    owned.insert(MarketPallet::stake_account(), stake);
    owned.retain(|_, units| *units > 0);
    let mut found = BTreeMap::new();
    let mut kept_alive = Vec::new();
    for (who, account) in frame_system::Account::<Test>::iter() {
        assert_eq!(account.data.reserved + account.data.frozen, 0);
        assert!(account.sufficients <= 1, "{who} has but one slot");
        if account.sufficients > 0 {
            kept_alive.push(who);
        }
        if account.data.free > 0 {
            found.insert(who, account.data.free);
        }
    }
    assert_eq!(found, owned);
    assert_eq!(Balances::total_issuance(), owned.values().sum::<u128>());

    // A hotkey's slot keeps its account alive, and nothing else of this pallet's does.
    let mut hotkeys: Vec<_> = model.neurons().map(|(_, neuron)| neuron.hotkey).collect();
    hotkeys.sort_unstable();
    kept_alive.sort_unstable();
    assert_eq!(kept_alive, hotkeys);

    assert_eq!(TotalMinted::<Test>::get(), model.minted);
    let schedule = MarketPallet::schedule(System::block_number());
    assert!(u128::from(model.minted) <= schedule);
}

/// The rules and the share of the emission that hold, and those that will.
fn rules(model: &Model) {
    let market = Markets::<Test>::get(TEXT).expect("the market exists");
    assert_eq!(market.parameters, model.rules);
    assert_eq!(market.emission_share, Share(model.share));
    let pending = PendingRules::<Test>::get(TEXT);
    let pending = pending.map(|rules| (rules.emission_share.0, rules.parameters));
    assert_eq!(pending, model.pending);
    let kept = EmissionRemainders::<Test>::get(TEXT);
    assert_eq!(u128::from(kept), model.kept);
    let others = (1..=model.others.len() as u16).map(Markets::<Test>::get);
    let others = others.map(|market| market.map(|market| market.emission_share.0));
    let expected = model.others.iter().map(|share| Some(*share));
    assert!(others.eq(expected));
}

/// What others put behind the neurons, on what terms, and who holds it.
fn delegation(model: &Model) {
    let found = Pools::<Test>::get(TEXT).into_iter();
    let found: Vec<_> = found
        .map(|(uid, pool)| {
            let (take, raise) = (pool.take.0, pool.raise);
            let raise = raise.map(|raise| (raise.take.0, raise.from));
            let (id, holds) = (pool.id, holdings(pool.holdings));
            (
                uid,
                Pool {
                    id,
                    holds,
                    take,
                    raise,
                },
            )
        })
        .collect();
    let expected = model.neurons();
    let expected: Vec<_> = expected
        .filter_map(|(uid, neuron)| Some((uid, neuron.pool.clone()?)))
        .collect();
    assert_eq!(found, expected);
    let closed = pallet::PoolPlaces::<Test>::iter();
    let closed: BTreeMap<_, _> = closed
        .filter_map(|(id, place)| match place {
            PoolPlace::Closed(kept) => Some((id, holdings(kept))),
            PoolPlace::Slot { .. } => None,
        })
        .collect();
    assert_eq!(closed, model.closed);
    let held = Delegations::<Test>::iter();
    let held: BTreeMap<_, _> = held
        .map(|(who, pool, shares)| ((who, pool), shares))
        .collect();
    assert_eq!(held, model.shares);
    assert_eq!(PoolCount::<Test>::get(), model.pools);
}

fn holdings(kept: Holdings) -> mechanism::Pool {
    mechanism::Pool {
        value: kept.value,
        shares: kept.shares,
    }
}

/// What clients are shown.
fn metagraph(model: &Model) {
    let block = System::block_number();
    let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
    let last = &model.last;
    assert_eq!(
        (
            shown.epoch,
            shown.block,
            shown.minted,
            shown.in_consensus,
            shown.loss
        ),
        (
            last.epoch,
            last.finished,
            last.minted,
            last.in_consensus,
            SignedShare(last.loss)
        )
    );
    assert_eq!(Epochs::<Test>::get(TEXT).began, last.began);
    assert_eq!(shown.registration_cost, model.price(block));
    let tempo = model.rules.tempo;
    assert!(shown.next_epoch_block > block && shown.next_epoch_block <= block + tempo);
    assert_eq!(shown.next_epoch_block % tempo, 0);

    let expected: Vec<_> = model
        .neurons()
        .map(|(uid, neuron)| {
            let outcome = last.neurons.get(usize::from(uid));
            as_shown(uid, neuron, outcome.copied().unwrap_or_default())
        })
        .collect();
    assert_eq!(shown.neurons, expected);
}

fn as_shown(uid: Uid, neuron: &Neuron, outcome: mechanism::Neuron) -> Shown<AccountId> {
    let endpoint = neuron.endpoint.as_ref();
    let text = |address: &[u8]| String::from_utf8(address.to_vec()).expect("it is text");
    Shown {
        uid,
        hotkey: neuron.hotkey,
        coldkey: neuron.coldkey,
        endpoint: endpoint.map(|(address, ..)| text(address)),
        certificate: endpoint.and_then(|(_, certificate, _)| *certificate),
        stake: neuron.whole_stake(),
        rank: Share(outcome.rank),
        trust: Share(outcome.trust),
        consensus: Share(outcome.consensus),
        incentive: Share(outcome.incentive),
        dividend: Share(outcome.dividend),
        pay: outcome.payout,
        last_update: neuron.last_update,
        registered_at: neuron.since.0,
    }
}

/// What is kept by slot and not shown: the same for those that are taken, nothing for others.
fn slots(model: &Model) {
    let found = Slots::<Test>::get(TEXT);
    let since = |slot: &Option<types::Slot>| slot.map(|slot| slot.registered_at).map(pair);
    let expected = |slot: &Option<Neuron>| slot.as_ref().map(|neuron| neuron.since);
    assert_eq!(
        found.iter().map(since).collect::<Vec<_>>(),
        model.slots.iter().map(expected).collect::<Vec<_>>()
    );
    // Of a free slot nothing is shown, neither now nor when it is taken again.
    let outcomes = Outcomes::<Test>::get(TEXT);
    for (slot, outcome) in found.iter().zip(&outcomes) {
        assert!(slot.is_some() || *outcome == Default::default());
    }
    for (uid, neuron) in model.neurons() {
        let waiting = Commitments::<Test>::get(TEXT, uid);
        let waiting = waiting
            .iter()
            .map(|one| (one.epoch, pair(one.made_at), one.hash));
        let expected = neuron.promises.iter();
        let expected = expected.map(|one| (one.epoch, one.made_at, one.hash));
        assert!(waiting.eq(expected), "promises of {uid}");
        assert_eq!(Uids::<Test>::get(TEXT, neuron.hotkey), Some(uid));
    }
}

/// Weights and bonds, bit by bit.
fn graph(model: &Model) {
    let slots = model.slots.len();
    let mut rows = vec![Default::default(); slots];
    for (uid, row) in Rows::<Test>::iter_prefix(TEXT) {
        rows[usize::from(uid)] = (pair(row.set_at), row.edges());
    }
    let expected = model.graph.rows.iter();
    let expected: Vec<_> = expected
        .map(|row| (moment(row.set_at), row.edges.clone()))
        .collect();
    assert_eq!(rows, expected);

    let mut columns: Vec<mechanism::Column> = Vec::new();
    columns.extend(
        Columns::<Test>::get(TEXT)
            .into_iter()
            .map(mechanism::Column::from),
    );
    columns.resize_with(slots, Default::default);
    assert_eq!(columns, model.graph.columns);
}

fn pair(moment: types::Moment) -> super::Moment {
    (moment.block, moment.call)
}
