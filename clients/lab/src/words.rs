//! Numbers and outcomes as people read them.

use crate::world::Point;

/// A share as a percentage with one decimal, two where it is below one: `49.0 %`, `0.01 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = if percent.abs() < 0.995 { 2 } else { 1 };
    format!("{percent:.decimals$} %")
}

/// A share as a percentage with as few decimals as it has, for what was given rather than found.
pub fn given(share: f64) -> String {
    let hundredths = (share * 1e9).round() / 1e7;
    format!("{hundredths} %")
}

/// How long after: `at once`, `after 1 epoch`, `after 5 epochs`.
pub fn after(epochs: u32) -> String {
    match epochs {
        0 => "at once".into(),
        1 => "after 1 epoch".into(),
        epochs => format!("after {epochs} epochs"),
    }
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its share of the stake rose.
    Gains,
    /// Its share of the stake fell.
    Loses,
    /// Its share is what it was, though something was minted.
    Stays,
    /// Nothing was ever minted.
    Frozen,
}

impl Fate {
    /// By the share at the start and what followed.
    pub fn of(start: f64, points: &[Point]) -> Self {
        let end = points.last().map_or(start, |point| point.share);
        if minted(points) == 0 {
            Self::Frozen
        } else if (end - start).abs() < 1e-9 {
            Self::Stays
        } else if end > start {
            Self::Gains
        } else {
            Self::Loses
        }
    }

    /// For tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gains => "gains",
            Self::Loses => "loses",
            Self::Stays => "stays",
            Self::Frozen => "nothing minted",
        }
    }
}

/// Epochs in which something was minted.
pub fn minted(points: &[Point]) -> usize {
    points.iter().filter(|point| point.minted > 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        assert_eq!(percent(0.48999), "49.0 %");
        assert_eq!(percent(0.0001), "0.01 %");
        assert_eq!(after(0), "at once");
        assert_eq!(after(3), "after 3 epochs");
        assert_eq!(given(0.49), "49 %");
        assert_eq!(given(0.07 + 0.005), "7.5 %");
    }

    #[test]
    fn fates() {
        let point = |share, minted| Point {
            share,
            loss: 0.0,
            minted,
        };
        assert_eq!(Fate::of(0.4, &[]), Fate::Frozen);
        assert_eq!(Fate::of(0.4, &[point(0.4, 0)]), Fate::Frozen);
        assert_eq!(Fate::of(0.4, &[point(0.5, 1)]), Fate::Gains);
        assert_eq!(Fate::of(0.4, &[point(0.3, 1)]), Fate::Loses);
        assert_eq!(Fate::of(0.4, &[point(0.4, 1)]), Fate::Stays);
    }
}
