//! Tables: columns that fit the terminal, and the columns of the neurons, the same on the live screen and in
//! plain text.

use std::io::{self, IsTerminal};

use ratatui::crossterm::terminal;

use crate::{row::Row, words};

/// What the columns and the losses mean.
pub const LEGEND: &str = "rank: what the validators' stake says a neuron is worth. trust: how much \
    of that stake says anything of it. consensus: whether that is a majority. incentive, dividend: \
    its parts of the two halves of the pay, for being worth something and for having voted for those \
    who are. pay: of the last epoch. consensus loss: pay is minted where it is below 0. kept-apart \
    loss: nats a byte or image on the data that peers are scored by, with their answers; alone: of the same model \
    trained without peers.";

/// Characters between two columns of plain text.
const GAP: usize = 2;

/// What a narrow screen goes without of the neurons, the most dispensable first.
pub const DISPENSABLE: [&str; 8] = [
    LAST_ANSWER,
    DELEGATED,
    "stake NOE",
    "uid",
    "rank",
    "trust",
    "consensus",
    "dividend",
];

/// The header of what of their stake others put behind the neurons.
pub const DELEGATED: &str = "delegated NOE";

/// The header of what the neurons last answered.
const LAST_ANSWER: &str = "last answer";

/// One column.
pub struct Column {
    /// What stands above it.
    pub header: &'static str,
    /// Words stand on the left, numbers on the right.
    pub words: bool,
    /// What stands in it, a neuron a line.
    pub cells: Vec<String>,
}

impl Column {
    /// A column of words.
    pub fn words(header: &'static str, cells: impl IntoIterator<Item = String>) -> Self {
        Self {
            header,
            words: true,
            cells: cells.into_iter().collect(),
        }
    }

    /// A column of numbers.
    pub fn numbers(header: &'static str, cells: impl IntoIterator<Item = String>) -> Self {
        Self {
            words: false,
            ..Self::words(header, cells)
        }
    }

    /// Characters that it needs so that nothing in it is cut.
    pub fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(self.header.len())
    }
}

/// What the chain says of the neurons, and beside it the column `last`.
pub fn columns(rows: &[Row], last: Column) -> Vec<Column> {
    let column = |header, cell: fn(&Row) -> String| Column {
        header,
        words: false,
        cells: rows.iter().map(cell).collect(),
    };
    let mut columns = vec![
        column("uid", |row| row.uid.to_string()),
        Column {
            words: true,
            ..column("who", |row| row.name.clone())
        },
        column("stake NOE", |row| words::noe(row.stake)),
    ];
    if rows.iter().any(|row| row.delegated > 0) {
        columns.push(column(DELEGATED, |row| words::noe(row.delegated)));
    }
    columns.extend([
        column("rank", |row| words::share(row.rank)),
        column("trust", |row| words::share(row.trust)),
        column("consensus", |row| words::share(row.consensus)),
        column("incentive", |row| words::share(row.incentive)),
        column("dividend", |row| words::share(row.dividend)),
        column("pay NOE", |row| words::noe(row.pay)),
        last,
    ]);
    columns
}

/// What the neurons last answered.
pub fn answers(rows: &[Row]) -> Column {
    let answer = |row: &Row| row.answer.clone().unwrap_or_else(|| "-".into());
    Column {
        header: LAST_ANSWER,
        words: true,
        cells: rows.iter().map(answer).collect(),
    }
}

/// What a narrow screen goes without of these neurons: not without answers, where there are any.
pub fn dispensable(rows: &[Row]) -> &'static [&'static str] {
    let answered = rows.iter().any(|row| row.answer.is_some());
    &DISPENSABLE[usize::from(answered)..]
}

/// The columns that fit beside each other, `gap` characters apart, into `width`, without the first of the
/// `dispensable` as far as need be.
pub fn fit(
    mut columns: Vec<Column>,
    dispensable: &[&str],
    gap: usize,
    width: usize,
) -> Vec<Column> {
    for header in dispensable {
        if needed(&columns, gap) <= width {
            break;
        }
        columns.retain(|column| column.header != *header);
    }
    columns
}

/// Characters that the columns need.
fn needed(columns: &[Column], gap: usize) -> usize {
    let cells: usize = columns.iter().map(|column| column.width() + gap).sum();
    cells.saturating_sub(gap)
}

