//! `noesis-validator`: logging, config, data, model, chain, enlist, loop, shutdown.

use anyhow::{bail, Context};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use market_primitives::{Modality, NOE};
use noesis_chain::{keypair, Chain};
use noesis_model::{Folder, Text, TransformerConfig};
use noesis_neuron::Client;
use noesis_validator::{
    config::Config,
    discover::Candidate,
    events::Events,
    learner::LearnerConfig,
    market::{enlist, follow, vote},
    promises::Kept,
    run::{run, Attention, Connections},
    validator::{Settings, Step, Validator},
};
use std::{io::IsTerminal, path::Path, process::ExitCode, time::Instant};
use tokio::{
    signal::unix::{signal, SignalKind},
    sync::{mpsc, watch},
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = Config::parse();
    log();
    match run_until_stopped(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noesis-validator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

fn run_until_stopped(config: Config) -> anyhow::Result<()> {
    // The main thread owns the model; the network runs on threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the system gives no threads")?;
    let result = runtime.block_on(validate(config));
    runtime.shutdown_background();
    result
}

async fn validate(config: Config) -> anyhow::Result<()> {
    let coldkey = keypair(&config.coldkey).context("--coldkey")?;
    let hotkey = keypair(&config.hotkey).context("--hotkey")?;
    let ourselves = hotkey.public_key().0;
    let device = config.device.resolve()?;
    noesis_model::set_threads(config.threads);
    let text = Text::load(&config.data)?;
    let events = Events::open(config.events.as_deref()).with_context(|| {
        let path = config.events.as_deref().unwrap_or(Path::new(""));
        format!("--events {}: the file cannot be opened", path.display())
    })?;
    let _folder = Folder::take(&config.checkpoint)?;
    let checkpoint = config.checkpoint.join("validator.safetensors");

    let chain = Chain::connect(&config.chain).await?;
    let market = chain.find_market(&config.market).await?;
    let metagraph = chain.metagraph(market).await?;
    if metagraph.modality != Modality::Text {
        bail!(
            "market {market} trades {:?}, and this validator knows text alone: choose another with --market",
            metagraph.modality
        );
    }

    let client = Client::new(hotkey.clone(), chain.genesis_hash())
        .expecting(metagraph.rules.response_dim)
        .taking(config.encodings);
    let settings = settings(&config, metagraph.rules.response_dim);
    let mut validator = Validator::new(settings, client, &text, device, events)?;
    if validator.resume(&checkpoint)? {
        let step = validator.learner().step_count();
        tracing::info!(step, "going on from {}", checkpoint.display());
    }

    let units = |noe: u64| noe.saturating_mul(NOE);
    let (stake, max_cost) = (units(config.stake), units(config.max_cost));
    enlist(&chain, &coldkey, ourselves, market, stake, max_cost).await?;

    let (view_sender, view) = watch::channel(None);
    let (scores, scores_receiver) = watch::channel(Vec::new());
    let (votes_sender, votes) = mpsc::channel(16);
    let following = tokio::spawn(follow(chain.clone(), market, view_sender));
    let voting = vote(
        chain,
        hotkey,
        market,
        Kept::open(config.checkpoint.join("commitments.json")),
        view.clone(),
        scores_receiver,
        votes_sender,
    );
    let voting = tokio::spawn(voting);
    let connections = Connections {
        view,
        scores,
        votes,
    };
    let attention = Attention {
        places: config.peers.into(),
        exploration: 0.25,
    };

    tracing::info!(
        own_data = validator.own_bytes(),
        "validating market {market} at {}; Ctrl-C stops",
        config.chain
    );
    let lost = async {
        match following.await {
            Ok(Err(error)) => Some(error),
            _ => None,
        }
    };
    let mut chain_error = None;
    let stop = async {
        tokio::select! {
            () = told_to_stop() => {}
            error = lost => chain_error = error,
        }
    };
    let progress = progress();
    run(
        &mut validator,
        connections,
        ourselves,
        attention,
        &checkpoint,
        stop,
        progress,
    )
    .await?;
    voting.abort();
    tracing::info!(
        step = validator.learner().step_count(),
        "stopped; the state is in {}",
        checkpoint.display()
    );
    match chain_error {
        Some(error) => Err(error).context("the market can no longer be followed"),
        None => Ok(()),
    }
}

fn settings(config: &Config, response_dim: u32) -> Settings {
    Settings {
        learner: LearnerConfig {
            model: TransformerConfig {
                response_dim: response_dim.into(),
                ..TransformerConfig::default()
            },
            rate: config.rate,
            k: config.top_k.into(),
            seed: config.seed,
            ..LearnerConfig::default()
        },
        batch: config.batch.into(),
        own_data: config.own_data,
        assess_every: config.assess_every,
        examples: config.examples.into(),
        seed: config.seed,
        ..Settings::default()
    }
}

/// Ready on Ctrl-C or SIGTERM.
async fn told_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => drop(interrupted.await),
    }
}

/// A line that is kept up to date on a terminal; elsewhere a line of the log now and then.
fn progress() -> impl FnMut(&Step, &[Candidate]) {
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        ProgressBar::new_spinner()
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
    });
    let (mut began, mut steps, mut rate) = (Instant::now(), 0u32, 0.0);
    move |step, peers| {
        steps += 1;
        let elapsed = began.elapsed().as_secs_f64();
        if elapsed >= 5.0 {
            rate = f64::from(steps) / elapsed;
            (began, steps) = (Instant::now(), 0);
        }
        let answered = step
            .answers
            .iter()
            .filter(|one| one.outcome == "ok")
            .count();
        let words = format!(
            "step {}, loss {:.3}, {} of {} asked answered, {} peers, {rate:.1} steps/s",
            step.step,
            step.loss,
            answered,
            step.answers.len(),
            peers.len()
        );
        match &bar {
            Some(bar) => {
                bar.set_message(words);
                bar.tick();
            }
            None if steps == 0 => tracing::info!("{words}"),
            None => {}
        }
    }
}
