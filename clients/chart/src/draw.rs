//! A chart as SVG: frame, ticks, series, and a legend below.

use std::fmt::{self, Write};

use crate::{Axis, Chart, Series};

/// Width of the whole, in pixels: 16.5 cm on paper.
const WIDTH: f64 = 960.0;
/// Height of the frame that the series are drawn in.
const FRAME_HEIGHT: f64 = 470.0;
/// Height of letters in pixels: 11 pt where the whole is 16.5 cm wide.
const LETTERS: f64 = 23.0;
/// Left, right and upper margin of the frame.
const MARGINS: (f64, f64, f64) = (118.0, 46.0, 58.0);
/// What the ticks' numbers and the label of the x axis take below the frame.
const BELOW: f64 = 82.0;
/// Height of a line of the legend.
const LEGEND_LINE: f64 = 33.0;
/// The longest label that leaves room for another beside it.
const SHORT_LABEL: usize = 28;
/// About so many marks on a curve.
const MARKS: usize = 9;

/// One look for each series in turn, no two with the same dash or the same mark.
const LOOKS: [Look; 6] = [
    Look::new("#000000", "", Mark::Disc),
    Look::new("#d55e00", "13 7", Mark::Square),
    Look::new("#0072b2", "3 6", Mark::Cross),
    Look::new("#009e73", "20 6 3 6", Mark::Triangle),
    Look::new("#a0458a", "7 5", Mark::Diamond),
    Look::new("#7a5c00", "28 8", Mark::Plus),
];

/// How a series looks.
struct Look {
    color: &'static str,
    dash: &'static str,
    mark: Mark,
}

impl Look {
    const fn new(color: &'static str, dash: &'static str, mark: Mark) -> Self {
        Self { color, dash, mark }
    }
}

/// A sign at a point.
enum Mark {
    Disc,
    Square,
    Cross,
    Triangle,
    Diamond,
    Plus,
}

impl Mark {
    /// The mark around the origin, about 12 pixels wide.
    fn path(&self) -> &'static str {
        match self {
            Self::Disc => r#"<circle r="6" stroke="none"/>"#,
            Self::Square => r#"<path d="M-6-6H6V6H-6Z" fill="white"/>"#,
            Self::Cross => r#"<path d="M-6-6L6 6M-6 6L6-6"/>"#,
            Self::Triangle => r#"<path d="M0-8L7 6H-7Z"/>"#,
            Self::Diamond => r#"<path d="M0-8L7 0L0 8L-7 0Z" fill="white"/>"#,
            Self::Plus => r#"<path d="M-8 0H8M0-8V8"/>"#,
        }
    }
}

