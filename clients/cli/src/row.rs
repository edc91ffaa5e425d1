//! One line of a market's table: a neuron, with the name it goes by here.

use std::collections::{BTreeMap, HashMap};

use noesis_chain::{Hotkey, Metagraph, Neuron, Pool, Uid};
use serde::Serialize;

use crate::{stake::delegated, words};

/// What a neuron does in the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves answers.
    Miner,
    /// Sets weights.
    Validator,
}

/// Names and roles of neurons that are known to whoever looks.
pub type Names = HashMap<Hotkey, (String, Role)>;

/// The last answer of each neuron, in words.
pub type Answers = HashMap<Uid, String>;

/// What the table shows of a neuron and what the report writes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its slot.
    pub uid: Uid,
    /// The name it goes by here, or its hotkey shortened.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its stake in units.
    pub stake: u64,
    /// What of that others put there, where it was asked for; the report is of networks in which nobody does.
    #[serde(skip)]
    pub delegated: u64,
    /// The paper's R.
    pub rank: f64,
    /// The paper's T.
    pub trust: f64,
    /// The paper's C.
    pub consensus: f64,
    /// The paper's I.
    pub incentive: f64,
    /// The paper's D.
    pub dividend: f64,
    /// Units paid by the last finished epoch.
    pub pay: u64,
    /// What it last answered, where a validator here asked it.
    #[serde(rename = "last_answer")]
    pub answer: Option<String>,
}

/// The rows of a snapshot, in order of uid.
pub fn rows(metagraph: &Metagraph, names: &Names, answers: &Answers) -> Vec<Row> {
    metagraph
        .neurons
        .iter()
        .map(|neuron| {
            let (name, role) = names
                .get(&neuron.hotkey.0)
                .cloned()
                .unwrap_or_else(|| (words::short(neuron.hotkey), guess_role(neuron)));
            Row {
                uid: neuron.uid,
                name,
                role,
                stake: neuron.stake,
                delegated: 0,
                rank: neuron.rank.to_f64(),
                trust: neuron.trust.to_f64(),
                consensus: neuron.consensus.to_f64(),
                incentive: neuron.incentive.to_f64(),
                dividend: neuron.dividend.to_f64(),
                pay: neuron.pay,
                answer: answers.get(&neuron.uid).cloned(),
            }
        })
        .collect()
}

/// The rows, with what others put behind their neurons.
pub fn with_pools(mut rows: Vec<Row>, pools: &BTreeMap<Uid, Pool>) -> Vec<Row> {
    for row in &mut rows {
        row.delegated = delegated(pools, row.uid);
    }
    rows
}

/// Whoever set weights validates; everybody else serves.
fn guess_role(neuron: &Neuron) -> Role {
    if neuron.last_update.is_some() {
        Role::Validator
    } else {
        Role::Miner
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use noesis_chain::{AccountId, Holdings, MarketRules, Share, SignedShare, NOE};

    /// A share of so many hundredths.
    fn percent(hundredths: u64) -> Share {
        Share(hundredths * 10_000_000_000_000_000)
    }

    /// A market of two neurons, a validator in slot 0 and a miner in slot 1, after `epoch` epochs.
    pub fn market(epoch: u64, minted: u64) -> Metagraph {
        let neuron = |uid: Uid, stake: u64, incentive: u64, dividend: u64| Neuron {
            uid,
            hotkey: AccountId([uid as u8; 32]),
            coldkey: AccountId([100 + uid as u8; 32]),
            endpoint: (uid == 1).then(|| "127.0.0.1:9911".into()),
            stake,
            rank: percent(incentive),
            trust: percent(incentive),
            consensus: percent(incentive),
            incentive: percent(incentive),
            dividend: percent(dividend),
            pay: minted / 2,
            last_update: (uid == 0).then_some(3),
            registered_at: 2,
            ..Neuron::default()
        };
        Metagraph {
            rules: MarketRules {
                tempo: 10,
                activity_cutoff: 100,
                ..MarketRules::default()
            },
            epoch,
            begun: epoch,
            block: epoch as u32 * 10,
            next_epoch_block: epoch as u32 * 10 + 10,
            loss: SignedShare(-250_000_000_000_000_000),
            in_consensus: minted > 0,
            minted,
            registration_cost: NOE,
            neurons: vec![neuron(0, 1000 * NOE, 0, 100), neuron(1, 0, 75, 0)],
            ..Metagraph::default()
        }
    }

    /// A pool in which others put `value` behind a neuron.
    pub fn pool(value: u64) -> Pool {
        let holdings = Holdings { value, shares: 1 };
        Pool {
            id: 1,
            holdings,
            take: 0,
            raise: None,
        }
    }

    #[test]
    fn known_neurons_go_by_their_names_and_others_by_their_keys() {
        let names = Names::from([([1; 32], ("trained".into(), Role::Miner))]);
        let answers = Answers::from([(1, "ok 12 ms".into())]);
        let rows = rows(&market(3, 10 * NOE), &names, &answers);
        assert_eq!(rows[0].name, words::short(AccountId([0; 32])));
        assert_eq!(rows[0].role, Role::Validator);
        assert_eq!(rows[1].name, "trained");
        assert_eq!(rows[1].answer.as_deref(), Some("ok 12 ms"));
        assert_eq!(rows[1].incentive, 0.75);
        assert_eq!(rows[1].pay, 5 * NOE);
    }
}
