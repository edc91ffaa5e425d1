//! One seed: train the miners, run the market until the validators are done, and measure.

use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use noesis_chain::{find_neuron, Hotkey, Metagraph};
use tokio::time::MissedTickBehavior;

use super::{
    cast::{Actor, Part},
    figures::{Figures, Miner},
    observed::{self, Point},
    progress::Progress,
};
use crate::{
    follow::{follow, Pools, Update},
    local::{
        error::LocalError,
        events::Events,
        plan::Plan,
        process::{Death, Supervisor, GRACE, NODE},
        training::Training,
    },
    row::{Answers, Role},
};

/// How often processes and events are looked at.
const TICK: Duration = Duration::from_millis(500);

/// What a seed needs.
pub struct Trial<'a> {
    /// Where everything lies.
    pub plan: &'a Plan,
    /// Who takes part.
    pub cast: &'a [Actor],
    /// Where trained miners are kept.
    pub cache: Option<&'a std::path::Path>,
    /// Held-out examples that everybody is measured by.
    pub examples: u32,
}

/// What a seed gave.
pub struct Outcome {
    /// Its figures.
    pub figures: Figures,
    /// The losses of its first validator on the way.
    pub curve: Vec<Point>,
}

/// What each miner was paid.
#[derive(Default)]
struct Pay {
    /// Units minted in all.
    minted: u64,
    /// The last paid epoch that was seen.
    epoch: u64,
    /// In each paid epoch the incentive and pay of each member.
    epochs: Vec<Vec<(f64, u64)>>,
}

impl Trial<'_> {
    /// Runs the seed. Ends every process it started, whatever comes of it.
    pub async fn run(&self, progress: &mut Progress) -> Result<Outcome> {
        let begin = Instant::now();
        let mut supervisor = Supervisor::default();
        let outcome = self.work(&mut supervisor, progress).await;
        supervisor.stop(GRACE).await;
        let pay = outcome?;
        let miners = self.measure_miners(&pay, &mut supervisor).await?;
        let mut measured = Vec::new();
        for actor in self.cast.iter().filter(|one| one.part == Part::Validator) {
            measured.push(observed::validator(&self.plan.events(&actor.member.name))?);
        }
        let validators: Vec<_> = measured.iter().map(|(_, held_out)| *held_out).collect();
        let minutes = begin.elapsed().as_secs_f64() / 60.0;
        let figures = Figures::of(self.plan.seed, minutes, miners, &validators)
            .context("nobody was measured")?;
        Ok(Outcome {
            figures,
            curve: measured.swap_remove(0).0,
        })
    }

    /// Training, then the market until every validator has ended.
    async fn work(&self, supervisor: &mut Supervisor, progress: &mut Progress) -> Result<Pay> {
        for (index, actor) in self.cast.iter().enumerate() {
            if let Part::Honest(steps @ 1..) = actor.part {
                progress.say(&format!("training {}", actor.member.name));
                let training = Training {
                    plan: self.plan,
                    index,
                    steps,
                };
                training.prepare(self.cache, supervisor).await?;
            }
        }
        self.plan.check_ports()?;
        supervisor.start(NODE, self.plan.node(), &self.plan.log(NODE))?;
        let mut run = Run::new(self, supervisor, progress)?;
        run.until_done().await?;
        Ok(run.pay)
    }

    /// The miners with what they were paid and, the honest, the held-out loss of their own models.
    async fn measure_miners(&self, pay: &Pay, supervisor: &mut Supervisor) -> Result<Vec<Miner>> {
        let mut miners = Vec::new();
        for (index, actor) in self.cast.iter().enumerate() {
            let steps = match actor.part {
                Part::Honest(steps) => Some(steps),
                Part::Worthless => None,
                Part::Validator => continue,
            };
            let name = &actor.member.name;
            let loss = match steps {
                Some(_) => Some(self.evaluate(index, name, supervisor).await?),
                None => None,
            };
            let later = &pay.epochs[pay.epochs.len() / 2..];
            let incentive: f64 = later.iter().map(|epoch| epoch[index].0).sum();
            let earned: u64 = pay.epochs.iter().map(|epoch| epoch[index].1).sum();
            miners.push(Miner {
                name: name.clone(),
                steps,
                incentive: incentive / later.len().max(1) as f64,
                emission_share: earned as f64 / pay.minted.max(1) as f64,
                loss,
            });
        }
        Ok(miners)
    }

    /// The held-out loss of a miner's own model.
    async fn evaluate(&self, index: usize, name: &str, supervisor: &mut Supervisor) -> Result<f64> {
        let (name, log) = (format!("{name}-evaluation"), self.plan.log(name));
        let events = self.plan.events(&name);
        let command = self.plan.evaluate(index, self.examples, &events);
        supervisor.start(&name, command, &log.with_file_name(format!("{name}.log")))?;
        let status = supervisor.wait().await?;
        if !status.success() {
            bail!(
                "{name} failed: see its log in {}",
                self.plan.logs().display()
            );
        }
        observed::miner(&events)
    }
}

