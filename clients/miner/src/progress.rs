//! What a miner that serves has done, in a line that is kept up to date on a terminal.

use std::{fmt, time::Duration};

use noesis_telemetry::terminal::Line;

use crate::events::{Event, Events, REFUSED};

/// Time from one look at what is done to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Done {
    /// The last step of its own training, and the loss of that.
    trained: Option<(u64, f64)>,
    /// Questions that were answered.
    answers: u64,
    /// Gradients that were taken.
    gradients: u64,
    /// Gradients that the model refused.
    refused: u64,
    /// Calls of both kinds at which the model failed.
    failed: u64,
}

impl Done {
    /// Counts what happened.
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::Train { step, loss } => self.trained = Some((*step, *loss)),
            Event::Served { outcome, .. } if outcome.starts_with(REFUSED) => self.refused += 1,
            Event::Served { outcome, .. } if *outcome != "ok" => self.failed += 1,
            Event::Served { method, .. } if *method == "backward" => self.gradients += 1,
            Event::Served { .. } => self.answers += 1,
            // Each of the calls that are told together was told by itself.
            Event::ServedMore { .. } | Event::HeldOut { .. } | Event::Checkpoint { .. } => {}
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((step, loss)) = self.trained {
            write!(to, "step {step}, loss {loss:.3}, ")?;
        }
        write!(to, "{} answers, {} gradients", self.answers, self.gradients)?;
        if self.refused > 0 {
            write!(to, ", {} refused", self.refused)?;
        }
        if self.failed > 0 {
            write!(to, ", {} failed", self.failed)?;
        }
        Ok(())
    }
}

/// Shows on a terminal what is done, for as long as it is polled; where there is none it ends at once.
pub async fn show(events: Events) {
    let Some(line) = Line::on_terminal() else {
        return;
    };
    let mut pause = tokio::time::interval(PAUSE);
    loop {
        pause.tick().await;
        line.say(0, events.done().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_told_in_words() {
        let events = Events::default();
        let served = |method, outcome| {
            events.record(&Event::Served {
                method,
                caller: String::new(),
                batch: 1,
                milliseconds: 0.5,
                outcome,
            });
        };
        // A remote model's own training is not known here.
        assert_eq!(events.done().to_string(), "0 answers, 0 gradients");
        for _ in 0..3 {
            served("forward", "ok");
        }
        served("backward", "ok");
        let words = "3 answers, 1 gradients";
        assert_eq!(events.done().to_string(), words);
        served("forward", "the model failed");
        served(
            "backward",
            "refused: the gradient of the parameters is not finite",
        );
        events.record(&Event::Train {
            step: 40,
            loss: 2.5,
        });
        events.record(&Event::Checkpoint { step: 40 });
        // A clone tells of the same.
        let said = events.clone().done().to_string();
        assert_eq!(
            said,
            format!("step 40, loss 2.500, {words}, 1 refused, 1 failed")
        );
    }
}
