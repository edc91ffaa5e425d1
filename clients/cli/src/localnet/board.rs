//! One market of the network: its neurons, what is known of them, and its table.

use std::time::Instant;

use anyhow::Result;
use noesis_chain::{BlockNumber, Metagraph};

use super::{
    neuron::Neuron,
    report::{line, Report},
};
use crate::{
    local::{
        events::Events,
        plan::{names, Plan},
    },
    row::{rows, Answers, Names, Role},
    view::{ProcessState, View},
};

/// One market while it runs.
pub struct Board<'a> {
    /// What it consists of.
    pub plan: &'a Plan,
    /// Its table.
    pub view: View,
    /// Its neurons, in the order of the plan's members.
    pub neurons: Vec<Neuron>,
    /// Its paid epochs.
    pub report: Report,
    names: Names,
    answers: Answers,
    events: Vec<Events>,
    /// When every neuron had registered and every miner had published its endpoint.
    up: Option<Instant>,
}

impl<'a> Board<'a> {
    /// A market of which nothing is known yet.
    pub fn new(plan: &'a Plan) -> Result<Self> {
        let neurons = (plan.members.iter().cloned())
            .map(Neuron::new)
            .collect::<Result<Vec<Neuron>>>()?;
        let events = neurons
            .iter()
            .filter(|neuron| neuron.member.role == Role::Validator)
            .map(|neuron| Events::new(&neuron.member.name, plan.events(&neuron.member.name)))
            .collect();
        Ok(Self {
            view: View::new(format!(
                "{} market, local network at {}",
                plan.market,
                plan.url()
            )),
            neurons,
            names: names(&plan.members)?,
            answers: Answers::new(),
            events,
            report: Report::default(),
            up: None,
            plan,
        })
    }

    /// Takes up a snapshot of the market, its processes being started or not; tells of an epoch that was paid.
    pub fn take(
        &mut self,
        block: BlockNumber,
        metagraph: &Metagraph,
        started: Option<Instant>,
    ) -> Option<String> {
        for neuron in &mut self.neurons {
            neuron.take(metagraph);
        }
        let now = Instant::now();
        if self.up.is_none() && !self.neurons.iter().any(Neuron::awaited) {
            self.up = Some(now);
        }
        let rows = rows(metagraph, &self.names, &self.answers);
        self.view.show(block, metagraph, rows.clone());
        if !self.report.add(metagraph, rows, &self.view.trainings) {
            return None;
        }
        let since = |from: Option<Instant>| Some(now.duration_since(from?).as_secs_f64());
        let report = &mut self.report;
        if report.first_paid_epoch_seconds.is_none() {
            report.first_paid_epoch_seconds_after_start = since(started);
            report.first_paid_epoch_seconds = since(self.up.or(Some(now)));
        }
        self.view.paid_epochs = report.epochs.len();
        report.epochs.last().map(line)
    }

    /// What it is about, its processes being started or not; empty where nothing is awaited.
    pub fn stage(&self, metagraph: &Metagraph, started: bool) -> String {
        let awaited = self.neurons.iter().filter(|neuron| neuron.awaited());
        let mut awaited: Vec<&str> = awaited.map(|one| one.member.name.as_str()).collect();
        awaited.sort();
        if !started {
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
        }
    }

    /// Reads what the validators have told of their training.
    pub fn read(&mut self, now: Instant) {
        for events in &mut self.events {
            events.read(now, &mut self.answers);
        }
        self.view.trainings = self
            .events
            .iter()
            .map(|events| events.training.clone())
            .collect();
        self.view.answer(&self.answers);
    }

    /// The neuron whose process has that name.
    pub fn find(&mut self, name: &str) -> Option<&mut Neuron> {
        self.neurons.iter_mut().find(|one| one.member.name == name)
    }

    /// Whether nobody is left to vote.
    pub fn is_without_votes(&self) -> bool {
        let mut validators = self
            .neurons
            .iter()
            .filter(|one| one.member.role == Role::Validator);
        validators.all(|validator| validator.ended.is_some())
    }

    /// How its processes are, started or not.
    pub fn processes(&self, started: bool) -> impl Iterator<Item = ProcessState> + '_ {
        self.neurons.iter().map(move |neuron| ProcessState {
            name: neuron.member.name.clone(),
            doing: match started {
                true => neuron.doing(),
                false => "waiting".into(),
            },
            stage: neuron.stage(),
        })
    }
}
