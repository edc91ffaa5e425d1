//! Signed calls: what one would cost, and one sent and awaited until its block is finalized.

use std::time::{Duration, Instant};

use subxt::{
    client::OnlineClientAtBlockImpl,
    config::DefaultExtrinsicParamsBuilder,
    error::{
        BackendError, ExtrinsicError, RpcError, TransactionEventsError,
        TransactionFinalizedSuccessError, TransactionProgressError, TransactionStatusError,
    },
    extrinsics::ExtrinsicEvents,
    metadata::ArcMetadata,
    tx::{SubmittableTransaction, TransactionProgress, TransactionStatus},
    utils::{AccountId32, MultiSignature},
    SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;
use tokio::time::timeout;

use crate::{connection::QUERY_DEADLINE, error, status::hex, AccountId, Call, Chain, ChainError};

/// Blocks after which a call that no block took is void, so that none lingers.
const MORTALITY: u64 = 64;

/// How long the last block that can hold a call may take to become final.
const FINALITY_DEADLINE: Duration = Duration::from_secs(60);

/// Time between two blocks, in milliseconds, where the chain does not tell.
const USUAL_SLOT: u64 = 1000;

/// How often a call is signed anew because another of the same account took its nonce.
const NONCE_ATTEMPTS: u32 = 5;

/// How long a call that a new runtime did not take waits until that runtime is final.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(60);

/// Pause before a call is signed anew.
const PAUSE: Duration = Duration::from_millis(300);

/// A call that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Hash of the signed call.
    pub transaction: [u8; 32],
    /// Hash of the finalized block that holds it.
    pub block: [u8; 32],
}

/// What a call would be, were it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The call as bytes, which any wallet can decode and sign.
    pub call_data: Vec<u8>,
    /// Units that the chain would take for it from an account that holds no slot.
    pub fee: u64,
}

type Client = OnlineClientAtBlockImpl<SubstrateConfig>;
type Progress = TransactionProgress<SubstrateConfig, Client>;

/// A signed call, and what it was signed for.
struct Signed {
    /// Itself.
    transaction: SubmittableTransaction<SubstrateConfig, Client>,
    /// The runtime's metadata.
    metadata: ArcMetadata,
    /// The runtime's version.
    runtime: u32,
    /// The last block that can hold it.
    last_block: u64,
}

impl Chain {
    /// Signs the call, sends it and waits until the block that holds it is finalized. A call that would fail where
    /// it stands now is refused without being sent, so that it costs no fee.
    ///
    /// Where another program that signs with the same key was faster with the nonce, it is signed anew, and where the
    /// runtime was replaced meanwhile, too. A lost connection is never answered by sending again: before the call
    /// left, it is `Unreachable`, and after, `Uncertain`.
    pub async fn send(&self, signer: &Keypair, call: &Call) -> Result<Sent, ChainError> {
        self.with_nonce(signer, call, Self::send_once).await
    }

    /// Signs the call and sends it, as [`send`](Self::send) does, without waiting for a block. Returns its hash.
    pub async fn send_off(&self, signer: &Keypair, call: &Call) -> Result<[u8; 32], ChainError> {
        self.with_nonce(signer, call, Self::send_off_once).await
    }

    /// The call as bytes, and what the chain would take for it from `account`. Nothing is signed or sent.
    pub async fn preview(&self, account: AccountId, call: &Call) -> Result<Preview, ChainError> {
        call.check()?;
        let (payload, account) = (call.payload(), AccountId32(account.0));
        let block = self.ask(self.client.at_current_block()).await?;
        let call_data = block
            .transactions()
            .call_data(&payload)
            .map_err(|error| self.explain_unsigned(call, error))?;
        // The fee counts bytes, of which a higher nonce has more.
        let nonce = self
            .ask(self.methods.system_account_next_index(&account))
            .await?;
        let question = async {
            let params = DefaultExtrinsicParamsBuilder::new()
                .mortal(MORTALITY)
                .nonce(nonce);
            let transactions = block.transactions();
            let mut unsigned = transactions
                .create_signable(&payload, &account, params.build())
                .await?;
            // The fee depends on the length of the signature, not on whose it is.
            let nobodys = MultiSignature::Sr25519([0; 64]);
            unsigned
                .sign_with_account_and_signature(&account, &nobodys)?
                .partial_fee_estimate()
                .await
        };
        let fee = self.ask(question).await?;
        Ok(Preview {
            call_data,
            fee: u64::try_from(fee)
                .map_err(|_| ChainError::Unexpected(format!("a fee of {fee} units")))?,
        })
    }

