//! Signed calls, each sent once and awaited until its block is finalized.

use std::time::Duration;

use market_primitives::{MarketId, Uid, MAX_ENDPOINT_LENGTH};
use subxt::{
    config::DefaultExtrinsicParamsBuilder,
    error::{
        BackendError, ExtrinsicError, RpcError, TransactionEventsError,
        TransactionFinalizedSuccessError, TransactionProgressError, TransactionStatusError,
    },
    ext::scale_encode::EncodeAsFields,
    tx,
    utils::H256,
};
use subxt_signer::sr25519::Keypair;
use tokio::time::timeout;

use crate::{
    connection::QUERY_DEADLINE,
    error::{self, PALLET},
    find_neuron, AccountId, Chain, ChainError, Hotkey, MarketError,
};

/// Blocks after which a call that no block took is void, so that none lingers.
const MORTALITY: u64 = 64;

/// How long a call may take to be finalized: a mortal call's lifetime in blocks of some two seconds.
const FINALITY_DEADLINE: Duration = Duration::from_secs(120);

impl Chain {
    /// Takes a slot for `hotkey`, paid for by `coldkey`, which burns at most `max_cost` units.
    ///
    /// Returns the slot. Fails with [`MarketError::CostAboveMaximum`], `MarketFull`,
    /// `AlreadyRegistered`, `InsufficientBalance` or `UnknownMarket`, among others.
    pub async fn register(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        max_cost: u64,
    ) -> Result<Uid, ChainError> {
        let arguments = (market, hotkey, u128::from(max_cost));
        let block = self.submit(coldkey, "register", arguments).await?;
        let metagraph = self.metagraph_at_hash(market, Some(block)).await?;
        find_neuron(&metagraph, &hotkey)
            .map(|neuron| neuron.uid)
            .ok_or_else(|| {
                ChainError::Unexpected("registered, and not in the metagraph of that block".into())
            })
    }

    /// Publishes where the neuron of `hotkey` serves, as `host:port`. Costs nothing.
    ///
    /// Fails with [`MarketError::EndpointInvalid`], `NotRegistered` or `ServeTooEarly`.
    pub async fn serve(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        endpoint: &str,
        certificate: Option<[u8; 32]>,
    ) -> Result<(), ChainError> {
        // What the pallet's bound forbids cannot even be encoded; say so before anything is sent.
        if endpoint.is_empty() || endpoint.len() > MAX_ENDPOINT_LENGTH as usize {
            return Err(MarketError::EndpointInvalid.into());
        }
        let arguments = (market, endpoint.as_bytes().to_vec(), certificate);
        self.submit(hotkey, "serve", arguments).await.map(drop)
    }

    /// Sets the row of weights of `hotkey`: pairs of uid and weight, strictly increasing in uid.
    /// Costs nothing.
    ///
    /// Fails with [`MarketError::CommitFirst`] in a market that hides weights,
    /// [`MarketError::WeightsTooEarly`] naming the first block that will take a row, and
    /// with the error of each rule that a row can break.
    pub async fn set_weights(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        weights: &[(Uid, u16)],
    ) -> Result<(), ChainError> {
        check_sorted(weights)?;
        let arguments = (market, weights.to_vec());
        match self.submit(hotkey, "set_weights", arguments).await {
            Err(ChainError::Market(MarketError::WeightsTooEarly { .. })) => {
                let next = self.next_weights(market, hotkey.public_key().0).await;
                Err(MarketError::WeightsTooEarly { next }.into())
            }
            other => other.map(drop),
        }
    }

    /// Commits `hotkey` to a row that it will reveal `reveal_period` epochs later; `hash` is the row's
    /// [`commitment`](crate::commitment). Of the commitments of one epoch the last counts. Costs nothing.
    ///
    /// Fails with [`MarketError::WeightsInTheClear`] in a market that hides nothing, and with
    /// `WeightsTooEarly` within the rate limit since the last commitment.
    pub async fn commit_weights(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        hash: [u8; 32],
    ) -> Result<(), ChainError> {
        self.submit(hotkey, "commit_weights", (market, hash))
            .await
            .map(drop)
    }

    /// Shows the row that `hotkey` committed to; it counts as set when it was committed to. Costs nothing.
    ///
    /// Fails with [`MarketError::RevealTooEarly`] before the epoch in which it is due, `RevealTooLate`
    /// after it, `NothingCommitted` where row and salt are not what was committed to, or were revealed
    /// already, and with the error of each rule that a row can break.
    pub async fn reveal_weights(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        weights: &[(Uid, u16)],
        salt: [u8; 32],
    ) -> Result<(), ChainError> {
        check_sorted(weights)?;
        let arguments = (market, weights.to_vec(), salt);
        self.submit(hotkey, "reveal_weights", arguments)
            .await
            .map(drop)
    }

    /// Moves `amount` units from `coldkey` into the slot of its `hotkey`.
    pub async fn add_stake(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        amount: u64,
    ) -> Result<(), ChainError> {
        let arguments = (market, hotkey, u128::from(amount));
        self.submit(coldkey, "add_stake", arguments).await.map(drop)
    }

