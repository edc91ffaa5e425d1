//! The market as the specification has it, in plain Rust: what random sequences hold the chain against.
//!
//! It shares no code with the pallet. It reads what is data there (calls, errors, parameters), and for
//! the arithmetic of an epoch it asks [`market_mechanism`], which has an oracle of its own. It may be
//! simple where the pallet may not:
//!
//! * An epoch happens at once, in the block in which it begins, whatever is called until it is
//!   published. What the pallet does over many blocks must come to the same.
//! * All that belongs to a neuron lies in one place and goes with it.
//! * A call that fails is made on a copy.

mod calls;

pub use calls::{promise_hash, ENDPOINTS};

use crate::{mock::*, Call, Error, Parameters};
use market_mechanism::{self as mechanism, Graph, ONE};
use market_primitives::{Uid, NOE};
use std::collections::BTreeMap;

/// A moment: a block, and which call of it, from 1.
pub type Moment = (u32, u32);

/// A row of weights as it is handed in.
pub type Ballot = Vec<(Uid, u16)>;

/// Calls that a block of these tests never has.
const CALLS: u64 = 1_000;

/// A moment as a number, in the order of time. Not that which the pallet chose.
fn time((block, call): Moment) -> u64 {
    u64::from(block) * CALLS + u64::from(call)
}

/// The moment that a number stands for.
pub fn moment(time: u64) -> Moment {
    ((time / CALLS) as u32, (time % CALLS) as u32)
}

/// A neuron and all that is its own but for weights and bonds.
#[derive(Clone, Debug)]
pub struct Neuron {
    pub hotkey: AccountId,
    pub coldkey: AccountId,
    /// The owner's.
    pub stake: u64,
    pub pool: Option<Pool>,
    pub since: Moment,
    pub last_update: Option<u32>,
    /// Where it serves, and the block in which it said so.
    pub endpoint: Option<(Vec<u8>, Option<[u8; 32]>, u32)>,
    pub promises: Vec<Promise>,
}

impl Neuron {
    /// What counts as its stake: the owner's and what others put there.
    pub fn whole_stake(&self) -> u64 {
        self.stake + self.pool.as_ref().map_or(0, |pool| pool.holds.value)
    }
}

/// What others put behind a neuron. Who holds its shares is [`Model::shares`].
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub id: u64,
    pub holds: mechanism::Pool,
    pub take: u64,
    /// A higher take, and the block from which on it holds.
    pub raise: Option<(u64, u32)>,
}

/// A row that is promised and not yet shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    pub epoch: u64,
    pub made_at: Moment,
    pub hash: [u8; 32],
}

/// The last epoch that was published.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    pub epoch: u64,
    pub began: u32,
    pub finished: u32,
    pub loss: i64,
    pub in_consensus: bool,
    pub minted: u64,
    /// By uid; nothing for who came or left since it began.
    pub neurons: Vec<mechanism::Neuron>,
}

/// An epoch that is computed and waits to be published.
#[derive(Clone, Debug)]
struct Settled {
    began: u32,
    outcome: mechanism::Outcome,
    /// Whose the slots were: since when, and who is paid if they leave.
    owners: Vec<Option<(Moment, AccountId)>>,
    /// What of the payouts is the delegators': the pool, and its units.
    others: Vec<Option<(u64, u64)>>,
}

/// A chain with one market.
#[derive(Clone, Debug)]
pub struct Model {
    pub rules: Parameters,
    /// Its share of the emission.
    pub share: u64,
    /// The share and the rules that its next epoch brings into force.
    pub pending: Option<(u64, Parameters)>,
    /// What is left of a unit of its emission, in parts of 10^-18.
    pub kept: u128,
    /// Shares of the markets that were created, in which nothing ever happens.
    pub others: Vec<u64>,
    pub free: BTreeMap<AccountId, u128>,
    /// Shares by their holders and pools.
    pub shares: BTreeMap<(AccountId, u64), u64>,
    /// Pools whose neurons left and of which there are shares.
    pub closed: BTreeMap<u64, mechanism::Pool>,
    /// Pools that there have been.
    pub pools: u64,
    pub slots: Vec<Option<Neuron>>,
    /// As the last epoch left it that has begun.
    pub graph: Graph,
    pub last: Published,
    /// What the last epoch that minted anything paid, by uid; nothing to who came since.
    pub pays: Vec<u64>,
    pub minted: u64,
    settled: Option<Settled>,
    /// What the last registration raised the price to, and when.
    price: (u64, u32),
}

