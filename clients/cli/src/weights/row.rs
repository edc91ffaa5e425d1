//! A row of weights as people write it: `UID=WEIGHT`, of which only the proportions count.

use anyhow::Result;
use noesis_chain::Uid;

use crate::exit::Usage;

/// A row, in order of uid, with each weight in 65535ths of the largest.
pub fn parse(edges: &[String]) -> Result<Vec<(Uid, u16)>, Usage> {
    let mut row = edges
        .iter()
        .map(|edge| edge_of(edge))
        .collect::<Result<Vec<_>, _>>()?;
    row.sort_by_key(|(uid, _)| *uid);
    if let Some(pair) = row.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Usage(format!(
            "uid {} is there twice: give each one weight",
            pair[0].0
        )));
    }
    let largest = row
        .iter()
        .fold(0.0, |largest: f64, edge| largest.max(edge.1));
    if largest == 0.0 {
        return Err(Usage(
            "every weight is zero: give at least one neuron a weight".into(),
        ));
    }
    let scaled = |(uid, weight): (Uid, f64)| {
        // From 0 to 65535, since no weight is above the largest.
        let part = (weight / largest * f64::from(u16::MAX)).round() as u16;
        // What somebody gave a weight keeps one, however small.
        (uid, if weight > 0.0 { part.max(1) } else { 0 })
    };
    let row = row.into_iter().map(scaled);
    Ok(row.filter(|(_, weight)| *weight > 0).collect())
}

fn edge_of(text: &str) -> Result<(Uid, f64), Usage> {
    let wrong = || {
        Usage(format!(
            "`{text}` is no weight: write UID=WEIGHT, such as 3=0.7, with a weight of 0 or more"
        ))
    };
    let (uid, weight) = text.split_once('=').ok_or_else(wrong)?;
    let uid = uid.parse().map_err(|_| wrong())?;
    let weight: f64 = weight.parse().map_err(|_| wrong())?;
    match weight.is_finite() && weight >= 0.0 {
        true => Ok((uid, weight)),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(edges: &[&str]) -> Result<Vec<(Uid, u16)>, String> {
        let edges: Vec<_> = edges.iter().map(|edge| edge.to_string()).collect();
        parse(&edges).map_err(|error| error.to_string())
    }

    #[test]
    fn only_proportions_count_and_the_row_is_sorted() {
        assert_eq!(row(&["3=1"]), Ok(vec![(3, 65535)]));
        assert_eq!(row(&["3=1", "0=0.5"]), Ok(vec![(0, 32768), (3, 65535)]));
        assert_eq!(row(&["3=200", "0=100"]), row(&["0=0.5", "3=1"]));
        assert_eq!(row(&["1=1e300", "2=1e-300"]), Ok(vec![(1, 65535), (2, 1)]));
        assert_eq!(row(&["1=1", "2=0"]), Ok(vec![(1, 65535)]));
    }

    #[test]
    fn what_is_no_row_is_refused_in_words() {
        for wrong in ["3", "=1", "3=", "3=-1", "3=nan", "3=inf", "70000=1", "a=1"] {
            assert!(row(&[wrong]).unwrap_err().contains("UID=WEIGHT"), "{wrong}");
        }
        assert!(row(&["3=1", "3=2"]).unwrap_err().contains("twice"));
        assert!(row(&["3=0"]).unwrap_err().contains("zero"));
        assert!(row(&[]).is_err());
    }
}
