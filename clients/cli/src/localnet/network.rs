//! The running network: what is started when, what is known of it, and when it is done.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{bail, Result};
use noesis_chain::Metagraph;
use tokio::time::MissedTickBehavior;

use super::{
    neuron::Neuron,
    report::{line, Report},
    Arguments,
};
use crate::{
    follow::{follow, Update},
    local::{
        error::LocalError,
        events::Events,
        plan::{names, Plan},
        process::Supervisor,
        report_file,
    },
    row::{rows, Answers, Names, Role},
    screen::{say, Screen},
    view::{ProcessState, Stage, View},
    words,
};

/// Name of the node's process.
const NODE: &str = "node";

/// How often processes, events and keys are looked at.
const TICK: Duration = Duration::from_millis(100);

/// The network while it runs.
pub struct Network<'a> {
    plan: &'a Plan,
    supervisor: &'a mut Supervisor,
    screen: Option<Screen>,
    view: View,
    neurons: Vec<Neuron>,
    names: Names,
    answers: Answers,
    events: Vec<Events>,
    report: Report,
    json: Option<PathBuf>,
    epochs: Option<usize>,
    limit: Option<Duration>,
    begin: Instant,
    /// When the last process was started.
    started: Option<Instant>,
    /// When every neuron had registered and every miner had published its endpoint.
    up: Option<Instant>,
}

impl<'a> Network<'a> {
    /// Starts the node.
    pub fn new(
        arguments: &Arguments,
        plan: &'a Plan,
        supervisor: &'a mut Supervisor,
    ) -> Result<Self> {
        supervisor.start(NODE, plan.node(), &plan.log(NODE))?;
        let neurons = (plan.members.iter().cloned())
            .map(Neuron::new)
            .collect::<Result<Vec<Neuron>>>()?;
        let events = neurons
            .iter()
            .filter(|neuron| neuron.member.role == Role::Validator)
            .map(|neuron| Events::new(&neuron.member.name, plan.events(&neuron.member.name)))
            .collect();
        let mut view = View::new(format!(
            "{} market, local network at {}",
            plan.market,
            plan.url()
        ));
        view.hints = vec![
            "q or Ctrl-C ends every process of this network".into(),
            format!("logs in {}", plan.logs().display()),
            // Text is the default market.
            format!(
                "{} watch --url {}",
                words::shell(&std::env::current_exe()?),
                plan.url()
            ),
        ];
        let mut network = Self {
            plan,
            supervisor,
            screen: None,
            view,
            neurons,
            names: names(&plan.members)?,
            answers: Answers::new(),
            events,
            report: Report::default(),
            json: arguments.json.clone(),
            epochs: arguments.epochs.map(|epochs| epochs as usize),
            limit: arguments.limit(),
            begin: Instant::now(),
            started: None,
            up: None,
        };
        if arguments.table() {
            network.screen = Some(Screen::open()?);
        }
        network.stage("starting the node".into());
        Ok(network)
    }

