//! What the node answers over JSON-RPC besides what every Substrate node does: the market.

use crate::service::{Client, Pool};
use jsonrpsee::{
    core::RpcResult,
    proc_macros::rpc,
    types::{
        error::{ErrorObjectOwned, INTERNAL_ERROR_CODE},
        ErrorObject,
    },
    RpcModule,
};
use market_primitives::{MarketId, Metagraph};
use market_runtime_api::MarketApi;
use noesis_runtime::{AccountId, Hash};
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_client_api::HeaderBackend;
use sp_api::ProvideRuntimeApi;
use std::sync::Arc;
use substrate_frame_rpc_system::{System, SystemApiServer};

/// The market's own methods.
#[rpc(server)]
pub trait Market {
    /// The results of the last finished epoch of a market and its neurons, in block `at` or else in
    /// the last finalized one; null where there is no such market.
    #[method(name = "market_metagraph")]
    fn metagraph(
        &self,
        market: MarketId,
        at: Option<Hash>,
    ) -> RpcResult<Option<Metagraph<AccountId>>>;
}

/// Answers from the runtime's own API.
struct MarketRpc {
    client: Arc<Client>,
}

impl MarketServer for MarketRpc {
    fn metagraph(
        &self,
        market: MarketId,
        at: Option<Hash>,
    ) -> RpcResult<Option<Metagraph<AccountId>>> {
        let at = at.unwrap_or_else(|| self.client.info().finalized_hash);
        self.client
            .runtime_api()
            .metagraph(at, market)
            .map_err(|reason| internal(at, reason))
    }
}

/// An error of the runtime's API in words.
fn internal(at: Hash, reason: impl std::fmt::Display) -> ErrorObjectOwned {
    ErrorObject::owned(
        INTERNAL_ERROR_CODE,
        format!("the state of block {at:?} cannot be read; ask for a later block"),
        Some(reason.to_string()),
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
