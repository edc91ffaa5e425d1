//! Who takes part in an experiment: eight honest miners of falling worth, three worthless ones, of text four, two
//! validators.

use anyhow::Result;

use crate::{local::plan::Member, row::Role};

/// Steps of training of the honest miners: from well trained to random, so that each is clearly worse than the one before
/// and the best is not all there is.
const STEPS: [u32; 8] = [1500, 1300, 1100, 900, 600, 300, 100, 0];

/// Each validator's own text in bytes, less than four hundredths of what the miners learned from, and the examples of a batch.
const OWN_TEXT: [&str; 2] = ["131072", "32"];
/// The same of images, a pixel a byte: 4000 of the 55,000 of Fashion-MNIST that are trained on. An image has one label, a
/// text one a byte.
const OWN_IMAGES: [&str; 2] = ["3136000", "64"];

/// Coldkeys of the miners in turn: each registers one hotkey at a time.
const COLDKEYS: [&str; 4] = ["//Charlie", "//Dave", "//Eve", "//Ferdie"];

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Answers as well as it can, after so many steps of training.
    Honest(u32),
    /// Is to earn nothing.
    Worthless,
    /// Scores the others.
    Validator,
}

/// One member and what it is there for.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The member.
    pub member: Member,
    /// Its part.
    pub part: Part,
}

/// Everybody, in the order in which they are started.
///
/// Labels are sent to nobody, so that there is nothing to leak but in a text.
pub fn cast(market: &str, steps: u64, examples: u32) -> Result<Vec<Actor>> {
    // What a miner is worth is to stay as it was measured: it learns from nobody.
    let still = ["--steps", "0", "--gradient-quota", "0"];
    let miner = |name: &str, place: usize, flags: &[&str]| {
        let coldkey = COLDKEYS[place % COLDKEYS.len()];
        let flags = [still.as_slice(), flags].concat();
        Member {
            hotkey: format!("{coldkey}//{name}"),
            ..Member::new(name, Role::Miner, coldkey, &flags)
        }
    };
    let mut cast: Vec<Actor> = STEPS
        .iter()
        .enumerate()
        .map(|(place, &steps)| Actor {
            member: miner(&format!("steps-{steps}"), place, &[]),
            part: Part::Honest(steps),
        })
        .collect();
    let best = hex::encode(cast[0].member.public_key()?);
    for (name, fault) in [
        ("noise", "noise".to_owned()),
        ("silent", "silent".to_owned()),
        ("leak", "leak".to_owned()),
        // Answers what the best of the others answers.
        ("copy", format!("relay:{best}")),
    ] {
        if name == "leak" && market != "text" {
            continue;
        }
        cast.push(Actor {
            member: miner(name, cast.len(), &["--fault", &fault]),
            part: Part::Worthless,
        });
    }
    let (steps, examples) = (steps.to_string(), examples.to_string());
    let [own_data, batch] = match market {
        "text" => OWN_TEXT,
        _ => OWN_IMAGES,
    };
    for (name, coldkey) in [("validator-1", "//Alice"), ("validator-2", "//Bob")] {
        let flags = [
            ["--steps", &steps],
            ["--evaluate", &examples],
            ["--own-data", own_data],
            ["--batch", batch],
        ];
        let flags = [flags.as_flattened(), &["--student"]].concat();
        cast.push(Actor {
            member: Member::new(name, Role::Validator, coldkey, &flags),
            part: Part::Validator,
        });
    }
    Ok(cast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_next_token_has_one_worthless_miner_fewer() {
        for (market, worthless) in [("text", 4), ("image", 3), ("tensor", 3)] {
            let cast = cast(market, 100, 64).unwrap();
            let count = cast.iter().filter(|one| one.part == Part::Worthless);
            assert_eq!(count.count(), worthless, "{market}");
        }
    }

    #[test]
    fn everybody_has_a_name_and_a_key_of_their_own() {
        let cast = cast("text", 100, 64).unwrap();
        let count = |part: fn(&Part) -> bool| cast.iter().filter(|one| part(&one.part)).count();
        assert_eq!(count(|part| matches!(part, Part::Honest(_))), 8);
        assert_eq!(count(|part| *part == Part::Worthless), 4);
        assert_eq!(count(|part| *part == Part::Validator), 2);
        for field in [
            |one: &Actor| one.member.name.clone(),
            |one: &Actor| one.member.hotkey.clone(),
        ] {
            let mut values: Vec<String> = cast.iter().map(field).collect();
            values.sort();
            values.dedup();
            assert_eq!(values.len(), cast.len());
        }
    }
}