/// Draws a chart.
pub fn svg(chart: &Chart) -> Result<String, fmt::Error> {
    let columns = match chart
        .series
        .iter()
        .all(|series| series.label.len() <= SHORT_LABEL)
    {
        true => 2,
        false => 1,
    };
    let lines = chart.series.len().div_ceil(columns);
    let height = MARGINS.2 + FRAME_HEIGHT + BELOW + LEGEND_LINE * lines as f64 + 18.0;
    let mut out = String::new();
    let svg = &mut out;
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="{LETTERS}" fill="black">
<title>{}</title>
<rect width="100%" height="100%" fill="white"/>"##,
        escape(&chart.title)
    )?;
    let frame = Frame::new(chart);
    text(svg, WIDTH / 2.0, 36.0, "middle", &chart.title)?;
    frame.draw(svg)?;
    for (series, look) in chart.series.iter().zip(LOOKS.iter().cycle()) {
        frame.series(svg, series, look)?;
    }
    let top = frame.bottom + BELOW + 22.0;
    for (index, (series, look)) in chart.series.iter().zip(LOOKS.iter().cycle()).enumerate() {
        let x = 60.0 + (WIDTH / 2.0 - 30.0) * (index % columns) as f64;
        let y = top + LEGEND_LINE * (index / columns) as f64;
        legend(svg, x, y, series, look)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

/// Where values lie on the picture.
struct Frame<'a> {
    chart: &'a Chart,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl<'a> Frame<'a> {
    fn new(chart: &'a Chart) -> Self {
        Self {
            chart,
            left: MARGINS.0,
            right: WIDTH - MARGINS.1,
            top: MARGINS.2,
            bottom: MARGINS.2 + FRAME_HEIGHT,
        }
    }

    fn x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * self.chart.x.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.chart.y.place(value)
    }

    /// The frame, its ticks and labels.
    fn draw(&self, svg: &mut String) -> fmt::Result {
        let Self {
            left,
            right,
            top,
            bottom,
            chart,
        } = self;
        let (width, height) = (right - left, bottom - top);
        writeln!(
            svg,
            r##"<clipPath id="frame"><rect x="{left}" y="{top}" width="{width}" height="{height}"/></clipPath>"##
        )?;
        for tick in chart.x.ticks() {
            let x = self.x(tick);
            rule(svg, (x, *top), (x, *bottom))?;
            text(svg, x, bottom + 30.0, "middle", &chart.x.show(tick))?;
        }
        for tick in chart.y.ticks() {
            let y = self.y(tick);
            rule(svg, (*left, y), (*right, y))?;
            text(svg, left - 10.0, y + 8.0, "end", &chart.y.show(tick))?;
        }
        writeln!(
            svg,
            r##"<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="black" stroke-width="1.5"/>"##
        )?;
        let (middle, low) = ((left + right) / 2.0, bottom + 66.0);
        text(svg, middle, low, "middle", &chart.x.label)?;
        let middle = (top + bottom) / 2.0;
        writeln!(
            svg,
            r#"<text transform="translate(30 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
            escape(&chart.y.label)
        )
    }

    /// A curve with marks on it, or marks alone.
    fn series(&self, svg: &mut String, series: &Series, look: &Look) -> fmt::Result {
        let points: Vec<(f64, f64)> = series
            .points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|&(x, y)| (self.x(x), self.y(y)))
            .collect();
        writeln!(
            svg,
            r#"<g class="series" fill="{0}" stroke="{0}" stroke-width="2.5"><title>{1}</title>"#,
            look.color,
            escape(&series.label)
        )?;
        if series.joined {
            write!(
                svg,
                r##"<polyline fill="none" stroke-dasharray="{}" clip-path="url(#frame)" points=""##,
                look.dash
            )?;
            for (x, y) in &points {
                write!(svg, "{x:.1},{y:.1} ")?;
            }
            writeln!(svg, "\"/>")?;
        }
        let step = if series.joined {
            points.len().div_ceil(MARKS).max(1)
        } else {
            1
        };
        let within = |&&(x, y): &&(f64, f64)| {
            (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
        };
        for (x, y) in points.iter().skip(step / 2).step_by(step).filter(within) {
            mark(svg, *x, *y, look)?;
        }
        writeln!(svg, "</g>")
    }
}

impl Axis {
    /// Where a value lies between the ends, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }

    /// Round values, at most ten.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let length = self.to - self.from;
        if !(length.is_finite() && length > 0.0) {
            return Vec::new();
        }
        let decade = 10_f64.powf((length / 10.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * decade)
            .into_iter()
            .find(|step| length / step <= 10.0)
            .unwrap_or(length);
        let first = (self.from / step - 1e-9).ceil();
        let count = (self.to / step + 1e-9).floor() - first;
        (0..=count as u32)
            .map(|index| (first + f64::from(index)) * step)
            .collect()
    }

    /// A tick's value, rid of the last bits of binary fractions.
    fn show(&self, tick: f64) -> String {
        let round = |value: f64| (value * 1e6).round() / 1e6;
        if self.percent {
            format!("{} %", round(tick * 100.0))
        } else {
            round(tick).to_string()
        }
    }
}

