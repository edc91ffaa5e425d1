//! The pictures of an experiment: losses on the way, and what usefulness earned.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use noesis_chart::{files, write, Axis, Chart, Series};

use super::{figures::Figures, observed::Point};

/// Draws both pictures, as SVG and PNG, to names that begin with `out`; the files written.
pub fn draw(out: &Path, curve: &[Point], all: &[Figures]) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (ending, chart) in [("losses", losses(curve)), ("incentives", incentives(all))] {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(format!("-{ending}"));
        let files = files(&out.with_file_name(name)).context("--plot")?;
        write(&chart, &files).context("--plot")?;
        written.extend(files);
    }
    Ok(written)
}

/// Losses of the first seed's first validator over its steps, of the examples by which it scores its peers.
fn losses(curve: &[Point]) -> Chart {
    let line = |label: &str, value: fn(&Point) -> Option<f64>| {
        let points = curve
            .iter()
            .filter_map(|point| Some((point.step as f64, value(point)?)));
        Series::line(label, points)
    };
    let series = vec![
        line("joined with the network", |point| Some(point.joined)),
        line("trained alone", |point| point.alone),
        line("student", |point| point.student),
    ];
    let last = curve.last().map_or(1, |point| point.step.max(1));
    Chart {
        title: "Kept-apart loss of a validator".into(),
        x: Axis::number("steps", 0.0, last as f64),
        y: fitting("nats at the kept-back target", &series),
        series,
    }
}

/// The incentive of each miner over the held-out loss of its own model, a series a seed.
fn incentives(all: &[Figures]) -> Chart {
    let points = |one: &Figures| -> Vec<(f64, f64)> {
        let miners = one.miners.iter();
        miners
            .filter_map(|miner| Some((miner.loss?, miner.incentive)))
            .collect()
    };
    let series: Vec<Series> = all
        .iter()
        .map(|one| Series::marks(format!("seed {}", one.seed), points(one)))
        .collect();
    let most = series
        .iter()
        .flat_map(|one| &one.points)
        .map(|point| point.1);
    let most = (most.fold(0.1, f64::max) * 10.0).ceil() / 10.0;
    let swapped: Vec<Series> = series
        .iter()
        .map(|one| Series::marks("", one.points.iter().map(|&(x, y)| (y, x))))
        .collect();
    Chart {
        title: "What a miner's own model is worth, and what it earns".into(),
        x: fitting("held-out loss of the miner's own model, nats", &swapped),
        y: Axis::share("share of the incentive", 0.0, most),
        series,
    }
}

/// An axis that just holds the values.
fn fitting(label: &str, series: &[Series]) -> Axis {
    let values = || {
        let points = series.iter().flat_map(|one| &one.points);
        points.map(|&(_, y)| y).filter(|y| y.is_finite())
    };
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    if least > most {
        return Axis::number(label, 0.0, 1.0);
    }
    let step = if most - least > 2.0 { 0.5 } else { 0.1 };
    Axis::number(
        label,
        (least / step).floor() * step,
        ((most / step).floor() + 1.0) * step,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pictures_are_drawn_whatever_was_measured() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("text");
        let point = |step: u64| Point {
            step,
            joined: 3.0 - step as f64 / 100.0,
            alone: Some(3.0),
            student: None,
        };
        for curve in [Vec::new(), (1..9).map(point).collect()] {
            let files = draw(&out, &curve, &[]).unwrap();
            assert_eq!(files.len(), 4);
            assert!(files.iter().all(|file| file.is_file()));
        }
        let svg = std::fs::read_to_string(folder.path().join("text-losses.svg")).unwrap();
        assert!(svg.contains("trained alone"), "{svg}");
        // Not the held-out loss of the table: peers are scored by these examples.
        assert!(svg.contains("Kept-apart loss"), "{svg}");
    }
}
