//! A call tried out before it is sent: the node applies it to the state that it has, and forgets what came of it.
//!
//! What it applies has to be signed. So that nobody can send that, it is signed for the four blocks up to the one whose
//! state it meets: no block after that one takes it.

use subxt::{
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    config::DefaultExtrinsicParamsBuilder,
    SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;

use crate::{error, query::no_block, Call, Chain, ChainError};

/// The fewest blocks that a signature can be for.
const LIFETIME: u64 = 4;

/// What came of trying a call out.
#[derive(Debug)]
pub enum Rehearsal {
    /// The call was done.
    Done,
    /// It failed, for this reason.
    Failed(ChainError),
    /// It was not tried, for this reason.
    NotTried(String),
}

/// A block, whose state is asked.
pub(crate) type Block = ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

impl Chain {
    /// What would come of the call on the state after the last finalized block. Nothing is sent, and nobody who sees
    /// what is signed for it can send that.
    pub async fn rehearse(&self, signer: &Keypair, call: &Call) -> Rehearsal {
        let rehearsed = async {
            let block = self.ask(self.client.at_current_block()).await?;
            self.rehearse_after(block, signer, call).await
        };
        rehearsed.await.unwrap_or_else(not_tried)
    }

    /// Refuses a call that is about to be sent, and that would fail after the best block, before it costs a fee.
    ///
    /// What cannot be tried is not refused, nor what the pool tries itself (free calls), nor what a later block
    /// may take.
    pub(crate) async fn refuse_what_would_fail(
        &self,
        signer: &Keypair,
        call: &Call,
    ) -> Result<(), ChainError> {
        if call.free_for_neurons() {
            return Ok(());
        }
        let rehearsed = async {
            let best = self.ask(self.methods.chain_get_block_hash(None)).await?;
            let best = best.ok_or_else(|| ChainError::Unexpected("no best block".into()))?;
            let block = self.ask(self.client.at_block(best)).await?;
            self.rehearse_after(block, signer, call).await
        };
        match rehearsed.await.unwrap_or_else(not_tried) {
            Rehearsal::Failed(error) if !error.retryable() => Err(error),
            Rehearsal::NotTried(reason) => {
                tracing::debug!(reason, "sent without being tried out");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tries the call on the state after a block.
    async fn rehearse_after(
        &self,
        block: Block,
        signer: &Keypair,
        call: &Call,
    ) -> Result<Rehearsal, ChainError> {
        if call.by_root() {
            let reason = "what comes of root's call stands in events, which a trial does not show";
            return Ok(Rehearsal::NotTried(reason.into()));
        }
        // The block itself is not yet among those that the state after it knows.
        let Some(born) = block.block_number().checked_sub(LIFETIME - 1) else {
            return Ok(Rehearsal::NotTried("the chain is too young".into()));
        };
        let account = signer.public_key().to_account_id();
        let nonce = self
            .ask(block.transactions().account_nonce(&account))
            .await?;
        let next = self
            .ask(self.methods.system_account_next_index(&account))
            .await?;
        // Of an account that there is not, either is but the number of the block that was asked.
        if nonce != next && self.has_account(&block, account.0).await? {
            let reason = "another call of this account is on its way, and comes first";
            return Ok(Rehearsal::NotTried(reason.into()));
        }
        let born_hash = self
            .ask(self.methods.chain_get_block_hash(Some(born.into())))
            .await?
            .ok_or_else(|| no_block(born))?;
        let params = DefaultExtrinsicParamsBuilder::new()
            .mortal_from_unchecked(LIFETIME, born, born_hash)
            .nonce(nonce)
            .build();
        let signed = block
            .transactions()
            .create_signable_offline(&call.payload(), params)
            .and_then(|mut unsigned| unsigned.sign(signer))
            .map_err(|error| self.explain_unsigned(call, error))?;
        let apply = self.methods.state_call(
            "BlockBuilder_apply_extrinsic",
            Some(signed.encoded()),
            Some(block.block_hash()),
        );
        let result = self.ask(apply).await?;
        let metadata = block.metadata();
        Ok(outcome(
            &result,
            |bytes| error::of_bytes(bytes, &metadata),
            |index| error::rule_of_index(&metadata, index),
        ))
    }
}

/// A trial that an error kept from being made.
fn not_tried(error: ChainError) -> Rehearsal {
    Rehearsal::NotTried(error.to_string())
}

/// What the runtime's `ApplyExtrinsicResult` says, a result of a result: the inner one of the call, the outer one of
/// the transaction that holds it. `failure` reads the runtime's errors, and `rule` the market's by its index.
fn outcome(
    result: &[u8],
    failure: impl FnOnce(&[u8]) -> Option<ChainError>,
    rule: impl FnOnce(u8) -> Option<ChainError>,
) -> Rehearsal {
    let failed = match result {
        [0, 0] => return Rehearsal::Done,
        [0, 1, error @ ..] => failure(error),
        // `InvalidTransaction::Payment`
        [1, 0, 1] => Some(ChainError::CannotPayFee),
        // `InvalidTransaction::Custom`
        [1, 0, 7, index] => rule(*index),
        _ => None,
    };
    failed.map_or_else(
        || Rehearsal::NotTried(format!("the node answers with the bytes {result:?}")),
        Rehearsal::Failed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MarketError;

    #[test]
    fn a_failure_that_cannot_be_read_is_none() {
        let outcome = |result: &[u8]| {
            let failure = |bytes: &[u8]| {
                (bytes == [3, 8, 3]).then_some(MarketError::AlreadyRegistered.into())
            };
            let rule = |index| (index == 2).then_some(MarketError::NotRegistered.into());
            super::outcome(result, failure, rule)
        };
        assert!(matches!(outcome(&[0, 0]), Rehearsal::Done));
        for (result, words) in [
            (&[0u8, 1, 3, 8, 3] as &[u8], "holds a slot"),
            (&[1, 0, 1], "cannot pay"),
            (&[1, 0, 7, 2], "holds no slot"),
        ] {
            match outcome(result) {
                Rehearsal::Failed(error) => assert!(error.to_string().contains(words), "{error}"),
                other => panic!("{result:?}: {other:?}"),
            }
        }
        // A block that is full, an error of another runtime, nothing at all.
        for result in [&[1u8, 0, 6] as &[u8], &[0, 1, 9], &[1, 0, 7, 3], &[]] {
            let rehearsal = outcome(result);
            assert!(matches!(rehearsal, Rehearsal::NotTried(_)), "{rehearsal:?}");
        }
    }
}
