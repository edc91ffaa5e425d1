//! The live table: a state, and the function that draws it.

use noesis_chain::{BlockNumber, Metagraph};
use ratatui::{
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Cell, Gauge, Paragraph, Row as TableRow, Sparkline, Table, Wrap},
    Frame,
};

use crate::{
    row::{Role, Row},
    words,
};

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

/// How one process is.
#[derive(Clone, Debug)]
pub struct ProcessState {
    /// Its name.
    pub name: String,
    /// What it is doing, in a word or two.
    pub doing: String,
    /// Whether it has got where it should be.
    pub ready: bool,
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
    /// Where to look and what to press.
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
    pub fn answer(&mut self, answers: &crate::row::Answers) {
        for row in &mut self.rows {
            row.answer = answers.get(&row.uid).cloned();
        }
    }
}

/// Draws the state. Legible from 100 by 30 characters on; smaller terminals lose the lower parts.
pub fn draw(frame: &mut Frame, view: &View) {
    let lines = |count: usize, border: u16| count as u16 + border;
    let table_height = lines(view.rows.len().clamp(1, 64), 3);
    let [head, clock, table, trainings, processes, hints] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(2),
        Constraint::Max(table_height),
        Constraint::Length(match view.trainings.len() {
            0 => 0,
            count => lines(count, 3),
        }),
        Constraint::Length(if view.processes.is_empty() { 0 } else { 4 }),
        Constraint::Min(view.hints.len() as u16),
    ])
    .areas(frame.area());
    draw_head(frame, head, view);
    draw_clock(frame, clock, view);
    draw_table(frame, table, view);
    if !view.trainings.is_empty() {
        draw_trainings(frame, trainings, &view.trainings);
    }
    if !view.processes.is_empty() {
        draw_processes(frame, processes, &view.processes);
    }
    let hints_text: Vec<Line> = view
        .hints
        .iter()
        .map(|hint| Line::from(hint.as_str()))
        .collect();
    frame.render_widget(Paragraph::new(hints_text).dark_gray(), hints);
}

fn draw_head(frame: &mut Frame, area: Rect, view: &View) {
    let mut first = vec![
        " Noesis ".bold().reversed(),
        "  ".into(),
        view.title.clone().into(),
    ];
    if !view.stage.is_empty() {
        first.push("  ".into());
        first.push(view.stage.clone().yellow());
    }
    let second = match &view.market {
        None => Line::default(),
        Some(market) => Line::from(vec![
            format!(
                "block {}   epoch {}   consensus loss ",
                market.block, market.epoch
            )
            .into(),
            if market.in_consensus {
                format!("{:.3} (in consensus)", market.loss).green()
            } else {
                format!("{:.3} (no consensus, no pay)", market.loss).red()
            },
            format!("   minted {} NOE", words::noe(market.minted)).into(),
            match view.paid_epochs {
                0 => Span::default(),
                count => format!("   paid epochs {count}").into(),
            },
        ]),
    };
    frame.render_widget(Paragraph::new(vec![Line::from(first), second]), area);
}

/// The countdown to the next epoch.
fn draw_clock(frame: &mut Frame, area: Rect, view: &View) {
    let Some(market) = &view.market else { return };
    let left = market.next_epoch_block.saturating_sub(market.block);
    let done = 1.0 - f64::from(left) / f64::from(market.tempo);
    let gauge = Gauge::default()
        .gauge_style(Style::new().fg(Color::Blue).bg(Color::Black))
        .ratio(done.clamp(0.0, 1.0))
        .label(format!("next epoch in {left} blocks"));
    let [line, _] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(gauge, line);
}

