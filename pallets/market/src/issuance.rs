//! Issuance: how much may be minted, and when.
//!
//! The reward of a block starts at `BlockReward` and halves every `HalvingInterval` blocks, so that
//! the sum over all blocks stays below twice their product: 21 million NOE in the runtime.

use crate::pallet::*;
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{BlockNumber, MarketId, Share};

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Units that the blocks from `from` (exclusive) to `to` (inclusive) give a market whose share of the
    /// emission is `share`. What is less than a unit is kept for its next epoch, so that all epochs together
    /// get the market's share of all blocks, rounded down once.
    pub(crate) fn allot_emission(
        market: MarketId,
        from: BlockNumber,
        to: BlockNumber,
        share: Share,
    ) -> u64 {
        let kept = EmissionRemainders::<T>::get(market);
        let (units, left) = Self::emission_between(from, to, share, kept);
        EmissionRemainders::<T>::set(market, left);
        units
    }

    /// The same, and what is less than a unit, where so much of a unit was `kept` before: parts of 10^-18.
    pub fn emission_between(
        from: BlockNumber,
        to: BlockNumber,
        share: Share,
        kept: u64,
    ) -> (u64, u64) {
        let one = u128::from(market_mechanism::ONE);
        let total = Self::schedule(to).saturating_sub(Self::schedule(from));
        let parts = total.saturating_mul(share.0.into());
        let parts = parts.saturating_add(kept.into());
        let units = u64::try_from(parts / one).unwrap_or(u64::MAX);
        (units, (parts % one) as u64) // below 10^18
    }

    /// Units that blocks 1 to `block` give all markets together.
    pub fn schedule(block: BlockNumber) -> u128 {
        let interval = T::HalvingInterval::get().max(1);
        let (halvings, rest) = (block / interval, block % interval);
        let reward =
            |halving: u32| u128::from(T::BlockReward::get().checked_shr(halving).unwrap_or(0));
        // The reward is a `u64`: after 64 halvings nothing is left, which bounds the sum.
        let whole: u128 = (0..halvings.min(64))
            .map(|halving| reward(halving).saturating_mul(interval.into()))
            .sum();
        whole.saturating_add(reward(halvings).saturating_mul(rest.into()))
    }
}
