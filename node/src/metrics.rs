//! The market in the node's Prometheus endpoint, beside what every Substrate node shows.

use crate::{rpc::predates_queries, service::Client};
use futures::StreamExt;
use market_primitives::{MarketId, MarketSummary, NOE};
use market_runtime_api::MarketApi;
use noesis_runtime::{Hash, Header};
use prometheus_endpoint::{
    exponential_buckets, register, CounterVec, GaugeVec, Histogram, HistogramOpts, Opts,
    PrometheusError, Registry, F64, U64,
};
use sc_client_api::BlockchainEvents;
use sp_api::{ApiError, Core, ProvideRuntimeApi};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What is shown, each by market but for the time of steps.
struct Metrics {
    epoch: GaugeVec<U64>,
    loss: GaugeVec<F64>,
    in_consensus: GaugeVec<U64>,
    emission: GaugeVec<F64>,
    minted: CounterVec<F64>,
    neurons: GaugeVec<U64>,
    registrations: CounterVec<U64>,
    registration_cost: GaugeVec<F64>,
    epoch_step: Histogram,
}

/// The label of a metric that each market has one of.
const BY_MARKET: [&str; 1] = ["market"];

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, PrometheusError> {
        let whole =
            |name, help| register(GaugeVec::new(Opts::new(name, help), &BY_MARKET)?, registry);
        let number =
            |name, help| register(GaugeVec::new(Opts::new(name, help), &BY_MARKET)?, registry);
        let steps = HistogramOpts::new(
            "noesis_market_epoch_step_seconds",
            "What this node takes to begin a block in which an epoch begins, goes on or ends",
        )
        .buckets(exponential_buckets(0.000_5, 2.0, 12)?);
        Ok(Self {
            epoch: whole("noesis_market_epoch", "Epochs finished")?,
            loss: number(
                "noesis_market_loss",
                "Consensus loss of the last epoch; below 0 in consensus",
            )?,
            in_consensus: whole(
                "noesis_market_in_consensus",
                "Whether the last epoch was in consensus: 1 or 0",
            )?,
            emission: number("noesis_market_emission", "NOE that the last epoch minted")?,
            minted: register(
                CounterVec::new(
                    Opts::new(
                        "noesis_market_minted_total",
                        "NOE minted by epochs since the node started",
                    ),
                    &BY_MARKET,
                )?,
                registry,
            )?,
            neurons: whole("noesis_market_neurons", "Slots taken")?,
            registrations: register(
                CounterVec::new(
                    Opts::new(
                        "noesis_market_registrations_total",
                        "Slots taken since the node started",
                    ),
                    &BY_MARKET,
                )?,
                registry,
            )?,
            registration_cost: number(
                "noesis_market_registration_cost",
                "NOE that a registration costs",
            )?,
            epoch_step: register(Histogram::with_opts(steps)?, registry)?,
        })
    }

    /// Shows a market as it stands after block `number`.
    fn show(&self, market: MarketId, number: u32, summary: &MarketSummary) {
        let market = market.to_string();
        let label = [market.as_str()];
        self.epoch.with_label_values(&label).set(summary.epoch);
        let loss = self.loss.with_label_values(&label);
        loss.set(summary.loss.to_f64());
        let in_consensus = self.in_consensus.with_label_values(&label);
        in_consensus.set(summary.in_consensus.into());
        let minted = noe(summary.minted);
        self.emission.with_label_values(&label).set(minted);
        if summary.epoch > 0 && summary.block == number {
            self.minted.with_label_values(&label).inc_by(minted);
        }
        let neurons = self.neurons.with_label_values(&label);
        neurons.set(summary.neurons.into());
        let registrations = self.registrations.with_label_values(&label);
        registrations.inc_by(summary.arrived.into());
        let cost = self.registration_cost.with_label_values(&label);
        cost.set(noe(summary.registration_cost));
    }
}

/// Units as NOE, for display.
fn noe(units: u64) -> f64 {
    units as f64 / NOE as f64
}

/// Shows every best block from now on, until the node ends.
pub async fn run(client: Arc<Client>, registry: Registry) {
    let metrics = match Metrics::register(&registry) {
        Ok(metrics) => metrics,
        Err(reason) => {
            tracing::warn!(target: "metrics", "the market cannot be shown: {reason}");
            return;
        }
    };
    let mut blocks = client.import_notification_stream();
    let mut told = false;
    while let Some(block) = blocks.next().await {
        if !block.is_new_best {
            continue;
        }
        if predates_queries(&client, block.hash) {
            if !told {
                tracing::warn!(target: "metrics", "the chain's runtime is older than what is shown of markets: nothing is, until it is upgraded");
            }
            told = true;
            continue;
        }
        if let Err(reason) = show(&client, &metrics, block.hash, &block.header) {
            tracing::warn!(target: "metrics", "block {:?} cannot be shown: {reason}", block.hash);
        }
    }
}

/// Shows one block.
fn show(client: &Client, metrics: &Metrics, hash: Hash, header: &Header) -> Result<(), ApiError> {
    let api = client.runtime_api();
    let mut in_epoch = false;
    let mut market = 0;
    while let Some(summary) = api.summary(hash, market)? {
        metrics.show(market, header.number, &summary);
        in_epoch |= summary.begun > summary.epoch || summary.block == header.number;
        market += 1;
    }
    if in_epoch {
        let step = epoch_step(client, header)?;
        metrics.epoch_step.observe(step.as_secs_f64());
    }
    Ok(())
}

/// How long the beginning of a block takes: it is begun once more, beside the import, and dropped.
fn epoch_step(client: &Client, header: &Header) -> Result<Duration, ApiError> {
    let api = client.runtime_api();
    let start = Instant::now();
    api.initialize_block(header.parent_hash, header)?;
    Ok(start.elapsed())
}
