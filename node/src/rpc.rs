//! What the node answers over JSON-RPC besides what every Substrate node does: the market.

use crate::service::{Client, Pool};
use jsonrpsee::{
    core::RpcResult,
    proc_macros::rpc,
    types::{
        error::{ErrorObjectOwned, INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE},
        ErrorObject,
    },
    RpcModule,
};
use market_primitives::{Governance, MarketId, Metagraph, Neuron, Share, Uid};
use market_runtime_api::MarketApi;
use noesis_runtime::{opaque::Block, AccountId, Hash, Parameters};
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_client_api::HeaderBackend;
use sp_api::{ApiExt, ProvideRuntimeApi, RuntimeApiInfo};
use std::sync::Arc;
use substrate_frame_rpc_system::{System, SystemApiServer};

/// The runtime's API in some block.
type RuntimeApi<'a> = sp_api::ApiRef<'a, <Client as ProvideRuntimeApi<Block>>::Api>;

/// The market's own methods. Each answers of block `at`, or else of the last finalized one.
///
/// Each runs the runtime, which takes milliseconds, on a thread of its own, so that who asks for something else
/// waits less.
#[rpc(server)]
pub trait Market {
    /// The results of the last finished epoch of a market and its neurons; null where there is no such
    /// market.
    #[method(name = "market_metagraph", blocking)]
    fn metagraph(
        &self,
        market: MarketId,
        at: Option<Hash>,
    ) -> RpcResult<Option<Metagraph<AccountId>>>;

    /// One neuron as in the metagraph.
    #[method(name = "market_neuron", blocking)]
    fn neuron(&self, market: MarketId, uid: Uid, at: Option<Hash>) -> RpcResult<Neuron<AccountId>>;

    /// The row of weights that a neuron set last, as pairs of uid and weight.
    #[method(name = "market_weights", blocking)]
    fn weights(&self, market: MarketId, uid: Uid, at: Option<Hash>) -> RpcResult<Vec<(Uid, u16)>>;

    /// The bonds that a neuron holds, as pairs of uid and its share of all bonds in that neuron.
    #[method(name = "market_bonds", blocking)]
    fn bonds(&self, market: MarketId, uid: Uid, at: Option<Hash>) -> RpcResult<Vec<(Uid, Share)>>;

    /// All rules of a market and its share of the emission, those in force and, under `pending`, those that wait for
    /// its next epoch; shares in whole parts of 10^18.
    #[method(name = "market_parameters", blocking)]
    fn parameters(&self, market: MarketId, at: Option<Hash>) -> RpcResult<Governance<Parameters>>;

    /// Units that a registration costs.
    #[method(name = "market_registrationCost", blocking)]
    fn registration_cost(&self, market: MarketId, at: Option<Hash>) -> RpcResult<u64>;
}

/// Whether the runtime of a block is of before this version of [`MarketApi`]: until it is upgraded it answers
/// `metagraph` and nothing else.
pub fn predates_queries(client: &Client, at: Hash) -> bool {
    type Api = dyn MarketApi<Block, AccountId, Parameters>;
    let version = client.runtime_api().api_version::<Api>(at);
    matches!(version, Ok(Some(version)) if version < <Api as RuntimeApiInfo>::VERSION)
}

/// Answers from the runtime's own API.
struct MarketRpc {
    client: Arc<Client>,
}

