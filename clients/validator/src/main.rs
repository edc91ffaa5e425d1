//! `noesis-validator`: logging, config, data, model, chain, enlist, loop, shutdown.

use anyhow::{bail, Context};
use market_primitives::NOE;
use noesis_chain::{Chain, ChainError};
use noesis_configuration::forget_empty_variables;
use noesis_model::{held_out, DataSet, Folder, Modality, NetworkConfig};
use noesis_neuron::Client;
use noesis_telemetry::{
    log,
    signals::{stop_signal, stopped},
    terminal::Line,
    Telemetry,
};
use noesis_validator::{
    config::{Asked, Cli, Command, Config, KeptStudent, StudentCommand},
    discover::Candidate,
    events::Events,
    kept_answers::KeptAnswers,
    learner::LearnerConfig,
    market::{enlist, follow, vote},
    promises::Kept,
    run::{run, Attention, Connections, End},
    saved,
    student::{
        evaluate::compare,
        export::{export, Training},
        Distillation,
    },
    validator::{Settings, Step, Validator},
};
use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinHandle},
};

/// Tokens of a text in an example.
const SEQUENCE: usize = 64;

fn main() -> ExitCode {
    forget_empty_variables();
    let asked = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    log::begin();
    let done = match asked {
        Asked::Validate(config) => run_until_stopped(*config),
        Asked::Beside(Command::Student(command)) => student(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noesis-validator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Exports or evaluates what a checkpoint holds, beside a validator that may be running.
fn student(command: StudentCommand) -> anyhow::Result<()> {
    let (kept, to, json) = match command {
        StudentCommand::Export { kept, to } => (kept, Some(to), false),
        StudentCommand::Evaluate { kept, json } => (kept, None, json),
    };
    let KeptStudent {
        checkpoint,
        data,
        device,
    } = kept;
    let path = checkpoint.join(saved::FILE);
    let (learner, state) = saved::open(&path, device.resolve()?)?;
    let Some(student) = learner.student() else {
        bail!(
            "{} has no student: run the validator with --student",
            path.display()
        );
    };
    let modality = learner.modality();
    let set = DataSet::load(modality, &data, SEQUENCE)?;
    let answers = KeptAnswers::load(&KeptAnswers::beside(&path), &learner.config().model)?;
    let comparison = compare(&learner, &answers, &set)?;
    match to {
        Some(to) => {
            let name = data.file_name().unwrap_or(data.as_os_str());
            let training = Training {
                data: name.to_string_lossy().into_owned(),
                own_bytes: state.own_bytes,
                comparison,
            };
            export(student, &training, &to)?;
            println!(
                "the student is in {}; README.md there says how to load it",
                to.display()
            );
        }
        None if json => println!("{}", serde_json::to_string_pretty(&comparison)?),
        None => print!("{comparison}"),
    }
    Ok(())
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
    let coldkey = (config.password.keypair(&config.coldkey)).context("--coldkey")?;
    let hotkey = (config.password.keypair(&config.hotkey)).context("--hotkey")?;
    let ourselves = hotkey.public_key().0;
    let device = config.device.resolve()?;
    noesis_model::set_threads(config.threads);
    let events = Events::open(config.events.as_deref()).with_context(|| {
        let path = config.events.as_deref().unwrap_or(Path::new(""));
        format!("--events {}: the file cannot be opened", path.display())
    })?;
    let events = events.and(Telemetry::open(&config.telemetry).await?);
    let _folder = Folder::take(&config.checkpoint)?;
    let checkpoint = config.checkpoint.join(saved::FILE);

    let chain = Chain::connect(&config.chain).await?;
    let market = chain.find_market(&config.market).await?;
    let metagraph = chain.metagraph(market).await?;
    let data = DataSet::load(metagraph.modality, &config.data, SEQUENCE)?;

    let mut client = Client::new(hotkey.clone(), chain.genesis_hash())
        .expecting(metagraph.rules.response_dim)
        .taking(config.encodings);
    if config.allow_cleartext {
        client = client.in_the_clear();
    }
    // Of public data a seed that anybody knows would tell everybody what peers are scored by.
    let kept = saved::seed(&checkpoint)?;
    let seed = config.seed.or(kept).unwrap_or_else(rand::random);
    let model = data.builtin(metagraph.rules.response_dim.into());
    let settings = settings(&config, model, seed);
    let mut validator = Validator::new(settings, client, &data, device, events)?;
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
    let commitments = config.checkpoint.join("commitments.json");
    let kept = Kept::open(commitments.clone())
        .with_context(|| format!("{} cannot be read", commitments.display()))?;
    let mut following = tokio::spawn(follow(chain.clone(), market, view_sender));
    let voting = vote(
        chain,
        hotkey,
        market,
        kept,
        view.clone(),
        scores_receiver,
        votes_sender,
    );
    let mut voting = tokio::spawn(voting);
    let connections = Connections {
        view,
        scores,
        votes,
    };
    let attention = Attention {
        ourselves,
        places: config.peers.into(),
        exploration: 0.25,
        every: Duration::from_millis(config.step_every.into()),
    };

    tracing::info!(
        own_data = validator.own_bytes(),
        "validating market {market} at {}; Ctrl-C stops",
        config.chain
    );
    let told = stop_signal()?;
    let mut lost = None;
    let stop = async {
        lost = tokio::select! {
            () = stopped(told) => None,
            why = market_lost(&mut following, &mut voting) => Some(why),
        };
    };
    let held_out = config
        .evaluate
        .map(|examples| held_out(&data, examples as usize));
    let end = End {
        steps: config.steps,
        held_out: held_out.transpose()?.unwrap_or_default(),
    };
    let progress = progress(validator.learner().step_count(), config.steps);
    run(
        &mut validator,
        connections,
        attention,
        &checkpoint,
        end,
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
    lost.map_or(Ok(()), Err)
}

/// Waits for either task to end, which a running market gives no reason for, and tells why: without them a validator would
/// train on, and nobody would hear of it.
async fn market_lost(
    following: &mut JoinHandle<Result<(), ChainError>>,
    voting: &mut JoinHandle<()>,
) -> anyhow::Error {
    tokio::select! {
        biased;
        ended = &mut *following => return not_followed(ended),
        ended = voting => if let Err(error) = ended {
            return anyhow::Error::new(error).context("voting ended");
        },
    }
    // Who votes goes by what is followed, and ends with it.
    not_followed(following.await)
}

/// Why the market is no longer followed.
fn not_followed(ended: Result<Result<(), ChainError>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("nobody follows the market any more"),
        Ok(Err(error)) => anyhow::Error::new(error).context("the market can no longer be followed"),
        Err(error) => anyhow::Error::new(error).context("following the market ended"),
    }
}

fn settings(config: &Config, model: NetworkConfig, seed: u64) -> Settings {
    // A text has a target a byte, an image one in all.
    let own_data = match model.modality() {
        Modality::Text => Settings::default().own_data,
        Modality::Image | Modality::Tensor => 4000 * 28 * 28,
    };
    Settings {
        learner: LearnerConfig {
            model,
            rate: config.rate,
            k: config.top_k.into(),
            student: config.student.then(Distillation::default),
            seed,
            ..LearnerConfig::default()
        },
        batch: config.batch.into(),
        own_data: config.own_data.unwrap_or(own_data),
        assess_every: config.assess_every,
        examples: config.examples.into(),
        seed,
        ..Settings::default()
    }
}

/// A line that is kept up to date on a terminal, with a bar and the time left where it is said how many steps there are;
/// elsewhere a line of the log now and then.
fn progress(done: u64, steps: Option<u64>) -> impl FnMut(&Step, &[Candidate]) {
    let line = match steps {
        Some(steps) => Line::of_steps(done, steps),
        None => Line::on_terminal(),
    };
    let of = steps
        .map(|steps| format!(" of {steps}"))
        .unwrap_or_default();
    let (mut began, mut taken, mut rate) = (Instant::now(), 0u32, 0.0);
    move |step, peers| {
        taken += 1;
        let elapsed = began.elapsed().as_secs_f64();
        if elapsed >= 5.0 {
            rate = f64::from(taken) / elapsed;
            (began, taken) = (Instant::now(), 0);
        }
        let answered = step
            .answers
            .iter()
            .filter(|one| one.outcome == "ok")
            .count();
        let words = format!(
            "step {}{of}, loss {:.3}, {} of {} asked answered, {} peers, {rate:.1} steps/s",
            step.step,
            step.loss,
            answered,
            step.answers.len(),
            peers.len()
        );
        match &line {
            Some(line) => line.say(step.step, words),
            None if taken == 0 => tracing::info!("{words}"),
            None => {}
        }
    }
}
