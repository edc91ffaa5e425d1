//! The table of neurons in words: the same columns on the screen and in plain text.

use crate::{row::Row, words};

/// What the columns and the losses mean.
pub const LEGEND: &str = "rank: what the validators' stake says a neuron is worth. trust: how much \
    of that stake says anything of it. consensus: whether that is a majority. incentive, dividend: \
    its parts of the two halves of the pay, for being worth something and for having voted for those \
    who are. pay: of the last epoch. consensus loss: pay is minted where it is below 0. held-out \
    loss: nats a byte on text kept apart, with the peers' answers; alone: the same without peers.";

/// What a narrow screen goes without, the most dispensable first.
const DISPENSABLE: [&str; 6] = ["stake NOE", "uid", "rank", "trust", "consensus", "dividend"];

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
    vec![
        column("uid", |row| row.uid.to_string()),
        Column {
            words: true,
            ..column("who", |row| row.name.clone())
        },
        column("stake NOE", |row| words::noe(row.stake)),
        column("rank", |row| words::share(row.rank)),
        column("trust", |row| words::share(row.trust)),
        column("consensus", |row| words::share(row.consensus)),
        column("incentive", |row| words::share(row.incentive)),
        column("dividend", |row| words::share(row.dividend)),
        column("pay NOE", |row| words::noe(row.pay)),
        last,
    ]
}

/// What the neurons last answered.
pub fn answers(rows: &[Row]) -> Column {
    let answer = |row: &Row| row.answer.clone().unwrap_or_else(|| "-".into());
    Column {
        header: "last answer",
        words: true,
        cells: rows.iter().map(answer).collect(),
    }
}

/// The columns that fit beside each other, one character apart, into `width`.
pub fn fit(mut columns: Vec<Column>, width: usize) -> Vec<Column> {
    for header in DISPENSABLE {
        let needed: usize = columns.iter().map(|column| column.width() + 1).sum();
        if needed <= width + 1 {
            break;
        }
        columns.retain(|column| column.header != header);
    }
    columns
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
        cells.join("  ").trim_end().to_owned()
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

    fn all() -> Vec<Column> {
        let rows = rows(
            &market(3, 10 * NOE),
            &Names::new(),
            &Answers::from([(1, "ok 1234 ms".into())]),
        );
        columns(&rows, answers(&rows))
    }

    #[test]
    fn a_narrow_screen_goes_without_what_tells_least() {
        let headers = |width: usize| -> Vec<&str> {
            let columns = fit(all(), width).into_iter();
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
