//! What each call does to the model, and why it may be refused.

use super::*;

type Outcome = Result<(), Error<Test>>;

/// Endpoints that are as they should be.
pub const ENDPOINTS: [&str; 3] = ["localhost:1", "10.0.0.1:65535", "[::1]:80"];

/// The least that anybody may delegate.
const LEAST: u128 = NOE as u128 / 10;

impl Model {
    /// A call: what comes of it, or the reason why nothing does.
    pub fn call(&mut self, signer: AccountId, call: &Call<Test>, now: Moment) -> Outcome {
        let mut after = self.clone();
        after.perform(signer, call, now)?;
        *self = after;
        Ok(())
    }

    fn perform(&mut self, signer: AccountId, call: &Call<Test>, now: Moment) -> Outcome {
        let known = |market: u16| ensure(market == TEXT, Error::UnknownMarket);
        match call.clone() {
            Call::register {
                market,
                hotkey,
                max_cost,
            } => {
                known(market)?;
                self.register(signer, hotkey, max_cost, now)
            }
            Call::deregister { market, hotkey } => {
                known(market)?;
                let uid = self.owned(signer, hotkey)?;
                self.vacate(uid);
                Ok(())
            }
            Call::swap_hotkey {
                market,
                hotkey,
                new_hotkey,
            } => {
                known(market)?;
                let uid = self.owned(signer, hotkey)?;
                ensure(self.find(new_hotkey).is_err(), Error::AlreadyRegistered)?;
                self.neuron(uid).hotkey = new_hotkey;
                Ok(())
            }
            Call::add_stake {
                market,
                hotkey,
                amount,
            } => {
                known(market)?;
                let uid = self.owned(signer, hotkey)?;
                ensure(amount > 0, Error::AmountZero)?;
                self.spend(signer, amount)?;
                self.neuron(uid).stake += amount as u64;
                Ok(())
            }
            Call::remove_stake {
                market,
                hotkey,
                amount,
            } => {
                known(market)?;
                let uid = self.owned(signer, hotkey)?;
                ensure(amount > 0, Error::AmountZero)?;
                let stake = &mut self.neuron(uid).stake;
                ensure(amount <= u128::from(*stake), Error::InsufficientStake)?;
                *stake -= amount as u64;
                *self.free.entry(signer).or_default() += amount;
                Ok(())
            }
            Call::serve {
                market,
                endpoint,
                certificate,
            } => {
                known(market)?;
                let uid = self.find(signer)?;
                let good = ENDPOINTS.iter().any(|good| good.as_bytes() == endpoint);
                ensure(good, Error::EndpointInvalid)?;
                let last = self
                    .neuron(uid)
                    .endpoint
                    .as_ref()
                    .map(|(_, _, block)| *block);
                self.keep_rate(last, now, Error::ServeTooEarly)?;
                self.neuron(uid).endpoint = Some((endpoint, certificate, now.0));
                Ok(())
            }
            Call::set_weights { market, weights } => {
                known(market)?;
                let uid = self.find(signer)?;
                ensure(self.rules.reveal_period == 0, Error::CommitFirst)?;
                let last = self.neuron(uid).last_update;
                self.keep_rate(last, now, Error::WeightsTooEarly)?;
                self.check_ballot(uid, &weights)?;
                let is_taken = |uid: Uid| self.slots[usize::from(uid)].is_some();
                ensure(
                    weights.iter().all(|(to, _)| is_taken(*to)),
                    Error::UnknownUid,
                )?;
                self.vote(uid, now, &weights);
                Ok(())
            }
            Call::commit_weights { market, hash } => {
                known(market)?;
                self.promise(signer, hash, now)
            }
            Call::reveal_weights {
                market,
                weights,
                salt,
            } => {
                known(market)?;
                self.reveal(signer, &weights, &salt)
            }
            Call::delegate {
                market,
                hotkey,
                amount,
            } => {
                known(market)?;
                self.delegate(signer, hotkey, amount)
            }
            Call::undelegate { pool, shares } => self.undelegate(signer, pool, shares),
            Call::set_take {
                market,
                hotkey,
                take,
            } => {
                known(market)?;
                let uid = self.owned(signer, hotkey)?;
                ensure(take.0 <= ONE / 100 * 18, Error::TakeTooHigh)?;
                let pool = self.pool(uid);
                if let Some((announced, _)) = pool.raise.take_if(|(_, from)| *from <= now.0) {
                    pool.take = announced;
                }
                if take.0 > pool.take {
                    pool.raise = Some((take.0, now.0 + 25));
                } else {
                    (pool.take, pool.raise) = (take.0, None);
                }
                Ok(())
            }
            Call::create_market { market } => {
                ensure(self.others.len() < 3, Error::TooManyMarkets)?;
                let share = market.emission_share.0;
                self.leave_enough(self.claim(), share)?;
                self.others.push(share);
                Ok(())
            }
            Call::set_parameters {
                market,
                emission_share,
                parameters,
            } => {
                known(market)?;
                // Of the bounds, which have tests of their own, only these are ever exceeded here.
                ensure(parameters.tempo > 0, Error::TempoOutOfBounds)?;
                ensure(
                    parameters.capacity >= self.rules.capacity,
                    Error::CapacityOutOfBounds,
                )?;
                self.leave_enough(0, emission_share.0)?;
                self.pending = Some((emission_share.0, parameters));
                Ok(())
            }
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn delegate(&mut self, who: AccountId, hotkey: AccountId, amount: u128) -> Outcome {
        let uid = self.find(hotkey)?;
        ensure(!self.is_running(), Error::EpochRunning)?;
        ensure(amount >= LEAST, Error::DelegationTooSmall)?;
        let amount = u64::try_from(amount).map_err(|_| Error::InsufficientBalance)?;
        let pool = self.pool(uid);
        let (id, bought) = (pool.id, pool.holds.buy(amount));
        let bought = bought.ok_or(Error::DelegationTooSmall)?;
        *self.shares.entry((who, id)).or_default() += bought.shares;
        self.spend(who, bought.cost.into())
    }

    fn undelegate(&mut self, who: AccountId, id: u64, shares: u64) -> Outcome {
        ensure(shares > 0, Error::AmountZero)?;
        let held = self.shares.remove(&(who, id)).unwrap_or(0);
        ensure(shares <= held, Error::InsufficientShares)?;
        let open = self.slots.iter_mut().flatten();
        let mut open = open.filter_map(|neuron| neuron.pool.as_mut());
        let open = open.find(|pool| pool.id == id).map(|pool| &mut pool.holds);
        let pool = open.or_else(|| self.closed.get_mut(&id));
        let pool = pool.expect("there are shares of it");
        let units = pool.sell(shares).expect("somebody holds them");
        if shares < held {
            let left = pool.worth(held - shares);
            ensure(u128::from(left) >= LEAST, Error::DelegationTooSmall)?;
            self.shares.insert((who, id), held - shares);
        }
        self.closed.retain(|_, pool| pool.shares > 0);
        *self.free.entry(who).or_default() += u128::from(units);
        Ok(())
    }

    /// The pool of a neuron; a new one where it has none.
    fn pool(&mut self, uid: Uid) -> &mut Pool {
        let id = self.pools + 1;
        if self.neuron(uid).pool.is_none() {
            self.pools = id;
        }
        self.neuron(uid).pool.get_or_insert_with(|| Pool {
            id,
            holds: mechanism::Pool::default(),
            take: ONE / 100 * 18,
            raise: None,
        })
    }

    /// What the market may have of the emission, now or from its next epoch on.
    fn claim(&self) -> u64 {
        let pending = self.pending.as_ref().map_or(0, |(share, _)| *share);
        pending.max(self.share)
    }

    /// Whether `taken` and what the other markets have leave `share` of the emission.
    fn leave_enough(&self, taken: u64, share: u64) -> Outcome {
        let sum = |shares: u128, share: &u64| shares + u128::from(*share);
        let all = self.others.iter().chain([&taken, &share]).fold(0, sum);
        ensure(all <= u128::from(ONE), Error::EmissionShareOutOfBounds)
    }

    fn register(
        &mut self,
        coldkey: AccountId,
        hotkey: AccountId,
        most: u128,
        now: Moment,
    ) -> Outcome {
        ensure(self.find(hotkey).is_err(), Error::AlreadyRegistered)?;
        let free = self
            .slots
            .iter()
            .position(Option::is_none)
            .map(|free| free as Uid);
        let is_full = self.slots.len() == usize::from(self.rules.capacity);
        let leaves = match free {
            None if is_full => Some(self.weakest(now.0).ok_or(Error::MarketFull)?),
            _ => None,
        };
        let cost = self.price(now.0);
        ensure(u128::from(cost) <= most, Error::CostAboveMaximum)?;
        self.spend(coldkey, cost.into())?;
        if let Some(uid) = leaves {
            self.vacate(uid);
        }
        let uid = free.or(leaves).unwrap_or_else(|| {
            self.slots.push(None);
            self.graph.rows.push(Default::default());
            self.graph.columns.push(Default::default());
            self.slots.len() as Uid - 1
        });
        self.price = (cost * 126 / 100, now.0);
        self.slots[usize::from(uid)] = Some(Neuron {
            hotkey,
            coldkey,
            stake: 0,
            pool: None,
            since: now,
            last_update: None,
            endpoint: None,
            promises: Vec::new(),
        });
        Ok(())
    }

    /// Who gives way: the lowest pay when anybody was paid last, then the oldest, then the lowest uid.
    fn weakest(&self, block: u32) -> Option<Uid> {
        let pay = |uid: Uid| self.pays.get(usize::from(uid)).copied().unwrap_or(0);
        let old = self
            .neurons()
            .filter(|(_, one)| block - one.since.0 >= self.rules.immunity);
        old.map(|(uid, one)| (pay(uid), one.since, uid))
            .min()
            .map(|(_, _, uid)| uid)
    }

    fn vacate(&mut self, uid: Uid) {
        let index = usize::from(uid);
        let left = self.slots[index].take().expect("the slot is taken");
        *self.free.entry(left.coldkey).or_default() += u128::from(left.stake);
        if let Some(pool) = left.pool.filter(|pool| pool.holds.shares > 0) {
            self.closed.insert(pool.id, pool.holds);
        }
        self.graph.vacate(uid);
        if let Some(paid) = self.last.neurons.get_mut(index) {
            *paid = Default::default();
        }
        if let Some(pay) = self.pays.get_mut(index) {
            *pay = 0;
        }
    }

    fn promise(&mut self, hotkey: AccountId, hash: [u8; 32], now: Moment) -> Outcome {
        let uid = self.find(hotkey)?;
        let period = u64::from(self.rules.reveal_period);
        ensure(period > 0, Error::WeightsInTheClear)?;
        let last = self
            .neuron(uid)
            .promises
            .last()
            .map(|promise| promise.made_at.0)
            .max(self.neuron(uid).last_update);
        self.keep_rate(last, now, Error::WeightsTooEarly)?;
        let epoch = self.epochs_begun();
        let promises = &mut self.neuron(uid).promises;
        // One an epoch, and none whose time is over.
        promises.retain(|old| old.epoch < epoch && epoch <= old.epoch + period);
        promises.push(Promise {
            epoch,
            made_at: now,
            hash,
        });
        Ok(())
    }

    fn reveal(&mut self, hotkey: AccountId, weights: &Ballot, salt: &[u8; 32]) -> Outcome {
        let uid = self.find(hotkey)?;
        self.check_ballot(uid, weights)?;
        let hash = promise_hash(uid, weights, salt);
        let due = self
            .epochs_begun()
            .checked_sub(self.rules.reveal_period.into());
        let promises = &mut self.neuron(uid).promises;
        ensure(
            promises.iter().any(|one| one.hash == hash),
            Error::NothingCommitted,
        )?;
        let shown = promises
            .iter()
            .position(|one| one.hash == hash && Some(one.epoch) == due);
        let Some(shown) = shown else {
            let later = promises
                .iter()
                .any(|one| one.hash == hash && Some(one.epoch) > due);
            return Err(if later {
                Error::RevealTooEarly
            } else {
                Error::RevealTooLate
            });
        };
        let made_at = promises.remove(shown).made_at;
        self.vote(uid, made_at, weights);
        Ok(())
    }

    fn vote(&mut self, uid: Uid, set_at: Moment, weights: &[(Uid, u16)]) {
        self.graph.set_weights(uid, time(set_at), weights);
        self.neuron(uid).last_update = Some(set_at.0);
    }

    fn check_ballot(&self, uid: Uid, weights: &[(Uid, u16)]) -> Outcome {
        let slots = self.slots.len();
        ensure(weights.len() <= slots, Error::TooManyWeights)?;
        ensure(
            weights.is_sorted_by(|a, b| a.0 < b.0),
            Error::WeightsUnsorted,
        )?;
        ensure(
            weights.iter().all(|(to, _)| usize::from(*to) < slots),
            Error::UnknownUid,
        )?;
        let positive: Vec<_> = weights.iter().filter(|(_, weight)| *weight > 0).collect();
        let largest = positive.iter().map(|(_, weight)| *weight).max();
        let largest = u128::from(largest.ok_or(Error::AllWeightsZero)?);
        let own = positive.iter().any(|(to, _)| *to == uid);
        ensure(self.rules.self_weight || !own, Error::SelfWeight)?;
        ensure(
            positive.len() >= self.rules.min_weights.into(),
            Error::TooFewWeights,
        )?;
        let sum: u128 = positive.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let most = u128::from(self.rules.max_weight.0);
        ensure(
            largest * u128::from(ONE) <= most * sum,
            Error::WeightTooLarge,
        )
    }

    fn keep_rate(&self, last: Option<u32>, now: Moment, early: Error<Test>) -> Outcome {
        ensure(
            last.is_none_or(|last| now.0 - last >= self.rules.weights_rate_limit),
            early,
        )
    }

    /// Takes units from a coldkey, whose account lives on with one at least.
    fn spend(&mut self, coldkey: AccountId, amount: u128) -> Outcome {
        let free = self.free.entry(coldkey).or_default();
        ensure(amount < *free, Error::InsufficientBalance)?;
        *free -= amount;
        Ok(())
    }

    fn find(&self, hotkey: AccountId) -> Result<Uid, Error<Test>> {
        let mut slots = self.neurons().filter(|(_, neuron)| neuron.hotkey == hotkey);
        slots.next().map(|(uid, _)| uid).ok_or(Error::NotRegistered)
    }

    fn owned(&self, coldkey: AccountId, hotkey: AccountId) -> Result<Uid, Error<Test>> {
        let uid = self.find(hotkey)?;
        let owns = self
            .neurons()
            .any(|(slot, neuron)| slot == uid && neuron.coldkey == coldkey);
        ensure(owns, Error::NotOwner).map(|()| uid)
    }

    fn neuron(&mut self, uid: Uid) -> &mut Neuron {
        self.slots[usize::from(uid)]
            .as_mut()
            .expect("the slot is taken")
    }
}

fn ensure(holds: bool, error: Error<Test>) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(error)
    }
}

/// The BLAKE2b-256 hash of the SCALE encoding of market, uid, row and salt, byte by byte.
pub fn promise_hash(uid: Uid, weights: &[(Uid, u16)], salt: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [TEXT.to_le_bytes(), uid.to_le_bytes()].concat();
    bytes.push(4 * weights.len() as u8); // SCALE's length, of fewer than 64
    for (to, weight) in weights {
        bytes.extend([to.to_le_bytes(), weight.to_le_bytes()].concat());
    }
    bytes.extend(salt);
    sp_io::hashing::blake2_256(&bytes)
}
