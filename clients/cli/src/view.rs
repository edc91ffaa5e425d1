//! The live table: what it shows.

mod draw;
mod flow;

use std::time::{Duration, Instant};

use noesis_chain::{BlockNumber, Metagraph};

use crate::{
    row::{Answers, Row},
    table, words,
};
pub use draw::draw;
use flow::flow;

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
    /// Loss of the kept-apart examples by which peers are scored, with the peers' answers, when last evaluated.
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
    /// Why nobody is paid for what was voted, where it is so.
    unpaid: Option<String>,
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

/// Why no vote counts any more at the next epoch: without it people look for the fault with the miners.
fn why_unpaid(metagraph: &Metagraph) -> Option<String> {
    let cutoff = metagraph.rules.activity_cutoff;
    let votes = metagraph.neurons.iter().map(|neuron| neuron.last_update);
    // `None` where nobody has voted, which needs no words.
    let newest = votes.max()??;
    let age = metagraph.next_epoch_block.saturating_sub(newest);
    (age > cutoff).then(|| {
        format!(
            "the newest weights are of block {newest}: at the next epoch all are older than activity_cutoff \
             ({cutoff} blocks) and count no more, so nobody is paid until a validator sets them again"
        )
    })
}

/// When the newest block became final, and how long after the one before.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    at: Instant,
    after: Option<Duration>,
}

impl Pulse {
    /// That of a block that comes now.
    fn now(before: Option<Self>) -> Self {
        let at = Instant::now();
        let after = before.map(|before| at - before.at);
        Self { at, after }
    }

    /// For how long no block has become final, where it is longer than is usual here.
    fn silence(self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.at);
        let usual = self.after.map_or(4 * USUAL, |after| (after * 2).max(USUAL));
        (silence > usual.min(20 * USUAL)).then_some(silence)
    }
}

/// A pause between two blocks that is nothing out of the way.
const USUAL: Duration = Duration::from_secs(3);

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
    pulse: Option<Pulse>,
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
            pulse: None,
            rows: Vec::new(),
        }
    }

    /// Whether any snapshot was shown.
    pub fn knows_the_market(&self) -> bool {
        self.market.is_some()
    }

    /// Takes over a snapshot made at `block`.
    pub fn show(&mut self, block: BlockNumber, metagraph: &Metagraph, rows: Vec<Row>) {
        // The first block comes with the genesis, and one that is asked for in silence was there.
        if block > self.market.as_ref().map_or(0, |last| last.block) {
            self.pulse = Some(Pulse::now(self.pulse));
        }
        self.market = Some(Market {
            block,
            epoch: metagraph.epoch,
            next_epoch_block: metagraph.next_epoch_block,
            tempo: metagraph.rules.tempo.max(1),
            loss: metagraph.loss.to_f64(),
            in_consensus: metagraph.in_consensus,
            minted: metagraph.minted,
            unpaid: why_unpaid(metagraph),
        });
        self.rows = rows;
    }

    /// Takes over what the neurons last answered.
    pub fn answer(&mut self, answers: &Answers) {
        for row in &mut self.rows {
            row.answer = answers.get(&row.uid).cloned();
        }
    }

    /// What is out of the way: that no block becomes final, and why nobody is paid.
    fn warnings(&self, now: Instant) -> Vec<String> {
        let silence = self.pulse.and_then(|pulse| pulse.silence(now));
        let silence =
            silence.map(|silence| format!("no block has become final for {} s", silence.as_secs()));
        let unpaid = self
            .market
            .as_ref()
            .and_then(|market| market.unpaid.clone());
        silence.into_iter().chain(unpaid).collect()
    }

    /// The table as lines of plain text no longer than `width`, with what sums it up, to be left on the terminal;
    /// nothing where the market was never seen.
    pub fn plain(&self, width: usize) -> Option<String> {
        let market = self.market.as_ref()?;
        let columns = table::columns(&self.rows, table::answers(&self.rows));
        let mut lines = table::fitted(columns, table::dispensable(&self.rows), width);
        let sum = format!(
            "{}: block {}, epoch {}, consensus loss {}, minted {} NOE",
            self.title,
            market.block,
            market.epoch,
            market.loss_in_words(),
            words::noe(market.minted)
        );
        for text in std::iter::once(sum).chain(self.warnings(Instant::now())) {
            let flown = flow(flow::words(&text), 1, width);
            lines.extend(flown.iter().map(ToString::to_string));
        }
        Some(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