fn draw_table(frame: &mut Frame, area: Rect, view: &View) {
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    // Two borders and the header.
    let room = usize::from(area.height.saturating_sub(3));
    let hidden = view.rows.len().saturating_sub(room);
    let rows = view.rows.iter().take(room).map(|row| {
        TableRow::new([
            right(row.uid.to_string()),
            Cell::from(row.name.clone()).style(name_style(row)),
            right(words::noe(row.stake)),
            right(words::share(row.rank)),
            right(words::share(row.trust)),
            right(words::share(row.consensus)),
            right(words::share(row.incentive)),
            right(words::share(row.dividend)),
            right(words::noe(row.pay)),
            answer_cell(row),
        ])
    });
    let header = [
        "uid",
        "who",
        "stake NOE",
        "rank",
        "trust",
        "consens.",
        "incentive",
        "dividend",
        "pay NOE",
    ];
    let header = header
        .into_iter()
        .enumerate()
        .map(|(column, text)| match column {
            1 => Cell::from(text),
            _ => right(text.into()),
        })
        .chain([Cell::from("last answer")]);
    let widths = [
        Constraint::Length(4),
        Constraint::Length(12),
        Constraint::Length(11),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Fill(1),
    ];
    let mut block = Block::bordered();
    if hidden > 0 {
        block = block.title_bottom(format!(" and {hidden} more: noesis metagraph shows all "));
    }
    if view.rows.is_empty() {
        let empty = Paragraph::new("nobody has registered yet").block(block);
        return frame.render_widget(empty, area);
    }
    let table = Table::new(rows, widths)
        .header(TableRow::new(header).style(Modifier::BOLD))
        .block(block);
    frame.render_widget(table, area);
}

/// Validators in blue, whoever earns in green, the others dim.
fn name_style(row: &Row) -> Style {
    match row.role {
        Role::Validator => Style::new().fg(Color::Cyan),
        Role::Miner if row.pay > 0 => Style::new().fg(Color::Green),
        Role::Miner => Style::new().fg(Color::DarkGray),
    }
}

fn answer_cell(row: &Row) -> Cell<'static> {
    match &row.answer {
        None => Cell::from("-").style(Color::DarkGray),
        Some(answer) if answer.starts_with("ok") => Cell::from(answer.clone()).style(Color::Green),
        Some(answer) => Cell::from(answer.clone()).style(Color::Red),
    }
}

fn draw_trainings(frame: &mut Frame, area: Rect, trainings: &[Training]) {
    let [left, right] =
        Layout::horizontal([Constraint::Length(70), Constraint::Fill(1)]).areas(area);
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
    let rows = trainings.iter().map(|training| {
        TableRow::new([
            training.name.clone(),
            training.step.to_string(),
            training
                .rate
                .map_or("-".into(), |rate| format!("{rate:.2}")),
            number(training.losses.last().copied()),
            number(training.joined),
            number(training.alone),
        ])
    });
    let widths = [12, 8, 8, 8, 14, 12].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(
            TableRow::new([
                "validator",
                "steps",
                "steps/s",
                "loss",
                "held-out loss",
                "alone",
            ])
            .style(Modifier::BOLD),
        )
        .block(Block::bordered().title(" training over the network "));
    frame.render_widget(table, left);
    if let Some(first) = trainings.first() {
        let block = Block::bordered().title(format!(" loss of {} ", first.name));
        let width = usize::from(right.width.saturating_sub(2));
        let sparkline = Sparkline::default()
            .block(block)
            .data(heights(&first.losses, width))
            .style(Color::Magenta);
        frame.render_widget(sparkline, right);
    }
}

/// The last `count` losses as bar heights above their smallest, in thousandths.
fn heights(losses: &[f64], count: usize) -> Vec<u64> {
    let last = &losses[losses.len().saturating_sub(count)..];
    let least = last.iter().copied().fold(f64::INFINITY, f64::min);
    // A negative or undefined number becomes 0 here, which is what a bar of it should be.
    last.iter()
        .map(|loss| ((loss - least) * 1000.0) as u64 + 1)
        .collect()
}

fn draw_processes(frame: &mut Frame, area: Rect, processes: &[ProcessState]) {
    let mut spans = Vec::new();
    for process in processes {
        let color = if process.ready {
            Color::Green
        } else {
            Color::Yellow
        };
        spans.push(Span::from(process.name.clone()).bold());
        spans.push(Span::from(format!(" {}   ", process.doing)).style(color));
    }
    let paragraph = Paragraph::new(Line::from(spans))
        .wrap(Wrap { trim: true })
        .block(Block::bordered().title(" processes "));
    frame.render_widget(paragraph, area);
}

#[cfg(test)]
mod tests;
