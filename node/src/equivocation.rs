//! Watches the blocks that are imported for two of one slot by one author, and reports them.
//!
//! Aura's own watch keeps headers without their seals, which prove nothing; it is off, and this one keeps
//! them sealed, in the same place. Reports go into this node's pool, from which its next block takes them.

use crate::service::Client;
use noesis_runtime::opaque::Block;
use pallet_authorities::{AuraEquivocationApi, EquivocationProof};
use sc_client_api::HeaderBackend;
use sc_consensus::{BlockCheckParams, BlockImport, BlockImportParams, ImportResult};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_consensus_aura::{sr25519::AuthorityPair, AuraApi, Slot, SlotDuration};
use std::sync::Arc;

type Header = noesis_runtime::Header;
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Imports blocks by `inner` and watches their authors.
#[derive(Clone)]
pub struct Watched<Inner> {
    pub inner: Inner,
    pub client: Arc<Client>,
    pub pool: OffchainTransactionPoolFactory<Block>,
    pub slot_duration: SlotDuration,
}

#[async_trait::async_trait]
impl<Inner: BlockImport<Block> + Send + Sync> BlockImport<Block> for Watched<Inner> {
    type Error = Inner::Error;

    async fn check_block(
        &self,
        block: BlockCheckParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        self.inner.check_block(block).await
    }

    async fn import_block(
        &self,
        block: BlockImportParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        let header = block.post_header();
        let result = self.inner.import_block(block).await?;
        // The block is as good or bad as it was, whatever becomes of a report.
        if let Err(reason) = self.watch(header) {
            tracing::warn!(target: "aura", "a block's author could not be watched: {reason}");
        }
        Ok(result)
    }
}

impl<Inner> Watched<Inner> {
    /// Remembers a sealed header, and reports it if its author made another of its slot.
    fn watch(&self, header: Header) -> Result<(), Error> {
        let slot = sc_consensus_aura::find_pre_digest::<
            Block,
            sp_consensus_aura::sr25519::AuthoritySignature,
        >(&header)?;
        let now = sp_timestamp::Timestamp::current();
        let now = Slot::from_timestamp(now, self.slot_duration);
        // Long past, as all are while a node catches up: no header of such a slot is kept.
        if *now > (*slot).saturating_add(sc_consensus_slots::MAX_SLOT_CAPACITY) {
            return Ok(());
        }
        let authorities = self.client.runtime_api().authorities(header.parent_hash)?;
        let author =
            sc_consensus_aura::standalone::slot_author::<AuthorityPair>(slot, &authorities);
        let Some(author) = author else {
            return Ok(()); // a chain without authorities
        };
        let equivocation =
            sc_consensus_slots::check_equivocation(&*self.client, now, slot, &header, author)?;
        match equivocation {
            Some(equivocation) => self.report(equivocation, header.parent_hash),
            None => Ok(()),
        }
    }

    /// Puts a report into the pool. The key's owner is shown as of `parent`, on which the later block was
    /// made: its session is the slot's.
    fn report(
        &self,
        equivocation: EquivocationProof<Header>,
        parent: noesis_runtime::Hash,
    ) -> Result<(), Error> {
        tracing::warn!(
            target: "aura",
            "two blocks of slot {} by {:?}: reported",
            *equivocation.slot,
            equivocation.offender
        );
        let authority = equivocation.offender.clone();
        let api = self.client.runtime_api();
        let key_owner = api.prove_key_ownership(parent, authority)?;
        let key_owner = key_owner.ok_or("its author is in no session")?;
        let best = self.client.info().best_hash;
        let mut api = self.client.runtime_api();
        api.register_extension(self.pool.offchain_transaction_pool(best));
        // One that the pool or the chain has already is refused, and nothing is to be done about it.
        let _ = api.submit_aura_equivocation(best, equivocation, key_owner)?;
        Ok(())
    }
}
