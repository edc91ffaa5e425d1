//! Issuance: how much may be minted, and when.
//!
//! The reward of a block starts at `BlockReward` and halves every `HalvingInterval` blocks, so that
//! the sum over all blocks stays below twice their product: 21 million NOE in the runtime.

use crate::pallet::*;
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{BlockNumber, Share};

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Units that the blocks from `from` (exclusive) to `to` (inclusive) give a market whose share
    /// of the emission is `share`.
    pub fn emission_between(from: BlockNumber, to: BlockNumber, share: Share) -> u64 {
        let total = Self::schedule(to).saturating_sub(Self::schedule(from));
        let part = total.saturating_mul(u128::from(share.0)) / u128::from(market_mechanism::ONE);
        u64::try_from(part).unwrap_or(u64::MAX)
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
