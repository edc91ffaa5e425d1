//! The figures of one seed, and of several in short.

use noesis_statistics::{spearman, Spread};
use serde::Serialize;

/// One miner after a run.
#[derive(Clone, Debug, Serialize)]
pub struct Miner {
    /// Its name.
    pub name: String,
    /// Steps of its training; none for a worthless one.
    pub steps: Option<u32>,
    /// Its share of the incentive, mean over the later half of the paid epochs.
    pub incentive: f64,
    /// Its share of all that was minted.
    pub emission_share: f64,
    /// Loss of its own model at the kept-back targets of the held-out examples, in nats; none for a worthless one.
    pub loss: Option<f64>,
}

/// The losses that a validator measured at the end, at the kept-back targets of the held-out examples, in nats.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut {
    /// Of its model joined with the network.
    pub joined: f64,
    /// Of the same model trained alone with the same data and steps.
    pub alone: f64,
    /// Of the student, without the network.
    pub student: f64,
    /// Of a model like the student, trained alone.
    pub student_alone: f64,
    /// Spearman's correlation of Fisher scores and ablations among those who are paid.
    pub correlation: Option<f64>,
    /// Of those whose ablation does not show that they help, the share whose Fisher score is below all of the others'.
    pub others_below: Option<f64>,
}

/// What one seed gave. Losses are means over the validators.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The seed.
    pub seed: u64,
    /// Spearman's correlation of the honest miners' incentives with their usefulness, which is how small their
    /// own held-out loss is.
    pub spearman_incentive_usefulness: Option<f64>,
    /// Share of all that was minted that went to the worthless.
    pub worthless_emission_share: f64,
    /// Held-out loss of the joined models.
    pub loss_joined: f64,
    /// Held-out loss of the best miner's own model.
    pub loss_best_peer: f64,
    /// Held-out loss of the validators' models trained alone.
    pub loss_alone: f64,
    /// Held-out loss of the students.
    pub loss_student: f64,
    /// Held-out loss of the students' models trained alone.
    pub loss_student_alone: f64,
    /// Spearman's correlation of Fisher scores and ablations among those who are paid.
    pub spearman_fisher_ablation: Option<f64>,
    /// Of those whose ablation does not show that they help, the share whose Fisher score is below all of the others'.
    pub others_below: Option<f64>,
    /// What it took.
    pub minutes: f64,
    /// The miners.
    pub miners: Vec<Miner>,
}

impl Figures {
    /// From what the miners got and the validators measured; `None` without a validator's measurement or a
    /// miner's loss.
    pub fn of(seed: u64, minutes: f64, miners: Vec<Miner>, validators: &[HeldOut]) -> Option<Self> {
        let (incentives, usefulness): (Vec<f64>, Vec<f64>) = miners
            .iter()
            .filter_map(|miner| Some((miner.incentive, -miner.loss?)))
            .unzip();
        let mean = |field: fn(&HeldOut) -> Option<f64>| {
            let values: Vec<f64> = validators.iter().filter_map(field).collect();
            Spread::of(&values).map(|spread| spread.mean)
        };
        let losses: Vec<f64> = miners.iter().filter_map(|miner| miner.loss).collect();
        let worthless = miners.iter().filter(|miner| miner.steps.is_none());
        Some(Self {
            seed,
            spearman_incentive_usefulness: spearman(&incentives, &usefulness),
            worthless_emission_share: worthless.map(|miner| miner.emission_share).sum(),
            loss_joined: mean(|one| Some(one.joined))?,
            loss_best_peer: Spread::of(&losses)?.least,
            loss_alone: mean(|one| Some(one.alone))?,
            loss_student: mean(|one| Some(one.student))?,
            loss_student_alone: mean(|one| Some(one.student_alone))?,
            spearman_fisher_ablation: mean(|one| one.correlation),
            others_below: mean(|one| one.others_below),
            minutes,
            miners,
        })
    }

