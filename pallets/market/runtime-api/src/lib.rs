//! Runtime API of the market: one consistent snapshot of a finished epoch.

#![cfg_attr(not(feature = "std"), no_std)]

use codec::Codec;
use market_primitives::{MarketId, Metagraph};

sp_api::decl_runtime_apis! {
    /// What clients read of markets. The node offers the same as JSON-RPC.
    pub trait MarketApi<AccountId: Codec> {
        /// The results of the last finished epoch of a market and its neurons as they stand; `None`
        /// where there is no such market.
        fn metagraph(market: MarketId) -> Option<Metagraph<AccountId>>;
    }
}
