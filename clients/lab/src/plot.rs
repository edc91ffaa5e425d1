//! Charts as SVG and PNG, to be read in print: what tells series apart is dash and mark, not colour.

mod draw;

use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::Args;
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg,
};

use crate::{
    report::{say, Format},
    Experiment,
};

/// The one font of PNGs (a part of DejaVu Sans, see its licence beside it), so that they look the same
/// on every machine, with or without fonts.
const FONT: &[u8] = include_bytes!("../assets/dejavu-sans.ttf");
/// Pixels of a PNG for each of the SVG: 290 dots an inch where it is as wide as a page of text.
const SCALE: f32 = 2.0;

/// Flags of `noesis-lab plot`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis-lab plot cabal --preset paper --out cabal.png\n  noesis-lab plot sweep --preset paper --gate off --out docs/lab/sweep"
)]
pub struct Arguments {
    #[command(subcommand)]
    experiment: Experiment,
    /// The file to write, ending in .svg or .png; without an ending, both.
    #[arg(long, global = true, default_value = "lab")]
    out: PathBuf,
}

/// Curves, or points, in a frame.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// What is drawn, in the order of the legend.
    pub series: Vec<Series>,
}

/// One axis.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// Its least value.
    pub from: f64,
    /// Its greatest value.
    pub to: f64,
    /// Whether values are shares, to be written as percentages.
    pub percent: bool,
}

/// Points that belong together.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// What they are.
    pub label: String,
    /// Where they are.
    pub points: Vec<(f64, f64)>,
    /// Whether a line joins them.
    pub joined: bool,
}

impl Axis {
    /// An axis of shares.
    pub fn share(label: impl Into<String>, from: f64, to: f64) -> Self {
        Self {
            percent: true,
            ..Self::number(label, from, to)
        }
    }

    /// An axis of numbers from 0 to just above the greatest of the values.
    pub fn fitting(label: impl Into<String>, series: &[Series]) -> Self {
        let values = series.iter().flat_map(|series| &series.points);
        let most = values.map(|&(_, y)| y).fold(0.0, f64::max);
        let axis = Self::number(label, 0.0, most.max(1e-3));
        let ticks = axis.ticks();
        let step = ticks.get(1).copied().unwrap_or(1.0);
        Self {
            to: (axis.to / step).ceil() * step,
            ..axis
        }
    }

    /// An axis of numbers.
    pub fn number(label: impl Into<String>, from: f64, to: f64) -> Self {
        Self {
            label: label.into(),
            from,
            to,
            percent: false,
        }
    }
}

impl Series {
    /// A curve.
    pub fn line(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            label: label.into(),
            points: points.into_iter().collect(),
            joined: true,
        }
    }

    /// Marks alone.
    pub fn marks(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            joined: false,
            ..Self::line(label, points)
        }
    }
}

/// Runs the experiment, draws it, and prints its answer.
pub fn run(arguments: &Arguments, format: Format) -> Result<()> {
    let files = files(&arguments.out)?;
    let report = arguments.experiment.run()?;
    let svg = draw::svg(&report.chart)?;
    for file in &files {
        let bytes = if file.extension().is_some_and(|ending| ending == "png") {
            png(&svg)?
        } else {
            svg.clone().into_bytes()
        };
        std::fs::write(file, bytes).with_context(|| {
            format!(
                "{} cannot be written: give another path with --out, in a folder that exists",
                file.display()
            )
        })?;
        eprintln!("wrote {}", file.display());
    }
    say(&report.print(format)?)
}

/// The files that `--out` asks for.
fn files(out: &Path) -> Result<Vec<PathBuf>> {
    match out.extension().and_then(|ending| ending.to_str()) {
        Some("svg" | "png") => Ok(vec![out.into()]),
        None if out.file_name().is_some() => {
            Ok(vec![out.with_extension("svg"), out.with_extension("png")])
        }
        _ => bail!(
            "--out {}: give a file that ends in .svg or .png, or one without an ending for both",
            out.display()
        ),
    }
}

/// Renders an SVG.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let mut options = usvg::Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = usvg::Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    let pixels = |length: u32| (length as f32 * SCALE) as u32;
    let mut pixmap = Pixmap::new(pixels(size.width()), pixels(size.height()))
        .context("a chart without an area")?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixmap.as_mut(),
    );
    Ok(pixmap.encode_png()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_written() {
        let files = |out: &str| files(Path::new(out)).map_err(|error| error.to_string());
        assert_eq!(files("a/b.svg").unwrap(), [PathBuf::from("a/b.svg")]);
        assert_eq!(files("b.png").unwrap(), [PathBuf::from("b.png")]);
        assert_eq!(files("a/b").unwrap().len(), 2);
        assert!(files("b.pdf").unwrap_err().contains(".svg or .png"));
        assert!(files("..").unwrap_err().contains(".svg or .png"));
    }
}
