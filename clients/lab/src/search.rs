//! Where to look: from which value on something holds, and which values stand for many.

use anyhow::Result;

/// How far off the value found may be.
const PRECISION: f64 = 0.0005;

/// The least value between `from` and `to` at which `holds`, where it holds for all larger ones;
/// `None` where it does not hold even at `to`.
pub fn threshold(
    from: f64,
    to: f64,
    mut holds: impl FnMut(f64) -> Result<bool>,
) -> Result<Option<f64>> {
    if holds(from)? {
        return Ok(Some(from));
    }
    if !holds(to)? {
        return Ok(None);
    }
    let (mut below, mut above) = (from, to);
    while above - below > PRECISION {
        let middle = (below + above) / 2.0;
        if holds(middle)? {
            above = middle;
        } else {
            below = middle;
        }
    }
    Ok(Some(above))
}

/// The most values that [`spread`] gives, beside 0.
const MOST: u16 = 51;

/// Whole numbers from 0 to `most`: all of them, or some fifty at equal distances, and the last.
pub fn spread(most: u16) -> Vec<u16> {
    let step = most.div_ceil(MOST).max(1);
    let mut values: Vec<u16> = (0..most).step_by(step.into()).collect();
    values.push(most);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_value_is_found() {
        let find = |limit: f64| threshold(0.0, 1.0, |value| Ok(value >= limit)).unwrap();
        assert!((find(0.3).unwrap() - 0.3).abs() <= PRECISION);
        assert_eq!(find(-1.0), Some(0.0));
        assert_eq!(find(2.0), None);
    }

    #[test]
    fn many_numbers_are_spread_and_few_are_all() {
        assert_eq!(spread(3), [0, 1, 2, 3]);
        assert_eq!(spread(51).len(), 52);
        assert_eq!(spread(0), [0]);
        let many = spread(2048);
        assert!(many.len() <= 52);
        assert_eq!((many[0], many[1], many.last()), (0, 41, Some(&2048)));
    }
}
