//! Weights: one row a neuron, checked before it is stored. Either in the clear, or, where the market
//! has a `reveal_period` of k epochs, committed to first and shown in the k-th epoch after, so that
//! a copy of it comes that much later.

use crate::{pallet::*, types::*, Parameters};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::ensure;
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{MarketId, Uid};
use sp_runtime::{traits::BlakeTwo256, traits::Hash, DispatchResult};

/// What is committed to: the BLAKE2b-256 hash of the SCALE encoding of market, uid, row and salt. With the
/// uid in it, nobody can commit to another's row unseen.
pub fn commitment(market: MarketId, uid: Uid, weights: &[(Uid, u16)], salt: &[u8; 32]) -> [u8; 32] {
    BlakeTwo256::hash(&(market, uid, weights, salt).encode()).0
}

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Replaces the row of `hotkey`.
    pub(crate) fn do_set_weights(
        market: MarketId,
        hotkey: T::AccountId,
        weights: Vec<(Uid, u16)>,
    ) -> DispatchResult {
        let uid = Self::check_weights(market, &hotkey, &weights)?;
        Self::accept_weights(market, uid, Self::moment(), weights);
        Ok(())
    }

    /// Promises a row.
    pub(crate) fn do_commit_weights(
        market: MarketId,
        hotkey: T::AccountId,
        hash: [u8; 32],
    ) -> DispatchResult {
        let (uid, period) = Self::check_commitment(market, &hotkey)?;
        let epoch = Self::epochs_begun(market);
        let made_at = Self::moment();
        Commitments::<T>::mutate(market, uid, |waiting| {
            // One an epoch, the last; those whose time is over make room.
            waiting.retain(|old| old.epoch != epoch && old.epoch.saturating_add(period) >= epoch);
            let promise = Commitment {
                epoch,
                made_at,
                hash,
            };
            waiting.try_push(promise)
        })
        .map_err(|_| Error::<T>::WeightsTooEarly)?;
        Self::deposit_event(Event::WeightsCommitted { market, uid, hash });
        Ok(())
    }

    /// Shows a row that was promised; it counts as set when it was promised.
    pub(crate) fn do_reveal_weights(
        market: MarketId,
        hotkey: T::AccountId,
        weights: Vec<(Uid, u16)>,
        salt: [u8; 32],
    ) -> DispatchResult {
        let (uid, promise) = Self::check_revelation(market, &hotkey, &weights, &salt)?;
        let mut waiting = Commitments::<T>::take(market, uid);
        waiting.retain(|other| *other != promise);
        if !waiting.is_empty() {
            Commitments::<T>::insert(market, uid, waiting);
        }
        Self::accept_weights(market, uid, promise.made_at, weights);
        Ok(())
    }

    /// Stores a row that was checked. Zero weights are no edges and are left out.
    fn accept_weights(market: MarketId, uid: Uid, set_at: Moment, mut weights: Vec<(Uid, u16)>) {
        weights.retain(|(_, weight)| *weight > 0);
        Self::store_weights(market, uid, set_at, &weights);
        LastUpdates::<T>::insert(market, uid, set_at.block);
        Self::deposit_event(Event::WeightsSet {
            market,
            uid,
            edges: weights.len() as u16, // at most one a slot
        });
    }

    /// Everything that can be wrong with a call of `set_weights`. The pool asks this too, and the
    /// two below, so that a free call that would fail never enters a block.
    pub(crate) fn check_weights(
        market: MarketId,
        hotkey: &T::AccountId,
        weights: &[(Uid, u16)],
    ) -> Result<Uid, Error<T>> {
        let rules = Self::market(market)?.parameters;
        let uid = Self::uid(market, hotkey)?;
        ensure!(rules.reveal_period == 0, Error::CommitFirst);
        Self::check_rate(&rules, LastUpdates::<T>::get(market, uid))?;
        let slots = Slots::<T>::get(market);
        Self::check_row(&rules, uid, slots.len(), weights)?;
        let is_taken = |uid: Uid| slots.get(usize::from(uid)).is_some_and(Option::is_some);
        ensure!(
            weights.iter().all(|(uid, _)| is_taken(*uid)),
            Error::UnknownUid
        );
        Ok(uid)
    }

    /// Everything that can be wrong with a call of `commit_weights`; the slot, and the period.
    pub(crate) fn check_commitment(
        market: MarketId,
        hotkey: &T::AccountId,
    ) -> Result<(Uid, u64), Error<T>> {
        let rules = Self::market(market)?.parameters;
        let uid = Self::uid(market, hotkey)?;
        ensure!(rules.reveal_period > 0, Error::WeightsInTheClear);
        let waiting = Commitments::<T>::get(market, uid);
        // What was shown has left the waiting ones; its block is that of its commitment.
        let last = waiting.last().map(|last| last.made_at.block);
        Self::check_rate(&rules, last.max(LastUpdates::<T>::get(market, uid)))?;
        Ok((uid, rules.reveal_period.into()))
    }

    /// Everything that can be wrong with a call of `reveal_weights`; the slot, and what was promised.
    pub(crate) fn check_revelation(
        market: MarketId,
        hotkey: &T::AccountId,
        weights: &[(Uid, u16)],
        salt: &[u8; 32],
    ) -> Result<(Uid, Commitment), Error<T>> {
        let rules = Self::market(market)?.parameters;
        let uid = Self::uid(market, hotkey)?;
        // A slot that was emptied since the promise makes its edge void, not the row.
        Self::check_row(
            &rules,
            uid,
            Slots::<T>::decode_len(market).unwrap_or(0),
            weights,
        )?;
        let hash = commitment(market, uid, weights, salt);
        let waiting = Commitments::<T>::get(market, uid);
        // The same row may have been promised in several epochs: the one that is due counts.
        let epoch = Self::epochs_begun(market);
        let due = |promise: &Commitment| promise.epoch.saturating_add(rules.reveal_period.into());
        let matching = || waiting.iter().filter(|promise| promise.hash == hash);
        let promise = matching().find(|promise| due(promise) == epoch);
        let refusal = match matching().map(due).max() {
            None => Error::NothingCommitted,
            Some(due) if due > epoch => Error::RevealTooEarly,
            Some(_) => Error::RevealTooLate,
        };
        let promise = promise.ok_or(refusal)?;
        Ok((uid, *promise))
    }

    /// Whether a call after one in the block `last` keeps the rate limit.
    pub(crate) fn check_rate(
        rules: &Parameters,
        last: Option<market_primitives::BlockNumber>,
    ) -> Result<(), Error<T>> {
        let waited =
            last.is_none_or(|last| Self::now().saturating_sub(last) >= rules.weights_rate_limit);
        ensure!(waited, Error::WeightsTooEarly);
        Ok(())
    }

    /// What can be wrong with a row itself, in a market of so many slots.
    fn check_row(
        rules: &Parameters,
        uid: Uid,
        slots: usize,
        weights: &[(Uid, u16)],
    ) -> Result<(), Error<T>> {
        ensure!(weights.len() <= slots, Error::TooManyWeights);
        ensure!(
            weights.windows(2).all(|pair| pair[0].0 < pair[1].0),
            Error::WeightsUnsorted
        );
        ensure!(
            weights
                .last()
                .is_none_or(|(uid, _)| usize::from(*uid) < slots),
            Error::UnknownUid
        );
        let positive = weights.iter().filter(|(_, weight)| *weight > 0);
        ensure!(positive.clone().next().is_some(), Error::AllWeightsZero);
        ensure!(
            rules.self_weight || positive.clone().all(|(to, _)| *to != uid),
            Error::SelfWeight
        );
        ensure!(
            positive.count() >= usize::from(rules.min_weights),
            Error::TooFewWeights
        );
        ensure!(
            market_mechanism::edges::largest_share(weights) <= rules.max_weight.0,
            Error::WeightTooLarge
        );
        Ok(())
    }
}
