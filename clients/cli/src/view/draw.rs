//! Draws the live table. The neurons come first: what else there is takes the lines that they leave.

use std::time::Instant;

use ratatui::{
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Cell, Gauge, Paragraph, Row as TableRow, Sparkline, Table},
    Frame,
};

use super::{
    flow::{flow, words},
    Market, ProcessState, Stage, Training, View,
};
use crate::{
    row::{Role, Row},
    table::{answers, columns, dispensable, fit, LEGEND},
    words::noe,
};

/// Lines of the frame of a box.
const FRAME: usize = 2;

/// Lines of the frame of a table and its header.
const TABLE_FRAME: usize = FRAME + 1;

/// Columns of the table of the trainings; the bars of the losses stand beside it.
const TRAINING_WIDTH: u16 = 62;

/// The lines of the screen that nobody has taken yet.
struct Room(usize);

impl Room {
    /// Takes `wanted` lines, or those that are left where they are no fewer than `least`.
    fn take(&mut self, wanted: usize, least: usize) -> usize {
        let taken = match wanted.min(self.0) {
            some if some >= least => some,
            _ => 0,
        };
        self.0 -= taken;
        taken
    }
}

/// Draws the state. Whole from 100 by 30 characters on; a smaller terminal loses first what explains,
/// then processes and trainings, last the neurons.
pub fn draw(frame: &mut Frame, view: &View) {
    let area = frame.area();
    let width = usize::from(area.width);
    let head = head(view, width);
    let hints = view.hints.iter().map(|hint| flow(words(hint), 1, width));
    let processes = processes(&view.processes, width.saturating_sub(FRAME));
    let legend = flow(words(LEGEND), 1, width);

    let mut room = Room(area.height.into());
    let wanted = TABLE_FRAME + view.rows.len().max(1);
    let whole_table = room.take(wanted, wanted);
    let head_lines = room.take(head.len(), 1);
    let clock_lines = room.take(1, 1);
    // Half a hint is none.
    let hints: Vec<Line> = hints
        .map_while(|hint| (room.take(hint.len(), hint.len()) > 0).then_some(hint))
        .flatten()
        .collect();
    let table_lines = match whole_table {
        0 => room.take(wanted, TABLE_FRAME + 1),
        whole => whole,
    };
    let training_lines = match view.trainings.len() {
        0 => 0,
        count => room.take(TABLE_FRAME + count, TABLE_FRAME + 1),
    };
    let process_lines = match processes.len() {
        0 => 0,
        count => room.take(FRAME + count, FRAME + 1),
    };
    let legend_lines = room.take(legend.len(), legend.len());

    let lines = [
        head_lines,
        clock_lines,
        table_lines,
        legend_lines,
        training_lines,
        process_lines,
        hints.len(),
    ];
    let [head_area, clock_area, table_area, legend_area, training_area, process_area, hint_area] =
        Layout::vertical(lines.map(|lines| Constraint::Length(lines as u16))).areas(area);
    frame.render_widget(Paragraph::new(head), head_area);
    draw_clock(frame, clock_area, view);
    draw_neurons(frame, table_area, &view.rows);
    frame.render_widget(Paragraph::new(legend).dark_gray(), legend_area);
    draw_trainings(frame, training_area, &view.trainings);
    let block = Block::bordered().title(" processes ");
    frame.render_widget(Paragraph::new(processes).block(block), process_area);
    frame.render_widget(Paragraph::new(hints).dark_gray(), hint_area);
}

/// What is looked at, what is awaited, and how the market stands.
fn head(view: &View, width: usize) -> Vec<Line<'_>> {
    let name = Line::from(" Noesis ".bold().reversed());
    let mut lines = flow(std::iter::once(name).chain(words(&view.title)), 1, width);
    let stage = flow(words(&view.stage), 1, width);
    lines.extend(stage.into_iter().map(Stylize::yellow));
    for warning in view.warnings(Instant::now()) {
        let warning = flow(warning.split_whitespace().map(owned), 1, width);
        lines.extend(warning.into_iter().map(Stylize::red));
    }
    if let Some(market) = &view.market {
        let mut items = vec![
            format!("block {}", market.block).into(),
            format!("epoch {}", market.epoch).into(),
            loss(market, view.paid_epochs),
            format!("minted {} NOE", noe(market.minted)).into(),
        ];
        if view.paid_epochs > 0 {
            items.push(format!("paid epochs {}", view.paid_epochs).into());
        }
        lines.extend(flow(items, 3, width));
    }
    lines
}

/// A word that outlives the text that it is of.
fn owned(word: &str) -> Line<'static> {
    Line::from(word.to_owned())
}