/// The market while it runs.
struct Run<'a, 'b> {
    trial: &'a Trial<'b>,
    supervisor: &'a mut Supervisor,
    progress: &'a mut Progress,
    keys: Vec<Hotkey>,
    started: Vec<bool>,
    validators: Vec<Events>,
    /// Validators that still work.
    working: usize,
    pay: Pay,
}

impl<'a, 'b> Run<'a, 'b> {
    fn new(
        trial: &'a Trial<'b>,
        supervisor: &'a mut Supervisor,
        progress: &'a mut Progress,
    ) -> Result<Self> {
        let keys = trial.cast.iter().map(|actor| actor.member.public_key());
        let validators: Vec<Events> = trial
            .cast
            .iter()
            .filter(|actor| actor.part == Part::Validator)
            .map(|actor| Events::new(&actor.member.name, trial.plan.events(&actor.member.name)))
            .collect();
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
            started: vec![false; trial.cast.len()],
            working: validators.len(),
            validators,
            pay: Pay::default(),
            trial,
            supervisor,
            progress,
        })
    }

    async fn until_done(&mut self) -> Result<()> {
        let plan = self.trial.plan;
        let mut updates = follow(plan.url(), plan.market.clone(), Pools::LeftOut);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.working > 0 {
            tokio::select! {
                update = updates.recv() => match update {
                    Some(Update::Snapshot { metagraph, .. }) => self.take(&metagraph)?,
                    // The node is only starting; should it have died, the next tick tells.
                    Some(Update::Waiting(_)) => {}
                    Some(Update::Failed(error)) => bail!(error),
                    None => bail!("the node's blocks ended"),
                },
                _ = tick.tick() => self.tick()?,
            }
        }
        Ok(())
    }

    /// Starts who may start now, and notes what an epoch paid.
    fn take(&mut self, metagraph: &Metagraph) -> Result<()> {
        self.start_next(metagraph)?;
        if metagraph.minted == 0 || metagraph.epoch <= self.pay.epoch {
            return Ok(());
        }
        self.pay.epoch = metagraph.epoch;
        self.pay.minted += metagraph.minted;
        let of = |key| {
            find_neuron(metagraph, key)
                .map_or((0.0, 0), |neuron| (neuron.incentive.to_f64(), neuron.pay))
        };
        self.pay.epochs.push(self.keys.iter().map(of).collect());
        Ok(())
    }

    /// Starts the miners, one at a time for each coldkey, whose calls would cross each other, and the validators
    /// when all miners serve.
    fn start_next(&mut self, metagraph: &Metagraph) -> Result<()> {
        let cast = self.trial.cast;
        let serves = |index: usize| {
            let neuron = find_neuron(metagraph, &self.keys[index]);
            neuron.is_some_and(|neuron| neuron.endpoint.is_some())
        };
        let miners = |index: &usize| cast[*index].member.role == Role::Miner;
        let all_serve = (0..cast.len()).filter(miners).all(serves);
        let mut busy: Vec<&str> = (0..cast.len())
            .filter(miners)
            .filter(|&index| self.started[index] && !serves(index))
            .map(|index| cast[index].member.coldkey)
            .collect();
        let mut next = Vec::new();
        for (index, actor) in cast.iter().enumerate() {
            let may = match actor.member.role {
                Role::Miner => !busy.contains(&actor.member.coldkey),
                Role::Validator => all_serve,
            };
            if may && !self.started[index] {
                busy.push(actor.member.coldkey);
                next.push(index);
            }
        }
        for index in next {
            let (plan, member) = (self.trial.plan, &cast[index].member);
            let log = plan.log(&member.name);
            self.supervisor
                .start(&member.name, plan.neuron(index, member), &log)?;
            self.started[index] = true;
        }
        Ok(())
    }

    /// Takes note of processes that ended, and of the validators' progress.
    fn tick(&mut self) -> Result<()> {
        for death in self.supervisor.deaths() {
            self.bury(death)?;
        }
        let now = Instant::now();
        let mut answers = Answers::new();
        for events in &mut self.validators {
            events.read(now, &mut answers);
        }
        let steps = self.validators.iter().map(|one| one.training.step).min();
        let served = self.started.iter().filter(|started| **started).count();
        self.progress
            .steps(steps.unwrap_or(0), self.pay.epochs.len(), served);
        Ok(())
    }

    /// A validator that is done ends by itself; whoever else ends spoils the run.
    fn bury(&mut self, death: Death) -> Result<()> {
        let mut cast = self.trial.cast.iter();
        let actor = cast.find(|actor| actor.member.name == death.name);
        match actor.map(|actor| actor.part) {
            Some(Part::Validator) if death.success => {
                self.working -= 1;
                Ok(())
            }
            Some(_) => bail!("{death}"),
            None => Err(LocalError::NodeDied(death).into()),
        }
    }
}
