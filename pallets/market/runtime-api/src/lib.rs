//! Runtime API of the market: what clients read, of one block and so consistent in itself.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

use alloc::vec::Vec;
use codec::Codec;
use market_primitives::{Governance, MarketId, MarketSummary, Metagraph, Neuron, Share, Uid};

sp_api::decl_runtime_apis! {
    /// What clients read of markets; `None` always means that there is no such market or neuron. No
    /// answer is longer than a market has slots. The node offers most of it as JSON-RPC, and the pallet as
    /// view functions.
    ///
    /// Version 1, of runtimes up to 100, had `metagraph` alone.
    #[api_version(2)]
    pub trait MarketApi<AccountId: Codec, Parameters: Codec> {
        /// The results of the last finished epoch of a market and its neurons as they stand.
        fn metagraph(market: MarketId) -> Option<Metagraph<AccountId>>;

        /// How a market stands, without its neurons.
        fn summary(market: MarketId) -> Option<MarketSummary>;

        /// One neuron as in the metagraph.
        fn neuron(market: MarketId, uid: Uid) -> Option<Neuron<AccountId>>;

        /// The row of weights that a neuron set last, as pairs of uid and weight in rising order of uid.
        fn weights(market: MarketId, uid: Uid) -> Option<Vec<(Uid, u16)>>;

        /// The bonds that a neuron holds, as pairs of uid and its share of all bonds in that neuron.
        fn bonds(market: MarketId, uid: Uid) -> Option<Vec<(Uid, Share)>>;

        /// All rules of a market.
        fn parameters(market: MarketId) -> Option<Parameters>;

        /// All that governance decides for a market, and what of it waits for the next epoch.
        fn governance(market: MarketId) -> Option<Governance<Parameters>>;

        /// Units that a registration costs now.
        fn registration_cost(market: MarketId) -> Option<u64>;

        /// What the metagraph will be after the running epoch, or else the next, if nothing changes
        /// until then. It takes as long as the epoch.
        fn preview_epoch(market: MarketId) -> Option<Metagraph<AccountId>>;
    }
}
