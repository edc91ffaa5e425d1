//! The report: what the table showed at each paid epoch, as JSON.

use std::collections::BTreeMap;

use noesis_chain::{BlockNumber, Metagraph};
use serde::Serialize;

use crate::{row::Row, view::Training};

/// What `--json` writes. Amounts are exact, in units of 10^-9 NOE.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Seconds from the moment in which every neuron had registered and every miner had published its
    /// endpoint, in a finalized block, to the first finalized block that paid; 0 where it paid before.
    pub first_paid_epoch_seconds: Option<f64>,
    /// The same from the moment in which the last process was started.
    pub first_paid_epoch_seconds_after_start: Option<f64>,
    /// The paid epochs, oldest first.
    pub epochs: Vec<Epoch>,
}

/// What `--json` writes of a network of several markets.
#[derive(Debug, Serialize)]
pub struct Reports<'a> {
    /// Each market's report, by what it trades.
    pub markets: BTreeMap<&'a str, &'a Report>,
}

/// One epoch that minted something.
#[derive(Debug, Serialize)]
pub struct Epoch {
    /// Its number.
    pub epoch: u64,
    /// The block that finished it.
    pub block: BlockNumber,
    /// The consensus loss.
    pub loss: f64,
    /// Units minted.
    pub minted: u64,
    /// The validators' training when it was paid.
    pub validators: Vec<Validator>,
    /// The neurons, in order of uid.
    pub neurons: Vec<Row>,
}

/// One validator's training in the report.
#[derive(Debug, Serialize)]
pub struct Validator {
    name: String,
    steps: u64,
    steps_per_second: Option<f64>,
    loss: Option<f64>,
    kept_apart_loss: Option<f64>,
    alone: Option<f64>,
}

impl From<&Training> for Validator {
    fn from(training: &Training) -> Self {
        Self {
            name: training.name.clone(),
            steps: training.step,
            steps_per_second: training.rate,
            loss: training.losses.last().copied(),
            kept_apart_loss: training.joined,
            alone: training.alone,
        }
    }
}

impl Report {
    /// Notes the epoch of a snapshot if it paid and is new. Whether it was noted.
    pub fn add(&mut self, metagraph: &Metagraph, rows: Vec<Row>, trainings: &[Training]) -> bool {
        let known = self
            .epochs
            .last()
            .is_some_and(|last| last.epoch >= metagraph.epoch);
        if metagraph.minted == 0 || known {
            return false;
        }
        self.epochs.push(Epoch {
            epoch: metagraph.epoch,
            block: metagraph.block,
            loss: metagraph.loss.to_f64(),
            minted: metagraph.minted,
            validators: trainings.iter().map(Validator::from).collect(),
            neurons: rows,
        });
        true
    }
}

/// One paid epoch in a line: what was minted, and who got how much of it, by name.
pub fn line(epoch: &Epoch) -> String {
    let mut text = format!(
        "epoch {} at block {}: minted {} NOE, consensus loss {:.3};",
        epoch.epoch,
        epoch.block,
        crate::words::noe(epoch.minted),
        epoch.loss
    );
    let mut rows: Vec<&Row> = epoch.neurons.iter().collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    for row in rows {
        let part = row.pay as f64 / epoch.minted.max(1) as f64;
        text.push_str(&format!(" {} {:.1} %", row.name, 100.0 * part));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::report_file::write;
    use crate::row::{rows, tests::market, Answers, Names, Role};
    use noesis_chain::NOE;
    use std::path::Path;

    fn add(report: &mut Report, metagraph: &Metagraph) -> bool {
        let names = Names::from([
            ([0; 32], ("validator-1".into(), Role::Validator)),
            ([1; 32], ("trained".into(), Role::Miner)),
        ]);
        let training = Training {
            name: "validator-1".into(),
            step: 7,
            losses: vec![3.5],
            ..Training::default()
        };
        report.add(
            metagraph,
            rows(metagraph, &names, &Answers::new()),
            &[training],
        )
    }

    #[test]
    fn only_paid_epochs_count_and_each_once() {
        let mut report = Report::default();
        assert!(!add(&mut report, &market(1, 0)));
        assert!(add(&mut report, &market(2, 10 * NOE)));
        assert!(!add(&mut report, &market(2, 10 * NOE)));
        assert!(!add(&mut report, &market(3, 0)));
        assert!(add(&mut report, &market(4, 9 * NOE)));
        assert_eq!(
            report
                .epochs
                .iter()
                .map(|epoch| epoch.epoch)
                .collect::<Vec<_>>(),
            [2, 4]
        );
        assert!(line(&report.epochs[1]).contains("minted 9.000 NOE"));
        let mut epoch = report.epochs.remove(1);
        assert!(line(&epoch).ends_with("trained 50.0 % validator-1 50.0 %"));
        epoch.neurons.reverse();
        assert!(line(&epoch).ends_with("trained 50.0 % validator-1 50.0 %"));
    }

    #[test]
    fn the_file_has_the_names_that_readers_rely_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let mut report = Report::default();
        add(&mut report, &market(2, 10 * NOE));
        report.first_paid_epoch_seconds = Some(12.5);
        write(&path, &report).unwrap();
        write(&path, &report).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["first_paid_epoch_seconds"], 12.5);
        let epoch = &json["epochs"][0];
        assert_eq!((&epoch["epoch"], &epoch["block"]), (&2.into(), &20.into()));
        assert_eq!(epoch["loss"], -0.25);
        assert_eq!(epoch["minted"], 10 * NOE);
        let validator = &epoch["neurons"][0];
        assert_eq!(validator["role"], "validator");
        assert_eq!(validator["stake"], 1000 * NOE, "an integer of units");
        let miner = &epoch["neurons"][1];
        let mut keys: Vec<&String> = miner.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(
            keys,
            [
                "consensus",
                "dividend",
                "incentive",
                "last_answer",
                "name",
                "pay",
                "rank",
                "role",
                "stake",
                "trust",
                "uid"
            ]
        );
        let training = &epoch["validators"][0];
        assert_eq!(training["steps"], 7);
        assert!(training.get("kept_apart_loss").is_some() && training.get("alone").is_some());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays");
    }

    #[test]
    fn a_report_that_cannot_be_written_says_so() {
        let error = write(Path::new("/nonexistent/out.json"), &Report::default()).unwrap_err();
        assert!(format!("{error:#}").contains("a folder that exists"));
    }
}