    /// Tries to send a call, each time with the next nonce, as long as others are faster, and once more where no
    /// block took it, for the runtime that took the place of the one it was signed for.
    async fn with_nonce<Done>(
        &self,
        signer: &Keypair,
        call: &Call,
        send: impl AsyncFn(&Self, &Call, Signed) -> Result<Done, ChainError>,
    ) -> Result<Done, ChainError> {
        call.check()?;
        self.refuse_what_would_fail(signer, call).await?;
        let mut attempt = 1;
        let mut signed_anew = false;
        loop {
            let signed = self.sign(signer, call).await?;
            let runtime = signed.runtime;
            match send(self, call, signed).await {
                Err(ChainError::AlreadyPending) if attempt < NONCE_ATTEMPTS => {
                    tracing::debug!(attempt, "the nonce is taken");
                    tokio::time::sleep(PAUSE).await;
                    attempt += 1;
                }
                // Never one that failed in a block: that was done and paid for.
                Err(ChainError::Invalid(_))
                    if !signed_anew && self.runtime_replaced(runtime).await? =>
                {
                    tracing::info!("the chain has a new runtime: the call is signed anew");
                    signed_anew = true;
                }
                Err(error) => return Err(self.date(error, call, signer.public_key().0).await),
                done => return done,
            }
        }
    }