/// The consensus loss; that there is no consensus is alarming only once there was one.
fn loss(market: &Market, paid_epochs: usize) -> Line<'static> {
    let color = match (market.in_consensus, paid_epochs) {
        (true, _) => Color::Green,
        (false, 0) => Color::Yellow,
        (false, _) => Color::Red,
    };
    let words = Span::from(market.loss_in_words()).style(color);
    Line::from(vec!["consensus loss ".into(), words])
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
    frame.render_widget(gauge, area);
}

fn draw_neurons(frame: &mut Frame, area: Rect, rows: &[Row]) {
    let shown = rows
        .len()
        .min(usize::from(area.height).saturating_sub(TABLE_FRAME));
    let mut block = Block::bordered();
    if shown < rows.len() {
        let hidden = rows.len() - shown;
        block = block.title_bottom(format!(
            " and {hidden} more: noesis market metagraph shows all "
        ));
    }
    if rows.is_empty() {
        let empty = Paragraph::new("nobody has registered yet").block(block);
        return frame.render_widget(empty, area);
    }
    let rows = &rows[..shown];
    let width = usize::from(area.width).saturating_sub(FRAME);
    let columns = fit(columns(rows, answers(rows)), dispensable(rows), 1, width);
    let cell = |words: bool, text: &str| match words {
        true => Cell::from(text.to_owned()),
        false => Cell::from(Line::from(text.to_owned()).right_aligned()),
    };
    let header = columns
        .iter()
        .map(|column| cell(column.words, column.header));
    let lines = rows.iter().enumerate().map(|(index, row)| {
        TableRow::new(columns.iter().map(|column| {
            let style = match column.header {
                "who" => name_style(row),
                "last answer" => answer_style(row),
                _ => Style::new(),
            };
            cell(column.words, &column.cells[index]).style(style)
        }))
    });
    let widths = columns
        .iter()
        .map(|column| Constraint::Length(column.width() as u16));
    let table = Table::new(lines, widths)
        .header(TableRow::new(header).style(Modifier::BOLD))
        .block(block);
    frame.render_widget(table, area);
}

/// Validators in blue, whoever earns in green, the others dim.
fn name_style(row: &Row) -> Style {
    Style::new().fg(match row.role {
        Role::Validator => Color::Cyan,
        Role::Miner if row.pay > 0 => Color::Green,
        Role::Miner => Color::DarkGray,
    })
}

fn answer_style(row: &Row) -> Style {
    Style::new().fg(match &row.answer {
        None => Color::DarkGray,
        Some(answer) if answer.starts_with("ok") => Color::Green,
        Some(_) => Color::Red,
    })
}

fn draw_trainings(frame: &mut Frame, area: Rect, trainings: &[Training]) {
    let Some(first) = trainings.first() else {
        return;
    };
    let [left, right] =
        Layout::horizontal([Constraint::Max(TRAINING_WIDTH), Constraint::Fill(1)]).areas(area);
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
    let header = [
        "validator",
        "steps",
        "steps/s",
        "loss",
        "kept-apart loss",
        "alone",
    ];
    let widths = [12, 8, 7, 6, 15, 6].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(TableRow::new(header).style(Modifier::BOLD))
        .block(Block::bordered().title(" training over the network "));
    frame.render_widget(table, left);
    let title = format!(" loss of {} ", first.name);
    let width = usize::from(right.width).saturating_sub(FRAME);
    if width >= title.len() {
        let sparkline = Sparkline::default()
            .block(Block::bordered().title(title))
            .data(heights(&first.losses, width))
            .style(Color::Magenta);
        frame.render_widget(sparkline, right);
    }
}

/// The last `count` losses as bar heights above their smallest, in thousandths.
pub(super) fn heights(losses: &[f64], count: usize) -> Vec<u64> {
    let last = &losses[losses.len().saturating_sub(count)..];
    let least = last.iter().copied().fold(f64::INFINITY, f64::min);
    // A negative or undefined number becomes 0 here, which is what a bar of it should be.
    last.iter()
        .map(|loss| ((loss - least) * 1000.0) as u64 + 1)
        .collect()
}

/// Every process with what it is doing.
fn processes(processes: &[ProcessState], width: usize) -> Vec<Line<'_>> {
    let items = processes.iter().map(|process| {
        let color = match process.stage {
            Stage::Starting => Color::Yellow,
            Stage::Ready => Color::Green,
            Stage::Ended => Color::Red,
        };
        let doing = Span::from(process.doing.as_str()).style(color);
        Line::from(vec![process.name.as_str().bold(), " ".into(), doing])
    });
    flow(items, 3, width)
}
