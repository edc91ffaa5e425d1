//! The running network: what is started when, what is known of it, and when it is done.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{bail, Result};
use noesis_chain::Metagraph;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{board::Board, report::Reports, Arguments};
use crate::{
    follow::{follow, Pools, Update},
    local::{
        error::LocalError,
        plan::Plan,
        process::{Supervisor, NODE},
        report_file,
    },
    screen::{say, Pressed, Screen},
    table,
    view::{ProcessState, Stage},
    words,
};

/// How often processes, events and keys are looked at.
const TICK: Duration = Duration::from_millis(100);

/// The network while it runs.
pub struct Network<'a> {
    supervisor: &'a mut Supervisor,
    screen: Option<Screen>,
    /// Its markets, of which there is one at least.
    boards: Vec<Board<'a>>,
    /// Which of them the screen shows.
    shown: usize,
    json: Option<PathBuf>,
    epochs: Option<usize>,
    limit: Option<Duration>,
    begin: Instant,
    /// When the last process was started.
    started: Option<Instant>,
}

impl<'a> Network<'a> {
    /// Starts the node of these markets' plans, of which there is one at least.
    pub fn new(
        arguments: &Arguments,
        plans: &'a [Plan],
        supervisor: &'a mut Supervisor,
    ) -> Result<Self> {
        supervisor.start(NODE, plans[0].node(), &plans[0].log(NODE))?;
        let mut boards = plans
            .iter()
            .map(Board::new)
            .collect::<Result<Vec<Board>>>()?;
        let program = words::shell(&std::env::current_exe()?);
        for board in &mut boards {
            let Plan { market, .. } = board.plan;
            let market = match market.as_str() {
                "text" => String::new(), // the default
                other => format!(" --market {other}"),
            };
            let mut hints = vec!["q or Ctrl-C ends every process of this network".into()];
            if plans.len() > 1 {
                hints.push("Tab shows the next market".into());
            }
            hints.push(format!("logs in {}", board.plan.logs().display()));
            hints.push(format!(
                "{program} watch --url {}{market}",
                board.plan.url()
            ));
            board.view.hints = hints;
        }
        let mut network = Self {
            supervisor,
            screen: None,
            boards,
            shown: 0,
            json: arguments.json.clone(),
            epochs: arguments.epochs.map(|epochs| epochs as usize),
            limit: arguments.limit(),
            begin: Instant::now(),
            started: None,
        };
        if arguments.table() {
            network.screen = Some(Screen::open()?);
        }
        for index in 0..network.boards.len() {
            network.stage(index, "starting the node".into());
        }
        Ok(network)
    }

    /// Runs until enough epochs were paid in every market or somebody presses `q`.
    pub async fn run(mut self) -> Result<()> {
        let mut updates = self.follow();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                update = updates.recv() => match update {
                    Some((index, Update::Snapshot { block, metagraph, .. })) => {
                        self.take(index, block, &metagraph)?;
                        if self.paid_enough() {
                            return Ok(());
                        }
                    }
                    // The node is only starting; should it have died, the next tick tells.
                    Some((_, Update::Waiting(_))) => {}
                    Some((_, Update::Failed(error))) => bail!(error),
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

    /// Follows every market; what comes has the market's place among the boards.
    fn follow(&self) -> mpsc::Receiver<(usize, Update)> {
        let (sender, receiver) = mpsc::channel(16);
        for (index, board) in self.boards.iter().enumerate() {
            let mut updates = follow(board.plan.url(), board.plan.market.clone(), Pools::LeftOut);
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(update) = updates.recv().await {
                    if sender.send((index, update)).await.is_err() {
                        return;
                    }
                }
            });
        }
        receiver
    }

    /// Takes up a snapshot of a market.
    fn take(&mut self, index: usize, block: u32, metagraph: &Metagraph) -> Result<()> {
        // A node that finalizes blocks makes them.
        if self.started.is_none() && block > 0 {
            self.start_neurons()?;
        }
        let paid = self.boards[index].take(block, metagraph, self.started);
        if let Some(epoch) = paid {
            self.write()?;
            self.say(index, &epoch);
        }
        let stage = self.boards[index].stage(metagraph, self.started.is_some());
        self.stage(index, stage);
        Ok(())
    }

    fn start_neurons(&mut self) -> Result<()> {
        for Board { plan, .. } in &self.boards {
            for (index, member) in plan.members.iter().enumerate() {
                let command = plan.neuron(index, member);
                self.supervisor
                    .start(&member.name, command, &plan.log(&member.name))?;
            }
        }
        self.started = Some(Instant::now());
        Ok(())
    }