/// The columns as lines of text no longer than `width`: without the `dispensable` where need be, then with the
/// widest words cut.
pub fn fitted(columns: Vec<Column>, dispensable: &[&str], width: usize) -> Vec<String> {
    let mut columns = fit(columns, dispensable, GAP, width);
    loop {
        let over = needed(&columns, GAP).saturating_sub(width);
        let widest = columns
            .iter_mut()
            .filter(|column| column.words && column.width() > column.header.len().max(SHORTEST))
            .max_by_key(|column| column.width());
        let (1.., Some(column)) = (over, widest) else {
            return lines(&columns);
        };
        let least = column.header.len().max(SHORTEST);
        let width = column.width().saturating_sub(over).max(least);
        for cell in &mut column.cells {
            *cell = cut(cell, width);
        }
    }
}

/// Words are not cut shorter.
const SHORTEST: usize = 8;

/// The beginning of a text that is too long, with an ellipsis.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

/// The columns as a table that fits the terminal; whole where the output goes elsewhere.
pub fn text(columns: Vec<Column>, dispensable: &[&str]) -> String {
    fitted(columns, dispensable, width()).join("\n")
}

/// Characters of a line of the terminal; without end where the output goes elsewhere.
pub fn width() -> usize {
    match terminal::size() {
        Ok((width, _)) if io::stdout().is_terminal() => width.into(),
        _ => usize::MAX,
    }
}

/// Labels and values beneath each other.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let width = pairs.iter().map(|(label, _)| label.chars().count()).max();
    let width = width.unwrap_or(0);
    let lines = pairs
        .iter()
        .map(|(label, value)| format!("{label:<width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The columns as lines of plain text, the header first.
pub fn lines(columns: &[Column]) -> Vec<String> {
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = columns.iter().map(|column| {
            let (text, width) = (cell(column), column.width());
            match column.words {
                true => format!("{text:<width$}"),
                false => format!("{text:>width$}"),
            }
        });
        let cells: Vec<String> = cells.collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    let neurons = columns.first().map_or(0, |column| column.cells.len());
    std::iter::once(line(&|column| column.header.into()))
        .chain((0..neurons).map(|neuron| line(&|column| column.cells[neuron].clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{rows, tests::market, Answers, Names};
    use noesis_chain::NOE;

    fn answered() -> Vec<Row> {
        let answers = Answers::from([(1, "ok 1234 ms".into())]);
        rows(&market(3, 10 * NOE), &Names::new(), &answers)
    }

    fn all() -> Vec<Column> {
        let rows = answered();
        columns(&rows, answers(&rows))
    }

    #[test]
    fn a_narrow_screen_goes_without_what_tells_least() {
        let headers = |width: usize| -> Vec<&str> {
            let columns = fit(all(), dispensable(&answered()), 1, width).into_iter();
            columns.map(|column| column.header).collect()
        };
        assert_eq!(headers(200).len(), 10);
        assert!(!headers(78).contains(&"stake NOE"));
        assert_eq!(
            headers(58),
            ["who", "incentive", "dividend", "pay NOE", "last answer"]
        );
        assert_eq!(headers(0), ["who", "incentive", "pay NOE", "last answer"]);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let addresses = || {
            vec![
                Column::words("name", ["a".into(), "b".repeat(30)]),
                Column::words("address", ["5".repeat(48), "5".repeat(48)]),
                Column::numbers("stake", ["1000".into(), "2".into()]),
            ]
        };
        let longest = |width| {
            let lines = fitted(addresses(), &[], width);
            lines.iter().map(|line| line.chars().count()).max().unwrap()
        };
        assert_eq!(longest(usize::MAX), 30 + 2 + 48 + 2 + 5);
        assert_eq!(longest(60), 60);
        assert_eq!(longest(30), 30);
        let lines = fitted(addresses(), &["address"], 60);
        assert!(!lines[0].contains("address") && !lines[2].contains('…'));
        // Narrower than anything can be: no loop, and nothing lost but the ends of words.
        assert!(longest(1) >= SHORTEST);
    }

    #[test]
    fn plain_text_has_a_line_a_neuron_in_columns() {
        let lines = lines(&all());
        assert_eq!(lines.len(), 3);
        let place = lines[0].find("last answer").unwrap();
        assert!(lines[0].starts_with("uid  who"));
        // Characters, not bytes: the shortened hotkey has an ellipsis.
        let beginning: String = lines[2].chars().skip(place).collect();
        assert_eq!(beginning, "ok 1234 ms");
    }

    #[test]
    fn every_column_that_needs_it_is_explained() {
        for header in ["rank", "trust", "consensus", "incentive", "dividend", "pay"] {
            assert!(LEGEND.contains(header), "{header}");
        }
    }
}
