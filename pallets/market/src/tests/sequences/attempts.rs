//! What an attempt at a call comes to when it is made: whose neuron it is about, who signs, how much stake.

use super::*;
use crate::{types::Market, MAX_TEMPO};
use market_primitives::{Modality, Share};

impl World<'_> {
    /// Who signs what, where an attempt is made.
    pub fn call(&mut self, attempt: &Attempt) -> (AccountId, Call<Test>) {
        let Attempt {
            act,
            neuron,
            signer,
            market,
        } = attempt;
        let market = *market;
        let (uid, hotkey, coldkey, stake) = match self.model.neurons().count() {
            0 => (0, 101, 1, 0),
            count => {
                let mut neurons = self.model.neurons();
                let (uid, chosen) = neurons.nth(neuron % count).expect("there are as many");
                (uid, chosen.hotkey, chosen.coldkey, chosen.stake)
            }
        };
        let free = self.model.free.get(&coldkey).copied().unwrap_or(0);
        let (may, call) = match act.clone() {
            Act::Register {
                hotkey,
                most: max_cost,
            } => {
                // Coldkeys have several neurons.
                let coldkey = 1 + *neuron as AccountId % 8;
                (
                    coldkey,
                    Call::register {
                        market,
                        hotkey,
                        max_cost,
                    },
                )
            }
            Act::Deregister => (coldkey, Call::deregister { market, hotkey }),
            Act::SwapHotkey(new_hotkey) => (
                coldkey,
                Call::swap_hotkey {
                    market,
                    hotkey,
                    new_hotkey,
                },
            ),
            Act::AddStake(amount) => {
                let amount = amount.of(free);
                (
                    coldkey,
                    Call::add_stake {
                        market,
                        hotkey,
                        amount,
                    },
                )
            }
            Act::RemoveStake(amount) => {
                let amount = amount.of(stake.into());
                (
                    coldkey,
                    Call::remove_stake {
                        market,
                        hotkey,
                        amount,
                    },
                )
            }
            Act::Serve(endpoint) => {
                let certificate = (neuron % 2 == 0).then_some([7; 32]);
                let endpoint = endpoint.as_bytes().to_vec();
                (
                    hotkey,
                    Call::serve {
                        market,
                        endpoint,
                        certificate,
                    },
                )
            }
            Act::Vote {
                row,
                salt,
                as_wanted,
            } => {
                let weights = self.ballot(uid, row);
                let hidden = self.model.rules.reveal_period > 0;
                if hidden != as_wanted {
                    (hotkey, Call::set_weights { market, weights })
                } else {
                    let salt = [salt; 32];
                    let hash = promise_hash(uid, &weights, &salt);
                    self.secrets.insert(hash, (weights, salt));
                    (hotkey, Call::commit_weights { market, hash })
                }
            }
            Act::Reveal { which, due } => self.reveal(market, hotkey, which, due),
            Act::Delegate(delegator, amount) => {
                let free = self.model.free.get(&delegator).copied().unwrap_or(0);
                let amount = amount.of(free);
                (
                    delegator,
                    Call::delegate {
                        market,
                        hotkey,
                        amount,
                    },
                )
            }
            Act::Undelegate(which, amount) => {
                let count = self.model.shares.len();
                let chosen = self.model.shares.iter().nth(which % count.max(1));
                let (delegator, pool, held) =
                    chosen.map_or((1, 1, 0), |((who, pool), held)| (*who, *pool, *held));
                let shares = u64::try_from(amount.of(held.into())).unwrap_or(u64::MAX);
                (delegator, Call::undelegate { pool, shares })
            }
            Act::SetTake(take) => (
                coldkey,
                Call::set_take {
                    market,
                    hotkey,
                    take: Share(take),
                },
            ),
            Act::CreateMarket(share) => {
                let market = Market {
                    modality: Modality::Image,
                    emission_share: Share(share),
                    // Nothing ever happens in it.
                    parameters: Parameters::with_tempo(MAX_TEMPO),
                };
                return (ROOT, Call::create_market { market });
            }
            Act::SetParameters(parameters, share) => {
                let call = Call::set_parameters {
                    market,
                    emission_share: Share(share),
                    parameters: *parameters,
                };
                return (ROOT, call);
            }
        };
        (signer.unwrap_or(may), call)
    }

    /// A row as somebody means it.
    fn ballot(&self, own: Uid, row: Row) -> Ballot {
        let counts = |to: Uid| self.model.rules.self_weight || to != own;
        let uids = || self.model.neurons().map(|(uid, _)| uid);
        match row {
            Row::Even => uids().filter(|to| counts(*to)).map(|to| (to, 1)).collect(),
            Row::Tidy(mut edges) => {
                edges.sort_unstable();
                edges.dedup_by_key(|(to, _)| *to);
                edges.retain(|(to, _)| counts(*to) && uids().any(|uid| uid == *to));
                edges
            }
            Row::Untidy(edges) => edges,
        }
    }

    /// Somebody shows the row that it promised, if possible one that is due; where nobody promised any,
    /// `hotkey` shows one all the same.
    fn reveal(
        &self,
        market: u16,
        hotkey: AccountId,
        which: usize,
        due: bool,
    ) -> (AccountId, Call<Test>) {
        let epoch = self.model.epochs_begun();
        let period = u64::from(self.model.rules.reveal_period);
        let promises = self.model.neurons().flat_map(|(_, neuron)| {
            let promises = neuron.promises.iter();
            promises.map(|promise| (neuron.hotkey, promise.epoch + period, promise.hash))
        });
        let mut promises: Vec<_> = promises.collect();
        if due && promises.iter().any(|(_, when, _)| *when == epoch) {
            promises.retain(|(_, when, _)| *when == epoch);
        }
        let chosen = promises.get(which % promises.len().max(1));
        let (signer, (weights, salt)) = match chosen {
            Some((promiser, _, hash)) => (*promiser, self.secrets[hash].clone()),
            None => (hotkey, (vec![(0, 1), (1, 1)], [9; 32])),
        };
        let call = Call::reveal_weights {
            market,
            weights,
            salt,
        };
        (signer, call)
    }
}

impl Amount {
    fn of(self, whole: u128) -> u128 {
        match self {
            Self::Quarters(quarters) => whole * u128::from(quarters) / 4,
            Self::Units(units) => units,
        }
    }
}