    /// How much of what the network gains over the student's model alone the student keeps; `None` where it gains
    /// nothing.
    pub fn gain_kept(&self) -> Option<f64> {
        let alone = self.loss_student_alone;
        let gain = alone - self.loss_joined;
        (gain > 0.0).then(|| (alone - self.loss_student) / gain)
    }
}

/// A line of the table: what is measured, what is aimed at, whether a value is as it should be.
struct Line {
    name: &'static str,
    aim: &'static str,
    value: fn(&Figures) -> Option<f64>,
    holds: fn(&Figures) -> Option<bool>,
}

/// What is measured, in the order of the table.
const LINES: [Line; 11] = [
    Line {
        name: "spearman_incentive_usefulness",
        aim: "0.9 or more",
        value: |one| one.spearman_incentive_usefulness,
        holds: |one| Some(one.spearman_incentive_usefulness? >= 0.9),
    },
    Line {
        name: "worthless_emission_share",
        aim: "below 0.01",
        value: |one| Some(one.worthless_emission_share),
        holds: |one| Some(one.worthless_emission_share < 0.01),
    },
    Line {
        name: "loss_joined",
        aim: "below the next two",
        value: |one| Some(one.loss_joined),
        holds: |one| Some(one.loss_joined < one.loss_best_peer.min(one.loss_alone)),
    },
    Line {
        name: "loss_best_peer",
        aim: "",
        value: |one| Some(one.loss_best_peer),
        holds: |_| None,
    },
    Line {
        name: "loss_alone",
        aim: "",
        value: |one| Some(one.loss_alone),
        holds: |_| None,
    },
    Line {
        name: "loss_student",
        aim: "",
        value: |one| Some(one.loss_student),
        holds: |_| None,
    },
    Line {
        name: "loss_student_alone",
        aim: "",
        value: |one| Some(one.loss_student_alone),
        holds: |_| None,
    },
    Line {
        name: "gain kept by the student",
        aim: "0.8 or more",
        value: Figures::gain_kept,
        holds: |one| Some(one.gain_kept()? >= 0.8),
    },
    Line {
        name: "spearman_fisher_ablation",
        aim: "0.9 or more",
        value: |one| one.spearman_fisher_ablation,
        holds: |one| Some(one.spearman_fisher_ablation? >= 0.9),
    },
    Line {
        name: "others_below",
        aim: "1: all of them",
        value: |one| one.others_below,
        holds: |one| Some(one.others_below? >= 1.0),
    },
    Line {
        name: "minutes",
        aim: "20 or less",
        value: |one| Some(one.minutes),
        holds: |one| Some(one.minutes <= 20.0),
    },
];