    /// Moves `amount` units from the slot of `hotkey` back to its `coldkey`.
    pub async fn remove_stake(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        amount: u64,
    ) -> Result<(), ChainError> {
        let arguments = (market, hotkey, u128::from(amount));
        self.submit(coldkey, "remove_stake", arguments)
            .await
            .map(drop)
    }

    /// First block in which a row of `hotkey` will be taken, where that can be found out.
    async fn next_weights(&self, market: MarketId, hotkey: Hotkey) -> Option<u32> {
        let metagraph = self.metagraph(market).await.ok()?;
        let last = find_neuron(&metagraph, &hotkey)?.last_update?;
        Some(last.saturating_add(metagraph.rules.weights_rate_limit))
    }

    /// Signs the call, sends it once and waits for the finalized block that holds it, whose hash it
    /// returns.
    ///
    /// A lost connection is never answered by sending again: before the call left, it is
    /// `Unreachable`, and after, `Uncertain`.
    async fn submit(
        &self,
        signer: &Keypair,
        call: &'static str,
        arguments: impl EncodeAsFields,
    ) -> Result<H256, ChainError> {
        let payload = tx::dynamic(PALLET, call, arguments);
        let account = signer.public_key().to_account_id();
        let block = self.ask(self.client.at_current_block()).await?;
        // The nonce counts what waits in the pool too, so that two calls in a row do not collide.
        let nonce = self
            .ask(self.methods.system_account_next_index(&account))
            .await?;
        let params = DefaultExtrinsicParamsBuilder::new()
            .mortal(MORTALITY)
            .nonce(nonce)
            .build();
        let signed = async {
            block
                .transactions()
                .create_signable(&payload, &account, params)
                .await?
                .sign(signer)
        };
        let signed = match timeout(QUERY_DEADLINE, signed).await {
            Ok(Ok(signed)) => signed,
            Ok(Err(error)) => return Err(self.explain_unsigned(call, error)),
            Err(_) => return Err(self.unreachable("no answer in time".into())),
        };

        tracing::debug!(call, account = %AccountId(account.0), nonce, "sending");
        let progress = match timeout(QUERY_DEADLINE, signed.submit_and_watch()).await {
            Ok(Ok(progress)) => progress,
            Ok(Err(error)) => {
                let rule = |index| error::rule_of_index(block.metadata_ref(), index);
                return Err(explain_refusal(error, rule));
            }
            Err(_) => return Err(ChainError::Uncertain("the node fell silent".into())),
        };
        let finalized = async {
            let included = progress.wait_for_finalized().await?;
            let hash = included.block_hash();
            included.wait_for_success().await?;
            Ok::<_, TransactionFinalizedSuccessError>(hash)
        };
        match timeout(FINALITY_DEADLINE, finalized).await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => Err(explain_failure(error)),
            Err(_) => Err(ChainError::Uncertain(format!(
                "no block held it within {} seconds",
                FINALITY_DEADLINE.as_secs()
            ))),
        }
    }

    /// The error of a call that could not be encoded or signed; nothing was sent.
    fn explain_unsigned(&self, call: &str, error: ExtrinsicError) -> ChainError {
        match error {
            ExtrinsicError::EncodeError(reason) => ChainError::NotNoesis {
                url: self.url.to_string(),
                what: format!("the call {PALLET}.{call} as this client knows it ({reason})"),
            },
            other => self.explain(other.into()),
        }
    }
}

/// Refuses a row that no market takes before anything is sent.
fn check_sorted(weights: &[(Uid, u16)]) -> Result<(), MarketError> {
    match weights.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        true => Ok(()),
        false => Err(MarketError::WeightsUnsorted),
    }
}

/// The error of a transaction that was not taken into the pool.
fn explain_refusal(
    error: ExtrinsicError,
    rule: impl FnOnce(u8) -> Option<ChainError>,
) -> ChainError {
    match error {
        ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
            subxt::rpcs::Error::User(refusal),
        ))) => error::of_pool(
            refusal.code,
            &refusal.message,
            refusal.data.as_ref().map(|data| data.get()),
            rule,
        ),
        // The request may have arrived before the connection was lost.
        other => ChainError::Uncertain(other.to_string()),
    }
}

/// The error of a transaction that was taken into the pool and did not succeed.
fn explain_failure(error: TransactionFinalizedSuccessError) -> ChainError {
    use TransactionFinalizedSuccessError::{FinalizationError, SuccessError};
    match error {
        SuccessError(TransactionEventsError::ExtrinsicFailed(reason)) => error::of_dispatch(reason),
        FinalizationError(TransactionProgressError::TransactionStatusError(
            TransactionStatusError::Invalid(reason),
        )) => ChainError::Refused(reason),
        other => ChainError::Uncertain(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_lost_while_sending_leaves_doubt_and_is_not_retried() {
        let lost = BackendError::Rpc(RpcError::ClientError(
            subxt::rpcs::Error::DisconnectedWillReconnect("gone".into()),
        ));
        let error = explain_refusal(ExtrinsicError::ErrorSubmittingTransaction(lost), |_| None);
        assert!(matches!(error, ChainError::Uncertain(_)));
        assert!(!error.retryable());
        assert!(error.to_string().contains("before you send it again"));
    }
}
