//! `noesis-miner`: serves a model to a market, trains it, and is paid for it.

use std::{io::ErrorKind, net::SocketAddr, path::Path, process::ExitCode, sync::Arc};

use anyhow::{anyhow, bail, Context, Result};
use noesis_chain::{Chain, Keypair};
use noesis_configuration::forget_empty_variables;
use noesis_miner::{
    callers::{callers, follow, Ourselves},
    config::{Config, ModelChoice},
    enrol::{enrol, publish, Terms},
    events::{Event, Events},
    offline,
    progress::show,
    relay::Relay,
    Faulty, Keeping, OwnTraining, Remote, Settings, Worker,
};
use noesis_model::{held_out, held_out_loss, telling_line, DataSet, Folder, Modality, Trainer};
use noesis_neuron::{Callers, Certificate, Client, Limits, Listener, Model, ServeError};
use noesis_telemetry::{
    log,
    signals::{stop_signal, stopped},
    Telemetry,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

fn main() -> ExitCode {
    forget_empty_variables();
    let config = Config::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    log::begin();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noesis-miner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// In order: configuration, model, then the chain or the training.
fn run(config: Config) -> Result<()> {
    config.check()?;
    noesis_model::set_threads(config.threads);
    let events = match &config.events {
        Some(path) => Events::open(path)
            .with_context(|| format!("--events {}: the file cannot be opened", path.display()))?,
        None => Events::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let stop = runtime.block_on(async { stop_signal() })?;
    let telemetry = runtime.block_on(Telemetry::open(&config.telemetry))?;
    let settings = Settings {
        queue: config.queue.into(),
        feedback: config.feedback(),
        threads: config.threads,
        events: events.and(telemetry),
        ..Settings::default()
    };
    // Whatever is kept there, a checkpoint or only the certificate.
    let _folder = config.checkpoint.as_deref().map(Folder::take).transpose()?;
    if let ModelChoice::Remote(address) = config.model()? {
        return runtime.block_on(async {
            let remote = Remote::connect(config.remote(address), &settings).await?;
            tracing::info!("model at {address}: {}", remote.describe().model);
            serve(
                &config,
                Source::Remote(Box::new(remote)),
                settings.events,
                stop,
            )
            .await
        });
    }
    let device = config.device.resolve()?;
    let (data, network) = config.load(device)?;
    let folder = config
        .checkpoint
        .as_deref()
        .context("--checkpoint is missing")?;
    let file = Config::checkpoint_file(folder);
    let trainer = Trainer::resume(&file, &network, config.training_config(), device)?;
    tracing::info!(
        "{} of {} parameters after {} steps, on {device:?}",
        network.name(),
        trainer.parameter_count(),
        trainer.step_count()
    );
    match (data, config.evaluate) {
        (Some(data), Some(examples)) => {
            evaluate(&trainer, &data, examples as usize, &settings.events)
        }
        (Some(data), None) if config.train_only => {
            train(&config, trainer, &data, &file, &settings.events, &stop)
        }
        (data, _) => {
            let settings = Settings {
                training: data.map(|data| OwnTraining {
                    data: Arc::new(data),
                    until_step: config.until_step(),
                    duty: config.duty,
                }),
                keeping: Some(Keeping {
                    path: file,
                    every: config.checkpoint_interval(),
                }),
                ..settings
            };
            let events = settings.events.clone();
            let source = Source::Thread(Box::new(trainer), settings);
            runtime.block_on(serve(&config, source, events, stop))
        }
    }
}

/// Where answers come from.
enum Source {
    /// A model thread of this program.
    Thread(Box<Trainer>, Settings),
    /// Another process.
    Remote(Box<Remote>),
}

/// Trains without a chain.
fn train(
    config: &Config,
    mut trainer: Trainer,
    data: &DataSet,
    path: &Path,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<()> {
    let every = config.checkpoint_interval();
    let stop = || *stop.borrow();
    let steps = config.until_step();
    let outcome = offline::train(&mut trainer, data, steps, (path, every), events, stop)?;
    if !outcome.trained {
        println!(
            "{} has {} steps already, and {steps} were asked for: nothing to train",
            path.display(),
            outcome.step
        );
    }
    let (loss, right) = (outcome.held_out.loss, 100.0 * outcome.held_out.accuracy);
    let (unit, place) = match data.modality() {
        Modality::Text => ("a byte", "books"),
        Modality::Image | Modality::Tensor => ("an image", "images"),
    };
    println!(
        "after {} steps: {loss:.3} nats {unit} on the held-out {place}, {right:.1} % right",
        outcome.step
    );
    Ok(())
}

/// Tells the loss on held-out examples.
fn evaluate(trainer: &Trainer, data: &DataSet, examples: usize, events: &Events) -> Result<()> {
    let batches = held_out(data, examples)?;
    let loss = held_out_loss(trainer.model(), trainer.store().device(), &batches);
    let loss = loss.map_err(|error| {
        let what = telling_line(&error);
        anyhow!("the model failed on the held-out examples ({what}): mend the module")
    })?;
    let step = trainer.step_count();
    events.record(&Event::HeldOut {
        step,
        loss,
        examples,
    });
    println!(
        "after {step} steps: {loss:.4} nats where scores are taken, over {examples} held-out \
         examples"
    );
    Ok(())
}

/// Takes a place in the market and serves until told to stop.
async fn serve(
    config: &Config,
    source: Source,
    events: Events,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let (Some(coldkey), Some(hotkey)) = (&config.coldkey, &config.hotkey) else {
        bail!("--coldkey and --hotkey are needed to serve");
    };
    let (coldkey, hotkey) = (
        config.password.keypair(coldkey).context("--coldkey")?,
        config.password.keypair(hotkey).context("--hotkey")?,
    );
    // Bound before anything is paid for, so that a port in use costs nothing.
    let listener = bind(config.listen).await?;
    let endpoint = config.published_endpoint(listener.local_addr()?);
    let certificate = match &config.checkpoint {
        Some(folder) if config.serves_tls() => {
            Some(Certificate::keep_at(&Config::certificate_file(folder))?)
        }
        _ => None,
    };
    let fingerprint = certificate.as_ref().map(Certificate::fingerprint);
    let listener = match certificate {
        Some(certificate) => Listener::with_tls(listener, certificate),
        None => listener.into(),
    };

    let terms = Terms {
        coldkey: &coldkey,
        hotkey: &hotkey,
        max_cost: config.max_cost_units(),
        modality: config.modality(),
        response_dim: i64::from(config.response_dim),
    };
    let place = async {
        let chain = Chain::connect(&config.chain).await?;
        let (market, uid) = enrol(&chain, &config.market, &terms).await?;
        publish(&chain, &hotkey, market, &endpoint, fingerprint).await?;
        anyhow::Ok((chain, market, uid))
    };
    let (chain, market, uid) = tokio::select! {
        place = place => place?,
        () = stopped(stop.clone()) => return Ok(()),
    };

    let (known, callers_known) = watch::channel(Arc::new(callers(&chain.metagraph(market).await?)));
    let ourselves = Ourselves {
        hotkey: hotkey.public_key().0,
        endpoint: endpoint.clone(),
    };
    let mut follower = tokio::spawn(follow(chain.clone(), market, ourselves, known));
    if let Some(fault) = config.fault {
        tracing::warn!("misbehaving on purpose: {fault:?}");
    }
    let front = Front {
        listener,
        hotkey,
        genesis: chain.genesis_hash(),
        callers: callers_known,
        limits: config.limits(),
        stop: stop.clone(),
    };
    let client = Client::new(front.hotkey.clone(), front.genesis);
    let relay = Relay::new(chain.clone(), market, client);
    let (mut worker, mut server) = match source {
        Source::Thread(trainer, settings) => {
            let (worker, miner) = Worker::spawn(*trainer, settings)?;
            let miner = Faulty::new(miner, config.fault).with_relay(relay);
            (Some(worker), front.open(miner))
        }
        Source::Remote(remote) => (None, front.open(*remote)),
    };
    tracing::info!("serving market {market} as uid {uid} at {endpoint}; Ctrl-C ends it");
    let showing = tokio::spawn(show(events));
    let outcome = tokio::select! {
        () = stopped(stop) => {
            tracing::info!("stopping: answering what waits, then the last checkpoint");
            (&mut server).await?.context("the server did not end well")
        }
        served = &mut server => served?.context("the server ended"),
        // Well only once nobody listens, and that is told above.
        followed = &mut follower => followed?.map_err(anyhow::Error::from),
        () = ended(worker.as_mut()) => Ok(()), // and `stop` tells why
    };
    showing.abort();
    follower.abort();
    server.abort();
    if let Some(worker) = worker {
        let step = tokio::task::spawn_blocking(|| worker.stop()).await??;
        tracing::info!("ended after {step} steps of training");
    }
    outcome
}

/// Ready when the model thread has broken off; where there is none, never.
async fn ended(worker: Option<&mut Worker>) {
    match worker {
        Some(worker) => worker.ended().await,
        None => std::future::pending().await,
    }
}

/// What stands before a model, whichever it is.
struct Front {
    listener: Listener,
    hotkey: Keypair,
    genesis: [u8; 32],
    callers: watch::Receiver<Arc<Callers>>,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl Front {
    /// Serves the model until told to stop.
    fn open(self, model: impl Model) -> JoinHandle<Result<(), ServeError>> {
        tokio::spawn(noesis_neuron::serve(
            self.listener,
            model,
            self.hotkey,
            self.genesis,
            self.callers,
            self.limits,
            stopped(self.stop),
        ))
    }
}

/// Listens, or says which flag names the port that is in use.
async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => {
                "the port is in use: end the program that has it, or say another with --listen"
            }
            _ => "say another address of this machine with --listen",
        };
        anyhow!("cannot listen at {address} ({error}): {advice}")
    })
}
