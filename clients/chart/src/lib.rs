//! Charts as SVG and PNG, to be read in print: what tells series apart is dash and mark, not colour.

mod draw;

use std::path::{Path, PathBuf};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg,
};

/// The one font of PNGs (a part of DejaVu Sans, see its licence beside it), so that they look the same
/// on every machine, with or without fonts.
const FONT: &[u8] = include_bytes!("../assets/dejavu-sans.ttf");
/// Pixels of a PNG for each of the SVG: 290 dots an inch where it is as wide as a page of text.
const SCALE: f32 = 2.0;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// Not a name of a picture.
    #[error("{0}: give a file that ends in .svg or .png, or one without an ending for both")]
    Ending(PathBuf),
    /// The system refused.
    #[error("{path} cannot be written ({source}): give another path, in a folder that exists")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The chart has numbers or words that cannot be drawn.
    #[error("the chart cannot be drawn ({0}): see whether its numbers are finite")]
    Drawing(String),
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

/// Draws a chart as SVG.
///
/// # Errors
///
/// [`ChartError::Drawing`], which memory alone could cause.
pub fn svg(chart: &Chart) -> Result<String, ChartError> {
    draw::svg(chart).map_err(|error| ChartError::Drawing(error.to_string()))
}

/// Writes a chart into these files, as SVG or PNG by their endings.
///
/// # Errors
///
/// [`ChartError`] for the first file that could not be written.
pub fn write(chart: &Chart, files: &[PathBuf]) -> Result<(), ChartError> {
    let svg = svg(chart)?;
    for file in files {
        let bytes = if file.extension().is_some_and(|ending| ending == "png") {
            png(&svg)?
        } else {
            svg.clone().into_bytes()
        };
        std::fs::write(file, bytes).map_err(|source| ChartError::File {
            path: file.clone(),
            source,
        })?;
    }
    Ok(())
}

/// The files that a name stands for: itself, or both kinds where it has no ending.
///
/// # Errors
///
/// [`ChartError::Ending`] for one with another ending, or without a name.
pub fn files(out: &Path) -> Result<Vec<PathBuf>, ChartError> {
    match out.extension().and_then(|ending| ending.to_str()) {
        Some("svg" | "png") => Ok(vec![out.into()]),
        None if out.file_name().is_some() => {
            Ok(vec![out.with_extension("svg"), out.with_extension("png")])
        }
        _ => Err(ChartError::Ending(out.into())),
    }
}

/// Renders an SVG.
fn png(svg: &str) -> Result<Vec<u8>, ChartError> {
    let broken = |error: &dyn std::fmt::Display| ChartError::Drawing(error.to_string());
    let mut options = usvg::Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| broken(&error))?;
    let size = tree.size().to_int_size();
    let pixels = |length: u32| (length as f32 * SCALE) as u32;
    let mut pixmap = Pixmap::new(pixels(size.width()), pixels(size.height()))
        .ok_or_else(|| broken(&"it has no area"))?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixmap.as_mut(),
    );
    pixmap.encode_png().map_err(|error| broken(&error))
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

    #[test]
    fn the_font_of_pictures_comes_with_its_licence() {
        let licence = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/dejavu-sans.LICENSE");
        let text = std::fs::read_to_string(licence).unwrap();
        assert!(text.contains("Bitstream"));
    }
}