    /// Writes the report, where one is wanted: of one market, or of each.
    fn write(&self) -> Result<()> {
        match (&self.json, self.boards.as_slice()) {
            (None, _) => Ok(()),
            (Some(path), [board]) => report_file::write(path, &board.report),
            (Some(path), boards) => {
                let reports = boards.iter();
                let markets = reports
                    .map(|board| (board.plan.market.as_str(), &board.report))
                    .collect();
                report_file::write(path, &Reports { markets })
            }
        }
    }

    /// Whether every market has paid as many epochs as were asked for.
    fn paid_enough(&self) -> bool {
        let paid = self.boards.iter().map(|board| board.report.epochs.len());
        self.epochs.is_some_and(|epochs| paid.min() >= Some(epochs))
    }

    /// Looks after processes, events, keys and time; whether somebody asked to end.
    fn tick(&mut self) -> Result<bool> {
        self.bury()?;
        self.check_votes()?;
        let now = Instant::now();
        for index in 0..self.boards.len() {
            self.boards[index].read(now);
            self.boards[index].view.processes = self.processes(index);
        }
        if let Some(limit) = self.limit.filter(|limit| self.begin.elapsed() > *limit) {
            return Err(self.timed_out(limit).into());
        }
        let Some(screen) = &mut self.screen else {
            return Ok(false);
        };
        screen.draw(&self.boards[self.shown].view)?;
        match screen.pressed()? {
            Pressed::End => Ok(true),
            Pressed::Next => {
                self.shown = (self.shown + 1) % self.boards.len();
                Ok(false)
            }
            Pressed::Nothing => Ok(false),
        }
    }

    /// It took too long: for what, of the market that has paid least.
    fn timed_out(&self, limit: Duration) -> LocalError {
        let paid = |board: &&Board| board.report.epochs.len();
        let board = self.boards.iter().min_by_key(paid);
        let stage = board.map_or_else(String::new, |board| match board.view.stage.as_str() {
            "" => format!("only {} epochs were paid", board.report.epochs.len()),
            stage => stage.into(),
        });
        LocalError::TimedOut {
            limit,
            stage,
            logs: self.boards[0].plan.logs(),
        }
    }

    /// Takes note of processes that ended. The network outlives its neurons, not its node.
    fn bury(&mut self) -> Result<()> {
        for death in self.supervisor.deaths() {
            let mut boards = self.boards.iter_mut().enumerate();
            let found = boards.find_map(|(index, board)| Some((index, board.find(&death.name)?)));
            let Some((index, neuron)) = found else {
                return Err(LocalError::NodeDied(death).into());
            };
            neuron.ended = Some(death.status.clone());
            self.say(index, &death.to_string());
        }
        Ok(())
    }

    /// Fails where epochs are waited for that nobody is left to vote for.
    fn check_votes(&self) -> Result<(), LocalError> {
        let Some(epochs) = self.epochs else {
            return Ok(());
        };
        match self.boards.iter().find(|board| board.is_without_votes()) {
            Some(board) => Err(LocalError::NobodyVotes {
                paid: board.report.epochs.len(),
                epochs,
                logs: board.plan.logs(),
            }),
            None => Ok(()),
        }
    }

    /// The node and the processes of a market.
    fn processes(&self, index: usize) -> Vec<ProcessState> {
        let (doing, stage) = match self.started {
            Some(_) => ("making blocks", Stage::Ready),
            None => ("starting", Stage::Starting),
        };
        let node = ProcessState {
            name: NODE.into(),
            doing: doing.into(),
            stage,
        };
        let neurons = self.boards[index].processes(self.started.is_some());
        std::iter::once(node).chain(neurons).collect()
    }

    /// Notes what a market waits for, and says it where there is no table.
    fn stage(&mut self, index: usize, stage: String) {
        let view = &mut self.boards[index].view;
        if view.stage != stage {
            view.stage.clone_from(&stage);
            if !stage.is_empty() {
                self.say(index, &stage);
            }
        }
    }

    /// A line about a market for whoever has no table.
    fn say(&self, index: usize, text: &str) {
        if self.screen.is_none() {
            let seconds = self.begin.elapsed().as_secs_f64();
            let market = match self.boards.as_slice() {
                [_] => String::new(),
                boards => format!("{}: ", boards[index].plan.market),
            };
            say(&format!("[{seconds:5.1} s] {market}{text}"));
        }
    }
}

/// Leaves the last table on the terminal when the screen is given back, however it comes to that.
impl Drop for Network<'_> {
    fn drop(&mut self) {
        if self.screen.take().is_some() {
            for board in &self.boards {
                board.view.plain(table::width()).as_deref().map(say);
            }
        }
    }
}

#[cfg(test)]
mod tests;