    /// Runs until enough epochs were paid or somebody presses `q`.
    pub async fn run(mut self) -> Result<()> {
        let mut updates = follow(self.plan.url(), self.plan.market.clone());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                update = updates.recv() => match update {
                    Some(Update::Snapshot { block, metagraph }) => {
                        self.take(block, &metagraph)?;
                        if self.epochs.is_some_and(|epochs| self.report.epochs.len() >= epochs) {
                            return Ok(());
                        }
                    }
                    // The node is only starting; should it have died, the next tick tells.
                    Some(Update::Waiting(_)) => {}
                    Some(Update::Failed(error)) => bail!(error),
                    None => bail!("the node's blocks ended"),
                },
                _ = tick.tick() => {
                    if self.tick()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes up a snapshot of the market.
    fn take(&mut self, block: u32, metagraph: &Metagraph) -> Result<()> {
        // A node that finalizes blocks makes them.
        if self.started.is_none() && block > 0 {
            self.start_neurons()?;
        }
        for neuron in &mut self.neurons {
            neuron.take(metagraph);
        }
        let now = Instant::now();
        if self.up.is_none() && !self.neurons.iter().any(Neuron::awaited) {
            self.up = Some(now);
        }
        let rows = rows(metagraph, &self.names, &self.answers);
        self.view.show(block, metagraph, rows.clone());
        if self.report.add(metagraph, rows, &self.view.trainings) {
            self.paid(now)?;
        }
        self.describe(metagraph);
        Ok(())
    }

    fn start_neurons(&mut self) -> Result<()> {
        for (index, neuron) in self.neurons.iter().enumerate() {
            let name = &neuron.member.name;
            let command = self.plan.neuron(index, &neuron.member);
            self.supervisor.start(name, command, &self.plan.log(name))?;
        }
        self.started = Some(Instant::now());
        Ok(())
    }

    /// An epoch was paid: measure the first, write the report, say it.
    fn paid(&mut self, now: Instant) -> Result<()> {
        let since = |from: Option<Instant>| Some(now.duration_since(from?).as_secs_f64());
        let report = &mut self.report;
        if report.first_paid_epoch_seconds_after_start.is_none() {
            report.first_paid_epoch_seconds_after_start = since(self.started);
            report.first_paid_epoch_seconds = since(self.up.or(Some(now)));
        }
        self.view.paid_epochs = report.epochs.len();
        if let Some(json) = &self.json {
            report_file::write(json, report)?;
        }
        if let Some(epoch) = self.report.epochs.last() {
            self.say(&line(epoch));
        }
        Ok(())
    }

    /// Says what the network is about.
    fn describe(&mut self, metagraph: &Metagraph) {
        let mut awaited: Vec<&str> = self
            .neurons
            .iter()
            .filter(|neuron| neuron.awaited())
            .map(|neuron| neuron.member.name.as_str())
            .collect();
        awaited.sort();
        let stage = if self.started.is_none() {
            "waiting for the node's first finalized block".into()
        } else if !awaited.is_empty() {
            format!("waiting for {}", awaited.join(", "))
        } else if self.report.epochs.is_empty() {
            format!(
                "the validators are still measuring the miners: epochs finished {}, none paid yet",
                metagraph.epoch
            )
        } else {
            String::new()
        };
        self.stage(stage);
    }

    /// Looks after processes, events, keys and time; whether somebody asked to end.
    fn tick(&mut self) -> Result<bool> {
        self.bury()?;
        self.check_votes()?;
        let now = Instant::now();
        for events in &mut self.events {
            events.read(now, &mut self.answers);
        }
        self.view.trainings = self
            .events
            .iter()
            .map(|events| events.training.clone())
            .collect();
        self.view.answer(&self.answers);
        self.view.processes = self.processes();
        if let Some(limit) = self.limit.filter(|limit| self.begin.elapsed() > *limit) {
            return Err(LocalError::TimedOut {
                limit,
                stage: match self.view.stage.as_str() {
                    "" => format!("only {} epochs were paid", self.report.epochs.len()),
                    stage => stage.into(),
                },
                logs: self.plan.logs(),
            }
            .into());
        }
        match &mut self.screen {
            None => Ok(false),
            Some(screen) => {
                screen.draw(&self.view)?;
                Ok(screen.asked_to_end()?)
            }
        }
    }

    /// Takes note of processes that ended. The network outlives its neurons, not its node.
    fn bury(&mut self) -> Result<()> {
        for death in self.supervisor.deaths() {
            let neurons = &mut self.neurons;
            let dead = neurons.iter_mut().find(|one| one.member.name == death.name);
            let Some(neuron) = dead else {
                return Err(LocalError::NodeDied(death).into());
            };
            neuron.ended = Some(death.status.clone());
            self.say(&death.to_string());
        }
        Ok(())
    }

    /// Fails where epochs are waited for that nobody is left to vote for.
    fn check_votes(&self) -> Result<(), LocalError> {
        let mut validators = self
            .neurons
            .iter()
            .filter(|one| one.member.role == Role::Validator);
        match self.epochs {
            Some(epochs) if validators.all(|validator| validator.ended.is_some()) => {
                Err(LocalError::NobodyVotes {
                    paid: self.report.epochs.len(),
                    epochs,
                    logs: self.plan.logs(),
                })
            }
            _ => Ok(()),
        }
    }

    fn processes(&self) -> Vec<ProcessState> {
        let (doing, stage) = match self.started {
            Some(_) => ("making blocks", Stage::Ready),
            None => ("starting", Stage::Starting),
        };
        let node = ProcessState {
            name: NODE.into(),
            doing: doing.into(),
            stage,
        };
        let neurons = self.neurons.iter().map(|neuron| ProcessState {
            name: neuron.member.name.clone(),
            doing: match self.started {
                Some(_) => neuron.doing(),
                None => "waiting".into(),
            },
            stage: neuron.stage(),
        });
        std::iter::once(node).chain(neurons).collect()
    }

    /// Notes what is awaited, and says it where there is no table.
    fn stage(&mut self, stage: String) {
        if self.view.stage != stage {
            self.view.stage = stage;
            if !self.view.stage.is_empty() {
                self.say(&self.view.stage.clone());
            }
        }
    }

    /// A line for whoever has no table.
    fn say(&self, text: &str) {
        if self.screen.is_none() {
            let seconds = self.begin.elapsed().as_secs_f64();
            say(&format!("[{seconds:5.1} s] {text}"));
        }
    }
}

/// Leaves the last table on the terminal when the screen is given back, however it comes to that.
impl Drop for Network<'_> {
    fn drop(&mut self) {
        if self.screen.take().is_some() {
            self.view.plain().as_deref().map(say);
        }
    }
}

#[cfg(test)]
mod tests;