fn legend(svg: &mut String, x: f64, y: f64, series: &Series, look: &Look) -> fmt::Result {
    writeln!(
        svg,
        r#"<g fill="{0}" stroke="{0}" stroke-width="2.5">"#,
        look.color
    )?;
    if series.joined {
        writeln!(
            svg,
            r#"<path d="M{x:.1} {y:.1}h64" stroke-dasharray="{}"/>"#,
            look.dash
        )?;
    }
    mark(svg, x + 32.0, y, look)?;
    writeln!(svg, "</g>")?;
    text(svg, x + 78.0, y + 8.0, "start", &series.label)
}

fn mark(svg: &mut String, x: f64, y: f64, look: &Look) -> fmt::Result {
    writeln!(
        svg,
        r#"<g transform="translate({x:.1} {y:.1})">{}</g>"#,
        look.mark.path()
    )
}

/// A line of the grid.
fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) -> fmt::Result {
    writeln!(
        svg,
        r##"<path d="M{:.1} {:.1}L{:.1} {:.1}" stroke="#d0d0d0"/>"##,
        from.0, from.1, to.0, to.1
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) -> fmt::Result {
    writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escape(words)
    )
}

fn escape(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: usize) -> Chart {
        let line = |index: usize| {
            Series::line(
                format!("a < b & {index}"),
                (0..50).map(move |x| (f64::from(x), f64::from(x) / 50.0)),
            )
        };
        Chart {
            title: "Shares & epochs".into(),
            x: Axis::number("epoch", 0.0, 50.0),
            y: Axis::share("share", 0.0, 1.0),
            series: (0..series).map(line).collect(),
        }
    }

    #[test]
    fn what_is_drawn_is_svg_with_a_group_for_each_series() {
        let svg = svg(&chart(8)).unwrap();
        assert!(resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).is_ok());
        assert_eq!(svg.matches(r#"<g class="series""#).count(), 8);
        assert_eq!(svg.matches("<polyline").count(), 8);
        assert!(svg.contains("a &lt; b &amp; 7"));
        assert!(svg.contains(">60 %<"));
    }

    #[test]
    fn a_png_shows_the_frame_and_the_words() {
        let one = crate::png(&svg(&chart(1)).unwrap()).unwrap();
        assert_eq!(&one[..8], b"\x89PNG\r\n\x1a\n");
        let pixmap = resvg::tiny_skia::Pixmap::decode_png(&one).unwrap();
        assert_eq!(pixmap.width(), 1920);
        // Dark pixels where only the title is.
        let title = pixmap.pixels()[..1920 * 90].iter();
        let dark = title.filter(|pixel| pixel.red() < 64).count();
        assert!(dark > 500, "{dark} dark pixels in the title");
    }

    #[test]
    fn marks_alone_are_not_joined_and_nothing_is_drawn_outside() {
        let mut chart = chart(1);
        chart.series[0] = Series::marks("m", [(0.0, 0.0), (60.0, 0.5), (f64::NAN, 0.0)]);
        let svg = svg(&chart).unwrap();
        assert!(!svg.contains("<polyline"));
        // One in the frame, one in the legend.
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn ticks_are_round_and_at_most_ten_steps() {
        let ticks = |from, to| Axis::number("", from, to).ticks();
        assert_eq!(ticks(0.0, 100.0).len(), 11);
        assert_eq!(ticks(0.0, 3.0).first(), Some(&0.0));
        assert_eq!(ticks(0.0, 0.5).len(), 11);
        assert_eq!(ticks(-1.0, 1.0).len(), 11);
        assert!(ticks(1.0, 1.0).is_empty());
        let axis = Axis::share("", 0.0, 0.3);
        let shown: Vec<_> = axis
            .ticks()
            .into_iter()
            .map(|tick| axis.show(tick))
            .collect();
        assert_eq!(shown.last().unwrap(), "30 %");
        assert!(shown.contains(&"15 %".into()), "{shown:?}");
    }
}
