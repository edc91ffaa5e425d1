//! The query: all chosen peers asked at once, and no longer waited for than is worth it.
//!
//! There is a deadline for all, from the questions on. Answers come while nobody waits for them yet, since a step's
//! questions are sent while the step before is learned from. Once they are waited for, and enough peers have answered,
//! the rest get a short grace, and then the step goes on without them; with nobody answering it goes on too, at the
//! deadline. The grace is a share of the time that those took, or of what a step usually takes without such waiting
//! ([`Pace`]) if that is more, so that dead and slow peers lengthen a step by no more than that share, once it is known
//! what a step takes.

use noesis_neuron::{Failure, Peer};
use std::{future::Future, pin::pin, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep_until, Instant},
};

/// How long to wait for whom.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For anybody.
    pub deadline: Duration,
    /// Share of those asked whose answers are enough to go on with, rounded down; one is always needed. A share, not
    /// a number: peers that share processors answer one after the other, and the first few say nothing of the rest.
    pub k_min: f64,
    /// For the rest, once there are enough: this share of the time that those took.
    pub grace: f64,
    /// The least of it, since answers that come at once say little of how long the others need. [`Pace`] raises it.
    pub shortest_grace: Duration,
}

impl Patience {
    /// How many answers are enough, of so many asked.
    fn enough(&self, asked: usize) -> usize {
        ((asked as f64 * self.k_min.clamp(0.0, 1.0)) as usize).max(1)
    }

    /// How long the rest are waited for when enough have answered after so long.
    fn grace_after(&self, enough: Duration) -> Duration {
        enough
            .mul_f64(self.grace.clamp(0.0, 1.0))
            .max(self.shortest_grace)
    }
}

/// What the steps take, moving averages.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A step, apart from its wait for the rest.
    step: Duration,
    /// How long its questions were under way before their answers were waited for.
    ahead: Duration,
}

impl Default for Pace {
    /// Half a second a step, until the first were taken.
    fn default() -> Self {
        Self {
            step: Duration::from_millis(500),
            ahead: Duration::ZERO,
        }
    }
}

impl Pace {
    /// What one step keeps of the average.
    const MEMORY: f64 = 0.9;

    /// A step took so long, of which it waited so for the rest once enough had answered, and its questions had been under
    /// way for so long before. One in which there never were enough waited to the deadline, and says nothing.
    pub fn took(&mut self, step: Duration, rest: Option<Duration>, ahead: Duration) {
        let averaged = |old: Duration, new: Duration| {
            old.mul_f64(Self::MEMORY) + new.mul_f64(1.0 - Self::MEMORY)
        };
        if let Some(rest) = rest {
            self.step = averaged(self.step, step.saturating_sub(rest));
            self.ahead = averaged(self.ahead, ahead);
        }
    }

    /// The patience of the next step.
    pub fn patience(self, patience: Patience) -> Patience {
        let shortest_grace = patience.shortest_grace.max(patience.grace_after(self.step));
        Patience {
            shortest_grace,
            ..patience
        }
    }

    /// What a question of the next step is granted, even where the others answer at once.
    pub fn question(self, patience: Patience) -> Duration {
        let granted = self.ahead + self.patience(patience).shortest_grace;
        granted.min(patience.deadline)
    }
}

/// Why a peer's answer is not there.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// No longer waited for.
    #[error("late")]
    Late,
    /// It failed, or its answer cannot be used.
    #[error("{0}")]
    Failed(Failure),
}

/// What came of asking one peer.
#[derive(Debug)]
pub struct Answer<T> {
    /// What it answered, or why there is nothing.
    pub outcome: Result<T, Missed>,
    /// How long that took, from the question on.
    pub took: Duration,
}

/// What came of asking them all.
#[derive(Debug)]
pub struct Asked<T> {
    /// In the order of the peers.
    pub answers: Vec<Answer<T>>,
    /// How long the rest were waited for once enough had answered; none where there never were enough.
    pub rest: Option<Duration>,
}

