//! Random markets, and random steps in them. A step says as little as it can of what is only known when
//! it is taken (whose neuron, how much stake), so that most of them succeed.

use super::*;
use market_primitives::Share;
use proptest::{collection::vec, prelude::*, sample::select};

/// One of the things that happen on a chain.
#[derive(Clone, Debug)]
pub enum Step {
    Blocks(u32),
    Call(Attempt),
}

/// Somebody's attempt at a call.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub act: Act,
    /// Whose neuron it is about: the so-many-th, round and round.
    pub neuron: usize,
    /// Who signs, if not the one who may.
    pub signer: Option<AccountId>,
    pub market: u16,
}

/// What somebody wants to do.
#[derive(Clone, Debug)]
pub enum Act {
    Register {
        hotkey: AccountId,
        most: u128,
    },
    Deregister,
    SwapHotkey(AccountId),
    Serve(&'static str),
    /// In the clear or as a promise, whichever the market wants; or the other.
    Vote {
        row: Row,
        salt: u8,
        as_wanted: bool,
    },
    /// To show a promised row, if possible one that is due.
    Reveal {
        which: usize,
        due: bool,
    },
    AddStake(Amount),
    RemoveStake(Amount),
    /// By somebody who may have a neuron of its own.
    Delegate(AccountId, Amount),
    /// Of the shares that somebody holds, the so-many-th position.
    Undelegate(usize, Amount),
    SetTake(u64),
    /// By governance: a market in which nothing happens, with this share of the emission.
    CreateMarket(u64),
    /// By governance.
    SetParameters(Box<Parameters>, u64),
}

/// A row of weights.
#[derive(Clone, Debug)]
pub enum Row {
    /// The same for everybody.
    Even,
    /// Edges to those who are there, in order.
    Tidy(Ballot),
    Untidy(Ballot),
}

/// An amount of stake.
#[derive(Clone, Debug)]
pub enum Amount {
    /// Of all that there is.
    Quarters(u64),
    Units(u128),
}

/// Pieces of an epoch that are more than any has.
pub const WHOLE: u64 = 1_000;

/// A sequence: a market, how many pieces of an epoch a block has room for, in which block it begins, and
/// a hundred things that happen.
pub fn sequence() -> impl Strategy<Value = (Parameters, u64, u32, Vec<Step>)> {
    prop_oneof![2 => sequence_of(0), 1 => sequence_of(1), 1 => sequence_of(2)]
}

fn sequence_of(reveal_period: u32) -> impl Strategy<Value = (Parameters, u64, u32, Vec<Step>)> {
    let rules = rules().prop_map(move |rules| hiding(rules, reveal_period));
    let pieces = prop_oneof![1 => Just(WHOLE), 2 => 1..=12_u64];
    // Some begin shortly before a halving.
    let start = select(vec![1, 1, 980]);
    // A step that may be left out: a failing sequence shrinks to the few that matter.
    let step = proptest::option::weighted(0.999_999, step(reveal_period > 0));
    let steps = vec(step, 100).prop_map(|steps| steps.into_iter().flatten().collect());
    (rules, pieces, start, steps)
}

/// The same rules, but for the epochs that weights are hidden.
fn hiding(rules: Parameters, reveal_period: u32) -> Parameters {
    Parameters {
        reveal_period,
        activity_cutoff: rules.activity_cutoff.max((reveal_period + 1) * rules.tempo),
        ..rules
    }
}

/// Rules that governance comes to think of: mostly such that can be.
fn new_rules() -> impl Strategy<Value = Parameters> {
    let more = (0..=2_u32, 6..=9_u16, select(vec![NOE, NOE, 3 * NOE]));
    let wrong = prop::bool::weighted(0.1);
    (rules(), more, wrong).prop_map(|(rules, (period, capacity, cost), wrong)| Parameters {
        capacity,
        registration_cost: cost,
        tempo: if wrong { 0 } else { rules.tempo },
        ..hiding(rules, period)
    })
}

/// A share of the emission, of which some fit beside others.
fn emission_share() -> impl Strategy<Value = u64> {
    let one = Share::ONE.0;
    select(vec![0, 1, one / 3, one / 7 * 5, one - 1, one, one + 1])
}

fn rules() -> impl Strategy<Value = Parameters> {
    let sizes = (4_u16..=8, 4_u32..=12);
    let switches = (any::<bool>(), prop::bool::weighted(0.7));
    let times = (
        select(vec![0, 1, 20]),
        select(vec![2, 10]),
        select(vec![1, 2]),
    );
    let weights = (select(vec![1, 1, 1, 2]), select(vec![3, 3, 3, 2]));
    let alpha = select(vec![0, Share::ONE.0 / 10]);
    (sizes, switches, times, weights, alpha).prop_map(
        |(
            (capacity, tempo),
            (self_weight, gate),
            (immunity, cutoff, rate),
            (fewest, thirds),
            alpha,
        )| {
            Parameters {
                capacity,
                self_weight,
                consensus_gate: gate,
                immunity: immunity * tempo,
                activity_cutoff: cutoff * tempo,
                weights_rate_limit: tempo / 2 / rate,
                min_weights: fewest,
                max_weight: Share(Share::ONE.0 / 3 * thirds + 1),
                alpha: Share(alpha),
                ..Parameters::with_tempo(tempo)
            }
        },
    )
}

fn step(is_hidden: bool) -> impl Strategy<Value = Step> {
    let signer = proptest::option::weighted(0.06, 1..24_u64);
    let market = prop_oneof![60 => Just(TEXT), 1 => Just(7)];
    let attempt = (act(is_hidden), any::<prop::sample::Index>(), signer, market);
    prop_oneof![
        1 => (1_u32..=15).prop_map(Step::Blocks),
        1 => (1_u32..=3).prop_map(Step::Blocks),
        8 => attempt.prop_map(|(act, neuron, signer, market)| {
            let neuron = neuron.index(1_000);
            Step::Call(Attempt { act, neuron, signer, market })
        }),
    ]
}

/// Keys of which some are hotkeys, some coldkeys, and some both.
fn hotkey() -> impl Strategy<Value = AccountId> {
    prop_oneof![4 => 101..112_u64, 1 => 1..4_u64]
}

fn act(is_hidden: bool) -> impl Strategy<Value = Act> {
    let most = prop_oneof![6 => Just(u128::MAX), 1 => 0..2 * u128::from(NOE)];
    let endpoint = select(vec!["", "localhost", "host:0", "host:65536", "a b:1", ":1"]);
    let endpoint = prop_oneof![4 => select(ENDPOINTS.to_vec()), 1 => endpoint];
    prop_oneof![
        4 => (hotkey(), most).prop_map(|(hotkey, most)| Act::Register { hotkey, most }),
        1 => Just(Act::Deregister),
        1 => hotkey().prop_map(Act::SwapHotkey),
        1 => endpoint.prop_map(Act::Serve),
        8 => (row(), 0..2_u8, prop::bool::weighted(0.95))
            .prop_map(|(row, salt, as_wanted)| Act::Vote { row, salt, as_wanted }),
        if is_hidden { 6 } else { 1 } => (0..100_usize, prop::bool::weighted(0.9))
            .prop_map(|(which, due)| Act::Reveal { which, due }),
        3 => amount().prop_map(Act::AddStake),
        2 => amount().prop_map(Act::RemoveStake),
        4 => (1..14_u64, amount()).prop_map(|(who, amount)| Act::Delegate(who, amount)),
        4 => (0..100_usize, amount()).prop_map(|(which, amount)| Act::Undelegate(which, amount)),
        1 => take().prop_map(Act::SetTake),
        1 => (new_rules(), emission_share())
            .prop_map(|(rules, share)| Act::SetParameters(Box::new(rules), share)),
        1 => emission_share().prop_map(Act::CreateMarket),
    ]
}

/// A take, of which all but the last are allowed.
fn take() -> impl Strategy<Value = u64> {
    let percent = Share::ONE.0 / 100;
    select(vec![
        0,
        1,
        percent,
        9 * percent,
        18 * percent,
        18 * percent + 1,
    ])
}

fn row() -> impl Strategy<Value = Row> {
    let weight = prop_oneof![3 => any::<u16>(), 1 => 0..3_u16];
    let edges = vec((0..8_u16, weight), 1..8);
    let wild = vec((0..9_u16, any::<u16>()), 0..6);
    prop_oneof![
        2 => Just(Row::Even),
        8 => edges.prop_map(Row::Tidy),
        1 => wild.prop_map(Row::Untidy),
    ]
}

fn amount() -> impl Strategy<Value = Amount> {
    let extreme = select(vec![
        0,
        1,
        u64::MAX.into(),
        u128::from(u64::MAX) + 1,
        u128::MAX,
    ]);
    prop_oneof![
        8 => (1..=3_u64).prop_map(Amount::Quarters),
        1 => (0..=5_u64).prop_map(Amount::Quarters),
        3 => (0..100 * u128::from(NOE)).prop_map(Amount::Units),
        1 => extreme.prop_map(Amount::Units),
    ]
}

/// What a sequence begins with: four neurons, of which two hold stake and vote.
pub fn opening() -> Vec<Step> {
    let attempt = |act, neuron, signer| {
        let market = TEXT;
        Step::Call(Attempt {
            act,
            neuron,
            signer,
            market,
        })
    };
    let register = |coldkey| {
        let (hotkey, most) = (coldkey + 100, u128::MAX);
        attempt(Act::Register { hotkey, most }, 0, Some(coldkey))
    };
    let stake = |neuron| attempt(Act::AddStake(Amount::Quarters(1)), neuron, None);
    let vote = |neuron| {
        let (row, salt, as_wanted) = (Row::Even, 0, true);
        attempt(
            Act::Vote {
                row,
                salt,
                as_wanted,
            },
            neuron,
            None,
        )
    };
    let registrations = (1..=4).map(register);
    registrations
        .chain((0..2).map(stake))
        .chain((0..2).map(vote))
        .collect()
}