impl MarketRpc {
    /// What the runtime answers in block `at`, or else in the last finalized one.
    fn ask<Answer>(
        &self,
        at: Option<Hash>,
        question: impl FnOnce(&RuntimeApi<'_>, Hash) -> Result<Answer, sp_api::ApiError>,
    ) -> RpcResult<Answer> {
        let at = at.unwrap_or_else(|| self.client.info().finalized_hash);
        match question(&self.client.runtime_api(), at) {
            Ok(answer) => Ok(answer),
            Err(_) if predates_queries(&self.client, at) => Err(too_old(at)),
            Err(reason) => Err(unreadable(at, reason)),
        }
    }

    /// What the runtime answers of a neuron, or which of market and neuron there is not.
    fn ask_of_neuron<Answer>(
        &self,
        market: MarketId,
        uid: Uid,
        at: Option<Hash>,
        question: impl FnOnce(&RuntimeApi<'_>, Hash) -> Result<Option<Answer>, sp_api::ApiError>,
    ) -> RpcResult<Answer> {
        // Of the same block, though another be finalized meanwhile.
        let at = at.unwrap_or_else(|| self.client.info().finalized_hash);
        if let Some(answer) = self.ask(Some(at), question)? {
            return Ok(answer);
        }
        self.parameters(market, Some(at))?;
        Err(unknown(format!(
            "market {market} has no neuron in slot {uid}: read market_metagraph for those that it has"
        )))
    }
}

impl MarketServer for MarketRpc {
    fn metagraph(
        &self,
        market: MarketId,
        at: Option<Hash>,
    ) -> RpcResult<Option<Metagraph<AccountId>>> {
        self.ask(at, |api, at| api.metagraph(at, market))
    }

    fn neuron(&self, market: MarketId, uid: Uid, at: Option<Hash>) -> RpcResult<Neuron<AccountId>> {
        self.ask_of_neuron(market, uid, at, |api, at| api.neuron(at, market, uid))
    }

    fn weights(&self, market: MarketId, uid: Uid, at: Option<Hash>) -> RpcResult<Vec<(Uid, u16)>> {
        self.ask_of_neuron(market, uid, at, |api, at| api.weights(at, market, uid))
    }

    fn bonds(&self, market: MarketId, uid: Uid, at: Option<Hash>) -> RpcResult<Vec<(Uid, Share)>> {
        self.ask_of_neuron(market, uid, at, |api, at| api.bonds(at, market, uid))
    }

    fn parameters(&self, market: MarketId, at: Option<Hash>) -> RpcResult<Governance<Parameters>> {
        let governance = self.ask(at, |api, at| api.governance(at, market))?;
        governance.ok_or_else(|| unknown_market(market))
    }

    fn registration_cost(&self, market: MarketId, at: Option<Hash>) -> RpcResult<u64> {
        let cost = self.ask(at, |api, at| api.registration_cost(at, market))?;
        cost.ok_or_else(|| unknown_market(market))
    }
}

/// Asked for what there is not.
fn unknown(reason: String) -> ErrorObjectOwned {
    ErrorObject::owned(INVALID_PARAMS_CODE, reason, None::<()>)
}

/// Asked for a market that there is not.
fn unknown_market(market: MarketId) -> ErrorObjectOwned {
    unknown(format!(
        "there is no market {market}: markets are numbered from 0 in order of creation"
    ))
}

/// A block whose state the runtime's API could not be asked in.
fn unreadable(at: Hash, reason: impl std::fmt::Display) -> ErrorObjectOwned {
    ErrorObject::owned(
        INTERNAL_ERROR_CODE,
        format!("the state of block {at:?} cannot be read; ask for a later block"),
        Some(reason.to_string()),
    )
}

/// A block of before the runtime was replaced by one that answers this.
fn too_old(at: Hash) -> ErrorObjectOwned {
    ErrorObject::owned(
        INTERNAL_ERROR_CODE,
        format!(
            "the runtime of block {at:?} is older than this question: of markets it answers market_metagraph \
             alone; ask for a block after the runtime's upgrade"
        ),
        None::<()>,
    )
}

/// All methods beyond the node's own.
pub fn methods(
    client: Arc<Client>,
    pool: Arc<Pool>,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
    let mut module = RpcModule::new(());
    module.merge(System::new(client.clone(), pool).into_rpc())?;
    module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
    module.merge(MarketRpc { client }.into_rpc())?;
    Ok(module)
}