/// Asks all `peers` at once, and waits for none of them by more than the grace once `wanted` is ready. `call` must refuse
/// what cannot be used (not finite, wrong shape), so that it does not count as an answer. Calls still open at the end are
/// dropped.
pub async fn query<T, C>(
    peers: &[Peer],
    patience: Patience,
    wanted: impl Future<Output = ()>,
    call: impl Fn(Peer) -> C,
) -> Asked<T>
where
    T: Send + 'static,
    C: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let started = Instant::now();
    let deadline = started + patience.deadline;
    let mut calls = JoinSet::new();
    for (place, peer) in peers.iter().enumerate() {
        let call = call(peer.clone());
        calls.spawn(async move { (place, call.await) });
    }
    let mut answers: Vec<Option<Answer<T>>> = peers.iter().map(|_| None).collect();
    let mut wanted = pin!(wanted);
    let (mut usable, mut enough) = (0, None);
    let mut waiting: Option<Instant> = None;
    loop {
        // Since when there is nobody to wait for but the rest.
        let since = |enough: Instant| waiting.map(|waiting| enough.max(waiting));
        let grace = |enough| Some(since(enough)? + patience.grace_after(enough - started));
        let until = enough.and_then(grace).unwrap_or(deadline).min(deadline);
        let ended = tokio::select! {
            biased;
            ended = calls.join_next() => ended,
            () = &mut wanted, if waiting.is_none() => {
                waiting = Some(Instant::now());
                continue;
            }
            () = sleep_until(until) => None,
        };
        let Some(ended) = ended else {
            let late = || Answer {
                outcome: Err(Missed::Late),
                took: started.elapsed(),
            };
            let rest =
                |enough| since(enough).map_or(Duration::ZERO, |since: Instant| since.elapsed());
            return Asked {
                rest: enough.map(rest),
                answers: (answers.into_iter())
                    .map(|answer| answer.unwrap_or_else(late))
                    .collect(),
            };
        };
        let Ok((place, outcome)) = ended else {
            continue; // a call that panicked counts as one that never came
        };
        let now = Instant::now();
        if outcome.is_ok() {
            usable += 1;
            if usable == patience.enough(peers.len()) {
                enough = Some(now);
            }
        }
        answers[place] = Some(Answer {
            outcome: outcome.map_err(Missed::Failed),
            took: now - started,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
    use tokio::time::sleep;

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_secs(4),
        k_min: 0.7,
        grace: 0.4,
        shortest_grace: Duration::from_millis(500),
    };

    /// Peers that answer after so many milliseconds; none: never.
    async fn ask(after: &[Option<u64>]) -> (Vec<bool>, Duration) {
        ask_ahead(Duration::ZERO, after).await
    }

    /// The same, with nobody waiting for the answers before so long.
    async fn ask_ahead(ahead: Duration, after: &[Option<u64>]) -> (Vec<bool>, Duration) {
        let peers: Vec<Peer> = (0..after.len())
            .map(|place| Peer {
                hotkey: [place as u8; 32],
                endpoint: String::new(),
                certificate: None,
            })
            .collect();
        let started = Instant::now();
        let asked = query(&peers, PATIENCE, sleep(ahead), |peer| {
            let after = after[usize::from(peer.hotkey[0])];
            async move {
                match after {
                    Some(after) => sleep(Duration::from_millis(after)).await,
                    None => std::future::pending().await,
                }
                Ok(())
            }
        })
        .await;
        let answered = asked.answers.iter().map(|answer| answer.outcome.is_ok());
        (answered.collect(), started.elapsed())
    }

    // In real time, with margins that a busy machine keeps: the paused clock is a feature of tokio that all
    // crates of the workspace would have to be built with.

    #[tokio::test]
    async fn with_enough_answers_the_rest_get_a_grace() {
        let (answered, took) = ask(&[Some(0), Some(3500), Some(0), None]).await;
        assert_eq!(answered, [true, false, true, false]);
        assert!(
            took >= PATIENCE.shortest_grace && took < Duration::from_secs(3),
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn nobody_is_late_for_whom_nobody_waits_yet() {
        let ahead = Duration::from_millis(1500);
        let (answered, took) = ask_ahead(ahead, &[Some(0), Some(1000), Some(0), None]).await;
        assert_eq!(answered, [true, true, true, false]);
        let expected = ahead + PATIENCE.shortest_grace;
        assert!(took >= expected && took < 2 * expected, "{took:?}");
    }

    #[tokio::test]
    async fn the_grace_grows_with_the_time_that_the_others_took() {
        let (answered, took) = ask(&[Some(1500), None, Some(1500)]).await;
        assert_eq!(answered, [true, false, true]);
        let expected = Duration::from_millis(2100);
        assert!(took >= expected && took < 2 * expected, "{took:?}");
    }

    #[test]
    fn the_grace_follows_what_a_step_takes_without_waiting() {
        let milliseconds = Duration::from_millis;
        let took = |pace: &mut Pace, step, rest: Option<u64>| {
            let rest = rest.map(milliseconds);
            pace.took(milliseconds(step), rest, milliseconds(60));
        };
        let mut pace = Pace::default();
        let least = Patience {
            shortest_grace: milliseconds(20),
            ..PATIENCE
        };
        for _ in 0..100 {
            // However long the rest had.
            took(&mut pace, 1100, Some(1000));
            took(&mut pace, 100, Some(0));
            took(&mut pace, 4000, None);
        }
        let grace = pace.patience(least).shortest_grace;
        assert!(
            grace > milliseconds(39) && grace < milliseconds(41),
            "{grace:?}"
        );
        let question = pace.question(least);
        assert!(
            question > milliseconds(97) && question < milliseconds(101),
            "{question:?}"
        );
        (0..100).for_each(|_| took(&mut pace, 1, Some(0)));
        assert_eq!(pace.patience(least).shortest_grace, milliseconds(20));
    }

    #[tokio::test]
    async fn without_enough_answers_the_deadline_decides() {
        let (answered, took) = ask(&[Some(0), None, Some(60_000)]).await;
        assert_eq!(answered, [true, false, false]);
        assert!(took >= PATIENCE.deadline, "{took:?}");
    }

    #[tokio::test]
    async fn the_grace_never_outlasts_the_deadline() {
        let (answered, took) = ask(&[Some(3_700), Some(3_700), Some(60_000)]).await;
        assert!(!answered[2]);
        assert!(
            took < PATIENCE.deadline + PATIENCE.shortest_grace,
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn all_answering_ends_the_wait_at_once() {
        assert!(ask(&[Some(0)]).await.1 < PATIENCE.shortest_grace);
        assert!(ask(&[]).await.1 < PATIENCE.shortest_grace);
    }

    #[tokio::test]
    async fn a_failure_is_no_answer_but_ends_its_own_wait() {
        let peer = Peer {
            hotkey: [0; 32],
            endpoint: String::new(),
            certificate: None,
        };
        let asked = query::<(), _>(&[peer.clone(), peer], PATIENCE, ready(()), |_| async {
            Err(Failure::NotFinite)
        })
        .await;
        assert_eq!(asked.rest, None);
        for answer in asked.answers {
            assert!(matches!(
                answer.outcome,
                Err(Missed::Failed(Failure::NotFinite))
            ));
            assert!(answer.took < PATIENCE.deadline);
        }
    }
}