/// The figures of all seeds as a table: mean, standard deviation where there are several, least and greatest, aim, and in
/// how many seeds it was met.
pub fn table(all: &[Figures]) -> String {
    let mut text = format!(
        "{:<30} {:>8} {:>8} {:>8} {:>8}  {:<18}  met\n",
        "", "mean", "sd", "least", "most", "aim"
    );
    for line in &LINES {
        let values: Vec<f64> = all.iter().filter_map(line.value).collect();
        let verdicts: Vec<bool> = all.iter().filter_map(line.holds).collect();
        let met = verdicts.iter().filter(|holds| **holds).count();
        let met = match line.aim {
            "" => String::new(),
            _ => format!("{met} of {}", all.len()),
        };
        let spread = Spread::of(&values);
        let number = |of: fn(&Spread) -> Option<f64>| {
            let value = spread.as_ref().and_then(of);
            value.map_or("-".into(), |value| format!("{value:.4}"))
        };
        let row = format!(
            "{:<30} {:>8} {:>8} {:>8} {:>8}  {:<18}  {met}",
            line.name,
            number(|spread| Some(spread.mean)),
            number(|spread| spread.deviation),
            number(|spread| Some(spread.least)),
            number(|spread| Some(spread.greatest)),
            line.aim
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miner(name: &str, steps: Option<u32>, incentive: f64, loss: Option<f64>) -> Miner {
        Miner {
            name: name.into(),
            steps,
            incentive,
            emission_share: incentive / 2.0,
            loss,
        }
    }

    fn figures() -> Figures {
        let miners = vec![
            miner("a", Some(9), 0.6, Some(1.7)),
            miner("b", Some(3), 0.1, Some(2.0)),
            miner("c", Some(0), 0.28, Some(3.0)),
            miner("noise", None, 0.02, None),
        ];
        let validator = |joined, others_below| HeldOut {
            joined,
            alone: 2.0,
            student: 1.7,
            student_alone: 2.1,
            correlation: Some(0.95),
            others_below,
        };
        let validators = [
            validator(1.5, Some(1.0)),
            validator(1.7, Some(0.5)),
            validator(1.6, None),
        ];
        Figures::of(7, 12.0, miners, &validators).unwrap()
    }

    #[test]
    fn figures_are_what_they_say() {
        let figures = figures();
        // Ranks 2, 0, 1 against 2, 1, 0.
        assert_eq!(figures.spearman_incentive_usefulness, Some(0.5));
        assert!((figures.worthless_emission_share - 0.01).abs() < 1e-12);
        assert!((figures.loss_joined - 1.6).abs() < 1e-12);
        assert_eq!(figures.loss_best_peer, 1.7);
        // Of the two who could tell.
        assert_eq!(figures.others_below, Some(0.75));
        assert!((figures.gain_kept().unwrap() - 0.8).abs() < 1e-9);
        assert!(Figures::of(1, 1.0, figures.miners.clone(), &[]).is_none());
        assert!(Figures::of(1, 1.0, Vec::new(), &[]).is_none());
    }

    #[test]
    fn the_table_says_what_was_met() {
        let table = table(&[figures(), figures()]);
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("spearman_incentive").ends_with("0 of 2"), "{table}");
        assert!(line("loss_joined").ends_with("2 of 2"), "{table}");
        assert!(line("others_below").ends_with("0 of 2"), "{table}");
        assert!(line("minutes").contains("12.0000"), "{table}");
        assert!(table.lines().all(|line| line.len() <= 96), "{table}");
        assert!(line("minutes").contains(" 0.0000 "), "{table}");
    }

    #[test]
    fn of_a_network_that_teaches_nothing_no_gain_is_kept() {
        // Worse than the model alone, or the same, whatever the student has become.
        for (joined, student) in [(2.2, 2.2), (2.1, 1.9)] {
            let worse = Figures {
                loss_joined: joined,
                loss_student: student,
                ..figures()
            };
            assert_eq!(worse.gain_kept(), None);
            let none = table(std::slice::from_ref(&worse));
            let line = none.lines().find(|line| line.starts_with("gain kept"));
            let line = line.unwrap();
            assert!(line.contains(" - ") && line.ends_with("0 of 1"), "{none}");
            let better = Figures {
                loss_student: 1.6,
                ..figures()
            };
            let table = table(&[better, worse]);
            let line = table.lines().find(|line| line.starts_with("gain kept"));
            assert!(line.unwrap().ends_with("1 of 2"), "{table}");
        }
    }

    #[test]
    fn one_seed_has_no_spread() {
        let table = table(&[figures()]);
        let line = table.lines().find(|line| line.starts_with("minutes"));
        let cells: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(cells[..4], ["minutes", "12.0000", "-", "12.0000"]);
    }

    #[test]
    fn the_report_has_the_fields_that_readers_rely_on() {
        let json = serde_json::to_value(figures()).unwrap();
        for field in [
            "spearman_incentive_usefulness",
            "worthless_emission_share",
            "loss_joined",
            "loss_best_peer",
            "loss_alone",
            "loss_student",
            "loss_student_alone",
            "spearman_fisher_ablation",
            "others_below",
            "minutes",
        ] {
            assert!(json[field].is_number(), "{field}");
        }
    }
}