    /// Whether blocks are made by a runtime of another version than the one that a call was signed for, which
    /// takes it no more. Returns when calls are signed for that: when its first block is final.
    async fn runtime_replaced(&self, signed_for: u32) -> Result<bool, ChainError> {
        let best = self
            .ask(self.methods.state_get_runtime_version(None))
            .await?;
        if best.spec_version == signed_for {
            return Ok(false);
        }
        let start = Instant::now();
        while start.elapsed() < RUNTIME_DEADLINE {
            let block = self.ask(self.client.at_current_block()).await?;
            if block.spec_version() != signed_for {
                return Ok(true);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(false)
    }

    /// The signed call, with the account's next nonce.
    async fn sign(&self, signer: &Keypair, call: &Call) -> Result<Signed, ChainError> {
        let payload = call.payload();
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
        let (_, name) = call.name();
        tracing::debug!(call = name, account = %AccountId(account.0), nonce, "sending");
        match timeout(QUERY_DEADLINE, signed).await {
            Ok(Ok(transaction)) => Ok(Signed {
                transaction,
                metadata: block.metadata(),
                runtime: block.spec_version(),
                last_block: block.block_number().saturating_add(MORTALITY - 1),
            }),
            Ok(Err(error)) => Err(self.explain_unsigned(call, error)),
            Err(_) => Err(self.unreachable("no answer in time".into())),
        }
    }

    /// Hands a signed call to the pool.
    async fn send_off_once(&self, _: &Call, signed: Signed) -> Result<[u8; 32], ChainError> {
        match timeout(QUERY_DEADLINE, signed.transaction.submit()).await {
            Ok(Ok(hash)) => Ok(hash.0),
            Ok(Err(error)) => Err(explain_refusal(error, |index| {
                error::rule_of_index(&signed.metadata, index)
            })),
            Err(_) => Err(ChainError::Uncertain("the node fell silent".into())),
        }
    }

    /// Hands a signed call to the pool and follows it.
    async fn send_once(&self, call: &Call, signed: Signed) -> Result<Sent, ChainError> {
        let Signed {
            transaction,
            metadata,
            last_block,
            ..
        } = signed;
        let patience = patience(self.slot().await);
        let progress = match timeout(QUERY_DEADLINE, transaction.submit_and_watch()).await {
            Ok(Ok(progress)) => progress,
            Ok(Err(error)) => {
                return Err(explain_refusal(error, |index| {
                    error::rule_of_index(&metadata, index)
                }));
            }
            Err(_) => return Err(ChainError::Uncertain("the node fell silent".into())),
        };
        let transaction = progress.extrinsic_hash().0;
        let mut held_by = None;
        let followed = timeout(patience, follow(progress, &mut held_by)).await;
        match followed {
            Ok(Ok((block, events))) => {
                if call.by_root() {
                    let result = root_result(&events);
                    check_root(result.as_deref(), |bytes| error::of_bytes(bytes, &metadata))?;
                }
                Ok(Sent { transaction, block })
            }
            Ok(Err(error)) => Err(explain_failure(error)),
            Err(_) => Err(ChainError::Uncertain(not_final(
                patience, held_by, last_block,
            ))),
        }
    }

    /// Milliseconds between two blocks.
    async fn slot(&self) -> u64 {
        let question = self.methods.state_call("AuraApi_slot_duration", None, None);
        let answer = self.ask(question).await.ok();
        let bytes = answer.and_then(|answer| <[u8; 8]>::try_from(answer).ok());
        bytes.map_or(USUAL_SLOT, u64::from_le_bytes)
    }

    /// The error of a call that could not be encoded or signed; nothing was sent.
    pub(crate) fn explain_unsigned(&self, call: &Call, error: ExtrinsicError) -> ChainError {
        let (pallet, name) = call.name();
        match error {
            ExtrinsicError::EncodeError(reason) => ChainError::NotNoesis {
                url: self.url.to_string(),
                what: format!("the call {pallet}.{name} as this client knows it ({reason})"),
            },
            other => self.explain(other.into()),
        }
    }
}

/// How long a call is waited for, by the milliseconds between two blocks: as long as a block can take it, and until the
/// last of those is final.
fn patience(slot: u64) -> Duration {
    Duration::from_millis(slot.saturating_mul(MORTALITY)).saturating_add(FINALITY_DEADLINE)
}

/// Follows a call until it is final: the block that holds it, and what it brought about. Meanwhile `held_by` is the best
/// block that holds it.
async fn follow(
    mut progress: Progress,
    held_by: &mut Option<[u8; 32]>,
) -> Result<([u8; 32], ExtrinsicEvents<SubstrateConfig>), TransactionFinalizedSuccessError> {
    while let Some(status) = progress.next().await {
        let ended = match status? {
            TransactionStatus::InFinalizedBlock(found) => {
                return Ok((found.block_hash().0, found.wait_for_success().await?));
            }
            TransactionStatus::InBestBlock(found) => {
                *held_by = Some(found.block_hash().0);
                continue;
            }
            TransactionStatus::NoLongerInBestBlock => {
                *held_by = None;
                continue;
            }
            TransactionStatus::Validated | TransactionStatus::Broadcasted => continue,
            TransactionStatus::Error { message } => TransactionStatusError::Error(message),
            TransactionStatus::Invalid { message } => TransactionStatusError::Invalid(message),
            TransactionStatus::Dropped { message } => TransactionStatusError::Dropped(message),
        };
        return Err(TransactionProgressError::from(ended).into());
    }
    Err(TransactionProgressError::UnexpectedEndOfTransactionStatusStream.into())
}

/// Why it is not known what became of a call that was not final in time.
fn not_final(waited: Duration, held_by: Option<[u8; 32]>, last_block: u64) -> String {
    let seconds = waited.as_secs();
    match held_by {
        Some(block) => format!(
            "block {} holds it, and was not final within {seconds} seconds",
            hex(&block)
        ),
        None => format!(
            "no block held it within {seconds} seconds, and none after block {last_block} can"
        ),
    }
}

/// The result of the call that root made in a transaction, as its events have it: a byte that tells which, and
/// what comes of it. `None` where no event that can be read does.
fn root_result(events: &ExtrinsicEvents<SubstrateConfig>) -> Option<Vec<u8>> {
    let mut events = events.iter().flatten();
    let sudid =
        events.find(|event| event.pallet_name() == error::SUDO && event.event_name() == "Sudid")?;
    Some(sudid.field_bytes().to_vec())
}

/// Whether root's call is done: its transaction succeeds either way. `decode` reads an error of the runtime.
fn check_root(
    result: Option<&[u8]>,
    decode: impl FnOnce(&[u8]) -> Option<ChainError>,
) -> Result<(), ChainError> {
    let unreadable = |why: &str| Err(ChainError::RootUncertain(why.into()));
    match result {
        Some([0, ..]) => Ok(()),
        Some([1, error @ ..]) => match decode(error) {
            Some(error) => Err(error),
            None => unreadable("it failed, with an error that this client cannot read"),
        },
        Some(_) => unreadable("its event Sudo.Sudid is not as this client knows it"),
        None => unreadable("there is no event Sudo.Sudid that this client can read"),
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
        )) if reason.contains("usurped") => ChainError::Displaced,
        FinalizationError(TransactionProgressError::TransactionStatusError(
            TransactionStatusError::Invalid(reason),
        )) => ChainError::Invalid(reason),
        other => ChainError::Uncertain(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subxt::error::DispatchError;

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

    #[test]
    fn a_call_that_failed_in_a_block_is_not_taken_for_one_that_no_block_took() {
        use TransactionFinalizedSuccessError::{FinalizationError, SuccessError};
        for reason in [DispatchError::BadOrigin, DispatchError::Corruption] {
            let failed = SuccessError(TransactionEventsError::ExtrinsicFailed(reason));
            let error = explain_failure(failed);
            assert!(matches!(error, ChainError::Refused(_)), "{error:?}");
        }
        let invalid = TransactionStatusError::Invalid("the signature is bad".into());
        let thrown_out = TransactionProgressError::TransactionStatusError(invalid);
        let error = explain_failure(FinalizationError(thrown_out));
        assert!(matches!(error, ChainError::Invalid(_)), "{error:?}");
    }

    #[test]
    fn a_call_is_waited_for_as_long_as_a_block_can_take_it() {
        // Blocks of six seconds, as of the staging network.
        let patience = patience(6000);
        assert!(
            patience > Duration::from_secs(6 * MORTALITY),
            "{patience:?}"
        );
        let words = not_final(patience, None, 1063);
        assert!(words.contains("none after block 1063 can"), "{words}");
        let words = not_final(patience, Some([0xab; 32]), 1063);
        assert!(words.starts_with("block 0xabab"), "{words}");
        assert!(words.contains("was not final"), "{words}");
    }

    #[test]
    fn roots_call_is_done_only_where_an_event_says_so() {
        let failed = |_: &[u8]| Some(ChainError::NotRoot { root: None });
        check_root(Some(&[0]), failed).unwrap();
        let error = check_root(Some(&[1, 3, 8]), failed).unwrap_err();
        assert!(matches!(error, ChainError::NotRoot { .. }), "{error}");
        for unreadable in [None, Some(&[] as &[u8]), Some(&[2]), Some(&[1, 99])] {
            let error = check_root(unreadable, |_| None).unwrap_err();
            assert!(matches!(error, ChainError::RootUncertain(_)), "{error}");
            assert!(!error.retryable());
            let words = error.to_string();
            assert!(words.contains("look at noesis market"), "{words}");
        }
    }
}
