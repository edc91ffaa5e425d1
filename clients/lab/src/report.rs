//! What an experiment found, in words, as a table and as a chart.

use std::{
    fmt::Write as _,
    io::{ErrorKind, Write as _},
};

use anyhow::Result;
use clap::ValueEnum;
use serde::{ser::SerializeMap, Serialize, Serializer};

use noesis_chart::Chart;

/// The most lines of a table that are meant to be read.
const LINES_TO_READ: usize = 26;

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The question, the answer, and a table of at most some 26 lines.
    Text,
    /// The whole table, with a header.
    Csv,
    /// All of it, for programs.
    Json,
}

/// A question and its answer.
#[derive(Serialize)]
pub struct Report {
    /// What was asked.
    pub question: String,
    /// The answer in words, with figures.
    pub answer: String,
    /// The figures.
    #[serde(rename = "rows")]
    pub table: Table,
    /// What is printed for readers instead of the table, where that would be hard to read.
    #[serde(skip)]
    pub reading: Option<String>,
    /// The figures as they are drawn.
    #[serde(skip)]
    pub chart: Chart,
}

/// Figures in rows.
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// Any other number.
    Real(f64),
    /// A word.
    Word(&'static str),
    /// Nothing to say.
    None,
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::None, Self::Real)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|row| Row {
            columns: &self.columns,
            row,
        }))
    }
}

/// A row with the names of its columns.
struct Row<'a> {
    columns: &'a [&'static str],
    row: &'a [Value],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns.iter().zip(self.row) {
            map.serialize_entry(column, value)?;
        }
        map.end()
    }
}

impl Value {
    /// With all its digits.
    fn exact(self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Word(word) => word.into(),
            Self::None => String::new(),
        }
    }

    /// With as many digits as are read.
    fn short(self) -> String {
        match self {
            Self::Real(number) => format!("{number:.4}"),
            Self::None => "-".into(),
            value => value.exact(),
        }
    }
}

impl Report {
    /// The report in a format, without the last newline.
    pub fn print(&self, format: Format) -> Result<String> {
        Ok(match format {
            Format::Text => format!(
                "{}\n\n{}\n\n{}",
                self.question,
                self.answer,
                self.reading.clone().unwrap_or_else(|| self.table.to_read())
            ),
            Format::Csv => self.table.csv(),
            Format::Json => serde_json::to_string_pretty(self)?,
        })
    }
}

impl Table {
    /// All rows, with commas between values.
    fn csv(&self) -> String {
        let mut lines = vec![self.columns.join(",")];
        lines.extend(self.rows.iter().map(|row| {
            let values: Vec<_> = row.iter().map(|value| value.exact()).collect();
            values.join(",")
        }));
        lines.join("\n")
    }

    /// Aligned columns; of a long table every so many rows, and the last.
    fn to_read(&self) -> String {
        let step = self.rows.len().div_ceil(LINES_TO_READ).max(1);
        let last = self.rows.len().saturating_sub(1);
        let shown = |&(index, _): &(usize, &Vec<Value>)| index % step == 0 || index == last;
        let mut lines: Vec<Vec<String>> =
            vec![self.columns.iter().map(|&name| name.into()).collect()];
        lines.extend(
            self.rows
                .iter()
                .enumerate()
                .filter(shown)
                .map(|(_, row)| row.iter().map(|value| value.short()).collect()),
        );
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.len()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for line in lines {
            for (cell, width) in line.iter().zip(&widths) {
                // Writing to a string cannot fail.
                let _ = write!(text, "{cell:>width$}  ");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        if step > 1 {
            let _ = write!(text, "(1 row of {step}; --format csv prints all)");
        }
        text.trim_end().into()
    }
}

/// Prints to standard output. Whoever reads it may stop reading.
pub fn say(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: usize) -> Report {
        let row = |index: usize| {
            vec![
                Value::Count(index as u64),
                Value::Real(0.1 + index as f64),
                Value::Word("gains"),
            ]
        };
        Report {
            question: "Why?".into(),
            answer: "Because.".into(),
            table: Table {
                columns: vec!["epoch", "share", "fate"],
                rows: (0..rows).map(row).collect(),
            },
            reading: None,
            chart: Chart::default(),
        }
    }

    #[test]
    fn csv_has_a_header_and_all_digits() {
        let csv = report(2).print(Format::Csv).unwrap();
        assert_eq!(csv, "epoch,share,fate\n0,0.1,gains\n1,1.1,gains");
    }

    #[test]
    fn json_has_question_answer_and_rows_by_name() {
        let json = report(1).print(Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["question"], "Why?");
        assert_eq!(value["rows"][0]["share"], 0.1);
        assert_eq!(value["rows"][0]["fate"], "gains");
    }

    #[test]
    fn a_long_table_is_thinned_for_reading_and_keeps_its_ends() {
        let text = report(100).print(Format::Text).unwrap();
        assert!(text.starts_with("Why?\n\nBecause.\n\nepoch"));
        assert!(text.contains("\n    0   0.1000  gains\n"));
        assert!(text.contains("\n   99  99.1000  gains\n"));
        assert!(text.lines().count() < 40);
        assert!(text.ends_with("(1 row of 4; --format csv prints all)"));
        let short = report(3).print(Format::Text).unwrap();
        assert_eq!(short.lines().count(), 8);
        let drawn = Report {
            reading: Some("a map".into()),
            ..report(3)
        };
        assert!(drawn.print(Format::Text).unwrap().ends_with("a map"));
    }
}
