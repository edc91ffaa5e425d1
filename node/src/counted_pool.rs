//! The pool of transactions, with those that it refuses counted by reason.

use async_trait::async_trait;
use codec::Decode;
use noesis_runtime::{opaque::Block, Hash, Runtime};
use prometheus_endpoint::{register, CounterVec, Opts, PrometheusError, Registry, U64};
use sc_transaction_pool_api::{
    error::{Error as Refusal, IntoPoolError},
    ChainEvent, ImportNotificationStream, MaintainedTransactionPool, PoolStatus, ReadyTransactions,
    TransactionFor, TransactionPool, TransactionSource, TransactionStatusStreamFor,
    TxInvalidityReportMap,
};
use sp_runtime::transaction_validity::InvalidTransaction;
use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

type Inner = crate::service::Pool;
type Outcome<Value> = Result<Value, <Inner as TransactionPool>::Error>;

/// A pool that counts what it refuses.
pub struct CountedPool {
    inner: Arc<Inner>,
    refused: Option<CounterVec<U64>>,
}

impl CountedPool {
    /// Counts the refusals of `inner`, where there is somebody to show them to.
    pub fn new(inner: Arc<Inner>, registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let counter = |registry| {
            let name = "noesis_pool_refused_total";
            let help = "Transactions that the pool refused, by reason";
            register(
                CounterVec::new(Opts::new(name, help), &["reason"])?,
                registry,
            )
        };
        Ok(Self {
            inner,
            refused: registry.map(counter).transpose()?,
        })
    }

    /// Counts an outcome, and leaves it as it was.
    fn counted<Value>(&self, outcome: Outcome<Value>) -> Outcome<Value> {
        outcome.map_err(|error| match error.into_pool_error() {
            Ok(refusal) => {
                if let Some(refused) = &self.refused {
                    refused.with_label_values(&[&reason(&refusal)]).inc();
                }
                refusal.into()
            }
            Err(error) => error,
        })
    }
}

/// A refusal in a word: of the market's own checks the name of its error, else what Substrate calls it.
fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::InvalidTransaction(InvalidTransaction::Custom(index)) => market_error(*index),
        Refusal::InvalidTransaction(reason) => first_word(reason),
        other => first_word(other),
    }
}

/// The name of the market's error of that index.
fn market_error(index: u8) -> String {
    match pallet_market::Error::<Runtime>::decode(&mut &[index][..]) {
        Ok(error) => first_word(&error),
        Err(_) => format!("Custom{index}"),
    }
}

/// The name of a variant, without what it holds: a label must not have as many values as there are
/// transactions.
fn first_word(variant: &impl std::fmt::Debug) -> String {
    let shown = format!("{variant:?}");
    let end = shown.find(|letter: char| !letter.is_alphanumeric());
    shown[..end.unwrap_or(shown.len())].to_string()
}

#[async_trait]
impl TransactionPool for CountedPool {
    type Block = Block;
    type Hash = <Inner as TransactionPool>::Hash;
    type InPoolTransaction = <Inner as TransactionPool>::InPoolTransaction;
    type Error = <Inner as TransactionPool>::Error;

    async fn submit_at(
        &self,
        at: Hash,
        source: TransactionSource,
        transactions: Vec<TransactionFor<Self>>,
    ) -> Outcome<Vec<Outcome<Self::Hash>>> {
        let outcomes = self.inner.submit_at(at, source, transactions).await?;
        Ok(outcomes
            .into_iter()
            .map(|outcome| self.counted(outcome))
            .collect())
    }

    async fn submit_one(
        &self,
        at: Hash,
        source: TransactionSource,
        transaction: TransactionFor<Self>,
    ) -> Outcome<Self::Hash> {
        self.counted(self.inner.submit_one(at, source, transaction).await)
    }

    async fn submit_and_watch(
        &self,
        at: Hash,
        source: TransactionSource,
        transaction: TransactionFor<Self>,
    ) -> Outcome<Pin<Box<TransactionStatusStreamFor<Self>>>> {
        self.counted(self.inner.submit_and_watch(at, source, transaction).await)
    }

    async fn ready_at(
        &self,
        at: Hash,
    ) -> Box<dyn ReadyTransactions<Item = Arc<Self::InPoolTransaction>> + Send> {
        self.inner.ready_at(at).await
    }

    fn ready(&self) -> Box<dyn ReadyTransactions<Item = Arc<Self::InPoolTransaction>> + Send> {
        self.inner.ready()
    }

    async fn report_invalid(
        &self,
        at: Option<Hash>,
        errors: TxInvalidityReportMap<Self::Hash>,
    ) -> Vec<Arc<Self::InPoolTransaction>> {
        self.inner.report_invalid(at, errors).await
    }

    fn futures(&self) -> Vec<Self::InPoolTransaction> {
        self.inner.futures()
    }

    fn status(&self) -> PoolStatus {
        self.inner.status()
    }

    fn import_notification_stream(&self) -> ImportNotificationStream<Self::Hash> {
        self.inner.import_notification_stream()
    }

    fn on_broadcasted(&self, propagations: HashMap<Self::Hash, Vec<String>>) {
        self.inner.on_broadcasted(propagations)
    }

    fn hash_of(&self, transaction: &TransactionFor<Self>) -> Self::Hash {
        self.inner.hash_of(transaction)
    }

    fn ready_transaction(&self, hash: &Self::Hash) -> Option<Arc<Self::InPoolTransaction>> {
        self.inner.ready_transaction(hash)
    }

    async fn ready_at_with_timeout(
        &self,
        at: Hash,
        timeout: Duration,
    ) -> Box<dyn ReadyTransactions<Item = Arc<Self::InPoolTransaction>> + Send> {
        self.inner.ready_at_with_timeout(at, timeout).await
    }
}

#[async_trait]
impl MaintainedTransactionPool for CountedPool {
    async fn maintain(&self, event: ChainEvent<Block>) {
        self.inner.maintain(event).await
    }
}
