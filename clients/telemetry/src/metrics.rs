//! The numbers of a program as Prometheus reads them.

use crate::{Kind, Sample};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

/// Label sets that one name can have: who comes and goes must not fill the memory.
pub(crate) const MOST_SERIES: usize = 10_000;

/// The numbers as they stand. A clone sees the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

/// All numbers of one name.
#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: Kind,
    /// By labels as they are written.
    series: BTreeMap<String, f64>,
}

impl Metrics {
    /// Takes in numbers that became known together; what is not finite is left out. Gauges of one name are told all at once:
    /// those of before that are not among them are over, as of a slot that changed hands.
    pub fn take(&self, samples: &[Sample]) {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in samples.iter().filter(|one| one.kind == Kind::Gauge) {
            if let Some(family) = families.get_mut(sample.name) {
                family.series.clear();
            }
        }
        for sample in samples.iter().filter(|one| one.value.is_finite()) {
            let family = families.entry(sample.name).or_insert_with(|| Family {
                help: sample.help,
                kind: sample.kind,
                series: BTreeMap::new(),
            });
            family.take(sample);
        }
    }

    /// All of them in the text format, version 0.0.4.
    pub fn text(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, family) in families.iter() {
            let kind = match family.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "# HELP {name} {}\n# TYPE {name} {kind}\n",
                family.help
            );
            for (labels, value) in &family.series {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }
}

impl Family {
    fn take(&mut self, sample: &Sample) {
        let labels = labels(sample);
        if self.series.len() >= MOST_SERIES && !self.series.contains_key(&labels) {
            return;
        }
        let value = self.series.entry(labels).or_insert(0.0);
        match sample.kind {
            Kind::Gauge => *value = sample.value,
            Kind::Counter => *value += sample.value.max(0.0),
        }
    }
}

/// `{uid="3"}`, or nothing.
fn labels(sample: &Sample) -> String {
    let escape = |value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        value.replace('\n', "\\n")
    };
    let labels = sample.labels.iter();
    let labels: Vec<String> = labels
        .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
        .collect();
    if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_as_prometheus_reads_it() {
        let metrics = Metrics::default();
        for value in [2.0, 1.5] {
            let answers = Sample::counter("a_answers_total", "Answers.", value);
            metrics.take(&[
                Sample::gauge("b_loss", "Loss, in nats.", value),
                answers.clone().of("uid", 3).of("outcome", "a \"b\"\\\n"),
                answers.of("uid", 4),
            ]);
        }
        assert_eq!(
            metrics.text(),
            concat!(
                "# HELP a_answers_total Answers.\n# TYPE a_answers_total counter\n",
                "a_answers_total{uid=\"3\",outcome=\"a \\\"b\\\"\\\\\\n\"} 3.5\n",
                "a_answers_total{uid=\"4\"} 3.5\n",
                "# HELP b_loss Loss, in nats.\n# TYPE b_loss gauge\n",
                "b_loss 1.5\n"
            )
        );
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let metrics = Metrics::default();
        for number in 0..MOST_SERIES + 100 {
            metrics.take(&[Sample::counter("x", "X.", 1.0).of("n", number)]);
        }
        assert_eq!(metrics.text().lines().count(), 2 + MOST_SERIES);
    }

    #[test]
    fn what_is_shown_together_was_true_together() {
        let metrics = Metrics::default();
        let weight = |uid: u8, value| Sample::gauge("weight", "Weight.", value).of("uid", uid);
        let votes = |uid: u8| Sample::counter("votes", "Votes.", 1.0).of("uid", uid);
        metrics.take(&[weight(1, 0.25), weight(2, 0.75), votes(1), votes(2)]);
        metrics.take(&[Sample::gauge("epoch", "Epoch.", 4.0)]);
        assert!(metrics.text().contains("weight{uid=\"1\"} 0.25\n"));
        metrics.take(&[weight(2, 0.5), weight(3, f64::NAN), votes(2)]);
        let text = metrics.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "epoch 4",
                "votes{uid=\"1\"} 1",
                "votes{uid=\"2\"} 2",
                "weight{uid=\"2\"} 0.5"
            ]
        );
    }
}
