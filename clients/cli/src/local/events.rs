//! What programs tell of themselves: lines of JSON; those of the validators' training, read as they are written.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::{Duration, Instant},
};

use noesis_chain::Uid;
use serde::Deserialize;

use crate::{row::Answers, view::Training};

/// Span over which steps per second are counted.
const RATE_SPAN: Duration = Duration::from_secs(20);

/// Losses that are kept for the picture.
const KEPT_LOSSES: usize = 400;

/// Most bytes read at once; the rest comes with the next call.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// One line: what it tells is in `event`, and the fields are those of that event. A flat struct, not a
/// tagged enum: some of the node's crates build serde_json with `arbitrary_precision`, with which an
/// enum tagged inside reads no numbers.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// What happened.
    pub event: String,
    /// Steps of training.
    pub step: Option<u64>,
    /// Loss of a step, or of a miner's own model.
    pub loss: Option<f64>,
    #[serde(default)]
    answers: Vec<Answer>,
    /// Loss of a validator's model joined with the network.
    pub joined: Option<f64>,
    /// Loss of the same model trained alone.
    pub alone: Option<f64>,
    /// Loss of the student.
    pub student: Option<f64>,
    /// Each peer's standing with a validator.
    #[serde(default)]
    pub scores: Vec<Scored>,
    /// Spearman's correlation of Fisher scores and ablations.
    pub rank_correlation: Option<f64>,
}

/// What a validator knows of one peer.
#[derive(Debug, Deserialize)]
pub struct Scored {
    /// Its Fisher score; none where it is no number.
    pub fisher: Option<f64>,
    /// Its ablation; none where it is no number.
    pub ablation: Option<f64>,
    /// The ablation's standard error; none before the first.
    pub error: Option<f64>,
}

/// What one neuron answered in one step.
#[derive(Debug, Deserialize)]
struct Answer {
    uid: Uid,
    outcome: String,
    milliseconds: Option<f64>,
}

/// Follows one validator's file.
pub struct Events {
    path: PathBuf,
    offset: u64,
    /// When the last steps were seen, with their numbers.
    seen: VecDeque<(Instant, u64)>,
    /// What is known of the training.
    pub training: Training,
}

impl Events {
    /// Follows `path`, which need not exist yet, for the validator called `name`.
    pub fn new(name: &str, path: PathBuf) -> Self {
        Self {
            path,
            offset: 0,
            seen: VecDeque::new(),
            training: Training {
                name: name.into(),
                ..Training::default()
            },
        }
    }

    /// Reads what was written since the last call, and notes the answers.
    pub fn read(&mut self, now: Instant, answers: &mut Answers) {
        // A file that is not there yet, or not to be read, has nothing new.
        let text = self.new_lines().unwrap_or_default();
        for line in text.lines() {
            // A line of another version is no reason to stop showing the market.
            if let Ok(event) = serde_json::from_str(line) {
                self.take(event, now, answers);
            }
        }
        while self.seen.len() > 1 && now.duration_since(self.seen[0].0) > RATE_SPAN {
            self.seen.pop_front();
        }
        self.training.rate = self.rate(now);
    }

    /// The whole lines since the last call.
    fn new_lines(&mut self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        bytes.truncate(whole);
        self.offset += whole as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn take(&mut self, event: Event, now: Instant, answers: &mut Answers) {
        match event.event.as_str() {
            "step" => self.take_step(event, now, answers),
            "evaluation" => {
                self.training.joined = event.joined;
                self.training.alone = event.alone;
            }
            // What this program has no use for.
            _ => {}
        }
    }

    fn take_step(&mut self, event: Event, now: Instant, answers: &mut Answers) {
        let Some(step) = event.step else { return };
        self.training.step = step;
        self.seen.push_back((now, step));
        let losses = &mut self.training.losses;
        losses.extend(event.loss);
        let surplus = losses.len().saturating_sub(KEPT_LOSSES);
        losses.drain(..surplus);
        for answer in event.answers {
            let text = match answer.milliseconds {
                Some(time) if answer.outcome == "ok" => format!("ok {time:.0} ms"),
                // The first words say what happened; the validator's log has the rest.
                _ => answer.outcome.split(':').next().unwrap_or_default().into(),
            };
            answers.insert(answer.uid, text);
        }
    }

    /// Steps per second over the last seconds.
    fn rate(&self, now: Instant) -> Option<f64> {
        let (begin, first) = *self.seen.front()?;
        let last = self.seen.back()?.1;
        let seconds = now.duration_since(begin).as_secs_f64();
        (seconds > 0.0 && last > first).then(|| (last - first) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_are_taken_up_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut events = Events::new("validator-1", path.clone());
        let mut answers = Answers::new();
        let begin = Instant::now();
        events.read(begin, &mut answers);
        assert_eq!(events.training.step, 0);

        let mut file = File::create(&path).unwrap();
        let first = r#"{"event":"step","step":1,"loss":5.5,"answers":[{"uid":0,"outcome":"ok","milliseconds":12.4},{"uid":3,"outcome":"late: more than 2 s","milliseconds":2000.0}]}"#;
        let second = r#"{"event":"step","step":9,"loss":null,"answers":[]}"#;
        // A line in two parts, as a reader may find it.
        write!(file, "{first}\n{}", &second[..17]).unwrap();
        events.read(begin, &mut answers);
        assert_eq!(answers[&0], "ok 12 ms");
        assert_eq!(answers[&3], "late");
        assert_eq!(events.training.losses, [5.5]);

        writeln!(file, "{}", &second[17..]).unwrap();
        writeln!(file, "no JSON").unwrap();
        writeln!(
            file,
            r#"{{"event":"weights","epoch":1,"weights":[[0,65535]]}}"#
        )
        .unwrap();
        writeln!(
            file,
            r#"{{"event":"evaluation","step":9,"joined":2.5,"alone":3.5}}"#
        )
        .unwrap();
        events.read(begin + Duration::from_secs(4), &mut answers);
        let training = &events.training;
        assert_eq!((training.step, training.losses.len()), (9, 1));
        assert_eq!((training.joined, training.alone), (Some(2.5), Some(3.5)));
        assert_eq!(training.rate, Some(2.0));
    }
}
