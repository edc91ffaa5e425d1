//! The pools of a market's neurons, as they are stored: in one value, since an epoch pays all of them, and
//! only of the slots that have one.

use crate::{pallet::*, types::MaxSlots};
use codec::{Decode, Encode, MaxEncodedLen};
use frame_support::BoundedVec;
use market_mechanism as mechanism;
use market_primitives::{BlockNumber, MarketId, Share, Uid};
use scale_info::TypeInfo;

/// Number of a pool among those of all markets, from 1 in order of creation.
pub type PoolId = u64;

/// The pools of a market, in rising order of uid.
pub type PoolsBySlot = BoundedVec<(Uid, Pool), MaxSlots>;

/// Of a running epoch: what others had put behind the neurons, in rising order of uid; only of those behind whom
/// there was something.
pub type DelegatedBySlot = BoundedVec<(Uid, Delegated), MaxSlots>;

/// The largest take, and that of an owner who has set none.
pub const MAX_TAKE: Share = Share(Share::ONE.0 / 100 * 18);

/// What lies in a pool: the mechanism's [`Pool`](mechanism::Pool).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Holdings {
    /// Units.
    pub value: u64,
    /// Shares that there are.
    pub shares: u64,
}

impl Holdings {
    /// Lets the mechanism do something with it.
    pub(crate) fn with<R>(&mut self, act: impl FnOnce(&mut mechanism::Pool) -> R) -> R {
        let mut pool = mechanism::Pool {
            value: self.value,
            shares: self.shares,
        };
        let result = act(&mut pool);
        (self.value, self.shares) = (pool.value, pool.shares);
        result
    }

    /// What so many shares would bring, in units.
    pub fn worth(mut self, shares: u64) -> u64 {
        self.with(|pool| pool.worth(shares))
    }
}

/// A take that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Raise {
    /// The take.
    pub take: Share,
    /// The block from which on epochs that begin are divided by it.
    pub from: BlockNumber,
}

/// What others have put behind a neuron, and on what terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// What lies in it: a part of the slot's stake.
    pub holdings: Holdings,
    /// The owner's part of what it earns.
    pub take: Share,
    /// A higher take that was announced.
    pub raise: Option<Raise>,
}

impl Pool {
    /// The take in a block.
    pub fn take_at(&self, now: BlockNumber) -> Share {
        match self.raise {
            Some(raise) if raise.from <= now => raise.take,
            _ => self.take,
        }
    }
}

/// Where a pool of which there are shares is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum PoolPlace {
    /// Among those of its market.
    Slot {
        /// The market.
        market: MarketId,
        /// The slot.
        uid: Uid,
    },
    /// Its neuron left. This lies in it.
    Closed(Holdings),
}

/// Of a running epoch: what others had put behind a neuron when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Delegated {
    /// The pool.
    pub pool: PoolId,
    /// Units that lay in it.
    pub value: u64,
    /// The owner's part of what it earns.
    pub take: Share,
}

impl<T: Config> Pallet<T> {
    /// The pool of a slot, if it has one.
    pub fn pool(market: MarketId, uid: Uid) -> Option<Pool> {
        let pools = Pools::<T>::get(market);
        let index = position(&pools, uid).ok()?;
        pools.get(index).map(|(_, pool)| *pool)
    }

    /// What lies in a pool, open or closed; `None` where nobody holds shares of it.
    pub fn holdings(pool: PoolId) -> Option<Holdings> {
        match PoolPlaces::<T>::get(pool)? {
            PoolPlace::Slot { market, uid } => Self::pool(market, uid).map(|pool| pool.holdings),
            PoolPlace::Closed(holdings) => Some(holdings),
        }
    }

    /// Changes the pool of a taken slot; one that it gets by that is empty, and new.
    pub(crate) fn mutate_pool<R>(
        market: MarketId,
        uid: Uid,
        change: impl FnOnce(&mut Pool) -> Result<R, Error<T>>,
    ) -> Result<R, Error<T>> {
        Pools::<T>::try_mutate(market, |pools| {
            let index = match position(pools, uid) {
                Ok(index) => index,
                Err(index) => {
                    let pool = Pool {
                        id: PoolCount::<T>::mutate(|count| {
                            *count = count.saturating_add(1);
                            *count
                        }),
                        holdings: Holdings::default(),
                        take: MAX_TAKE,
                        raise: None,
                    };
                    // There is room for one a slot.
                    let _ = pools.try_insert(index, (uid, pool));
                    index
                }
            };
            let (_, pool) = pools.get_mut(index).ok_or(Error::NotRegistered)?;
            change(pool)
        })
    }

    /// Closes the pool of a slot that is emptied; what lies in it, which is not the owner's.
    pub(crate) fn close_pool(market: MarketId, uid: Uid) -> u64 {
        let pool = Pools::<T>::mutate(market, |pools| {
            let index = position(pools, uid).ok()?;
            Some(pools.remove(index).1)
        });
        let Some(Pool { id, holdings, .. }) = pool else {
            return 0;
        };
        if holdings.shares > 0 {
            PoolPlaces::<T>::insert(id, PoolPlace::Closed(holdings));
            Self::deposit_event(Event::PoolClosed {
                market,
                uid,
                pool: id,
                value: holdings.value,
            });
        }
        holdings.value
    }
}

/// Where the pool of a slot is among those of its market, or would be.
fn position(pools: &[(Uid, Pool)], uid: Uid) -> Result<usize, usize> {
    pools.binary_search_by_key(&uid, |(uid, _)| *uid)
}