impl Model {
    /// The chain at genesis.
    pub fn new(rules: Parameters) -> Self {
        Self {
            free: (1..=20).map(|who| (who, ENDOWMENT.into())).collect(),
            shares: BTreeMap::new(),
            closed: BTreeMap::new(),
            pools: 0,
            slots: Vec::new(),
            graph: Graph::new(0),
            last: Published::default(),
            pays: Vec::new(),
            minted: 0,
            settled: None,
            price: (rules.registration_cost, 0),
            share: ONE,
            pending: None,
            kept: 0,
            others: Vec::new(),
            rules,
        }
    }

    /// Taken slots with their neurons.
    pub fn neurons(&self) -> impl Iterator<Item = (Uid, &Neuron)> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(uid, slot)| Some((uid, slot.as_ref()?)))
    }

    /// Units in all pools.
    pub fn delegated(&self) -> u64 {
        let open = self
            .neurons()
            .filter_map(|(_, neuron)| neuron.pool.as_ref());
        let open = open.map(|pool| pool.holds.value);
        open.chain(self.closed.values().map(|pool| pool.value))
            .sum()
    }

    /// Whether an epoch has begun that is not published.
    pub fn is_running(&self) -> bool {
        self.settled.is_some()
    }

    /// Epochs begun so far.
    pub fn epochs_begun(&self) -> u64 {
        self.last.epoch + u64::from(self.is_running())
    }

    /// What a registration costs.
    pub fn price(&self, block: u32) -> u64 {
        let (cost, at) = self.price;
        let (age, tempo) = (block - at, self.rules.tempo);
        let halved = u128::from(cost) >> (age / tempo).min(64);
        // On the way to the next half.
        let fallen = halved * u128::from(age % tempo) / u128::from(2 * tempo);
        let cost = (halved - fallen) as u64;
        cost.max(self.rules.registration_cost_floor)
    }

    /// What is due at the start of a block, before anything is called in it.
    pub fn begin_block(&mut self, block: u32) {
        let since = self.last.began + 1;
        if !self.is_running() && (since..=block).any(|block| block % self.rules.tempo == 0) {
            self.settle(block);
        }
    }

    /// An epoch, on the state before the block.
    fn settle(&mut self, block: u32) {
        let slot = |neuron: &Neuron| mechanism::Slot {
            stake: neuron.whole_stake(),
            registered_at: time(neuron.since),
        };
        let slots: Vec<_> = self
            .slots
            .iter()
            .map(|slot_| slot_.as_ref().map(slot))
            .collect();
        let rules = &self.rules;
        let parameters = mechanism::Parameters {
            alpha: rules.alpha.0,
            // A row of this age in blocks counts, whichever call of its block it was.
            activity_cutoff: time((rules.activity_cutoff, 0)) + CALLS - 1,
            self_weight: rules.self_weight,
            consensus_gate: rules.consensus_gate,
            ..mechanism::Parameters::DEFAULT
        };
        let clock = mechanism::Clock {
            epoch: self.last.epoch + 1,
            now: time((block, 0)) - 1,
        };
        let market = mechanism::Market::new(parameters, &slots, clock);
        let reward = |block: u32| u128::from(NOE >> ((block - 1) / 1_000));
        let blocks = self.last.began + 1..=block;
        let parts = blocks.map(reward).sum::<u128>() * u128::from(self.share) + self.kept;
        let emission = (parts / u128::from(ONE)) as u64;
        self.kept = parts % u128::from(ONE);
        let outcome = mechanism::epoch(&market, &mut self.graph, emission);
        check_shares(&slots, &outcome, emission);
        let owner = |neuron: &Neuron| (neuron.since, neuron.coldkey);
        let earned = |(neuron, paid): (&Option<Neuron>, &mechanism::Neuron)| {
            let neuron = neuron.as_ref()?;
            let pool = neuron.pool.as_ref().filter(|pool| pool.holds.shares > 0)?;
            let raise = pool.raise.filter(|(_, from)| *from <= block);
            let backing = mechanism::Backing {
                stake: neuron.whole_stake(),
                delegated: pool.holds.value,
                take: raise.map_or(pool.take, |(take, _)| take),
            };
            Some((pool.id, mechanism::earnings(&parameters, paid, &backing)))
        };
        let others = self
            .slots
            .iter()
            .zip(&outcome.neurons)
            .map(earned)
            .collect();
        self.settled = Some(Settled {
            began: block,
            outcome,
            others,
            owners: self
                .slots
                .iter()
                .map(|slot| slot.as_ref().map(owner))
                .collect(),
        });
        if let Some((share, rules)) = self.pending.take() {
            let cost = match rules.registration_cost == self.rules.registration_cost {
                true => self.price(block),
                false => rules.registration_cost,
            };
            self.price = (cost, block);
            self.share = share;
            self.rules = rules;
        }
    }

    /// Pays: into the slots, and to the coldkeys of those who left since the epoch began.
    pub fn publish(&mut self, block: u32) {
        let settled = self.settled.take().expect("an epoch was running");
        let Settled {
            began,
            outcome,
            owners,
            others,
        } = settled;
        let mut neurons = vec![mechanism::Neuron::default(); owners.len()];
        for (uid, (neuron, owner)) in outcome.neurons.iter().zip(owners).enumerate() {
            let Some((since, coldkey)) = owner else {
                continue;
            };
            let mut own = neuron.payout;
            if let Some((id, units)) = others[uid] {
                // Where it was, or where it is since its neuron left. If all have sold, it is nobody's.
                let open = self.slots.iter_mut().flatten();
                let mut open = open.filter_map(|neuron| neuron.pool.as_mut());
                let open = open.find(|pool| pool.id == id).map(|pool| &mut pool.holds);
                let pool = open.or_else(|| self.closed.get_mut(&id));
                if let Some(pool) = pool.filter(|pool| pool.shares > 0) {
                    pool.value += units;
                    own -= units;
                }
            }
            match &mut self.slots[uid] {
                Some(present) if present.since == since => {
                    present.stake += own;
                    neurons[uid] = *neuron;
                }
                _ => *self.free.entry(coldkey).or_default() += u128::from(own),
            }
        }
        self.minted += outcome.minted;
        if outcome.minted > 0 {
            self.pays = neurons.iter().map(|neuron| neuron.payout).collect();
        }
        self.last = Published {
            epoch: self.last.epoch + 1,
            began,
            finished: block,
            loss: outcome.loss,
            in_consensus: outcome.in_consensus,
            minted: outcome.minted,
            neurons,
        };
    }
}

/// What must hold of the shares of any epoch.
fn check_shares(slots: &[Option<mechanism::Slot>], outcome: &mechanism::Outcome, emission: u64) {
    let whole_or_nothing = |share: fn(&mechanism::Neuron) -> u64| {
        let sum: u64 = outcome.neurons.iter().map(share).sum();
        assert!(sum == ONE || sum == 0, "shares sum to {sum}");
    };
    whole_or_nothing(|neuron| neuron.rank);
    whole_or_nothing(|neuron| neuron.incentive);
    whole_or_nothing(|neuron| neuron.dividend);
    for (slot, neuron) in slots.iter().zip(&outcome.neurons) {
        let consensus = neuron.consensus;
        assert!(
            slot.is_none() || (consensus > 0 && consensus < ONE),
            "consensus {consensus}"
        );
    }
    let paid: u64 = outcome.neurons.iter().map(|neuron| neuron.payout).sum();
    assert_eq!(paid, outcome.minted);
    assert!(
        paid == emission || paid == 0,
        "{paid} of {emission} units were paid"
    );
}
