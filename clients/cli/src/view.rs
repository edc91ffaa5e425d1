//! The live table: what it shows.

mod draw;
mod flow;

use noesis_chain::{BlockNumber, Metagraph};

use crate::{
    row::{Answers, Row},
    table, words,
};
pub use draw::draw;

/// What is known of one validator's training.
#[derive(Clone, Debug, Default)]
pub struct Training {
    /// Its name.
    pub name: String,
    /// Steps done.
    pub step: u64,
    /// Steps per second of late.
    pub rate: Option<f64>,
    /// Loss of the last steps, oldest first.
    pub losses: Vec<f64>,
    /// Loss on held-out text with the peers' answers, when last evaluated.
    pub joined: Option<f64>,
    /// The same without them.
    pub alone: Option<f64>,
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On its way to where it should be.
    Starting,
    /// There.
    Ready,
    /// It runs no more.
    Ended,
}

/// How one process is.
#[derive(Clone, Debug)]
pub struct ProcessState {
    /// Its name.
    pub name: String,
    /// What it is doing, in a word or two.
    pub doing: String,
    /// How far it has come.
    pub stage: Stage,
}

/// The state of a market's last finished epoch.
#[derive(Clone, Debug)]
struct Market {
    block: BlockNumber,
    epoch: u64,
    next_epoch_block: BlockNumber,
    tempo: BlockNumber,
    loss: f64,
    in_consensus: bool,
    minted: u64,
}

impl Market {
    /// The consensus loss with what it means.
    fn loss_in_words(&self) -> String {
        let meaning = match self.in_consensus {
            true => "in consensus",
            false => "no consensus, no pay",
        };
        format!("{:.3} ({meaning})", self.loss)
    }
}

/// Everything that the screen shows.
#[derive(Clone, Debug)]
pub struct View {
    /// What is looked at.
    pub title: String,
    /// What is being waited for; empty when nothing is.
    pub stage: String,
    /// Epochs that minted something.
    pub paid_epochs: usize,
    /// The validators that run here.
    pub trainings: Vec<Training>,
    /// The processes that run here.
    pub processes: Vec<ProcessState>,
    /// What to press and where to look, the most needed first.
    pub hints: Vec<String>,
    market: Option<Market>,
    rows: Vec<Row>,
}

impl View {
    /// A view of something of which nothing is known yet.
    pub fn new(title: String) -> Self {
        Self {
            title,
            stage: "asking the node".into(),
            paid_epochs: 0,
            trainings: Vec::new(),
            processes: Vec::new(),
            hints: Vec::new(),
            market: None,
            rows: Vec::new(),
        }
    }

    /// Whether any snapshot was shown.
    pub fn knows_the_market(&self) -> bool {
        self.market.is_some()
    }

    /// Takes over a snapshot made at `block`.
    pub fn show(&mut self, block: BlockNumber, metagraph: &Metagraph, rows: Vec<Row>) {
        self.market = Some(Market {
            block,
            epoch: metagraph.epoch,
            next_epoch_block: metagraph.next_epoch_block,
            tempo: metagraph.rules.tempo.max(1),
            loss: metagraph.loss.to_f64(),
            in_consensus: metagraph.in_consensus,
            minted: metagraph.minted,
        });
        self.rows = rows;
    }

    /// Takes over what the neurons last answered.
    pub fn answer(&mut self, answers: &Answers) {
        for row in &mut self.rows {
            row.answer = answers.get(&row.uid).cloned();
        }
    }

    /// The table as plain text with a line that sums it up, to be left on the terminal; nothing where
    /// the market was never seen.
    pub fn plain(&self) -> Option<String> {
        let market = self.market.as_ref()?;
        let columns = table::columns(&self.rows, table::answers(&self.rows));
        let mut lines = table::lines(&columns);
        lines.push(format!(
            "{}: block {}, epoch {}, consensus loss {}, minted {} NOE",
            self.title,
            market.block,
            market.epoch,
            market.loss_in_words(),
            words::noe(market.minted)
        ));
        Some(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
