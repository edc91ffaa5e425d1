//! The queue in front of a model: bounded, and higher stake first.
//!
//! What waits is taken in the order of its caller's stake on chain, of equal stakes in the order of
//! arrival. Where there is no room, the one of the lowest stake (of equal ones the last to come) gives its place
//! to a caller with more, and is handed back to be answered `busy`; a caller with no more than that is
//! refused at once.
//!
//! So that the poor are not starved by a queue that never empties of the rich, every eighth turn is that of
//! the one who has waited longest, whatever its stake: among `n` who wait and are not displaced, everybody is
//! taken within `8 n` turns. Who is displaced is told at once and may ask again.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// One turn in so many is that of the longest wait.
const TURNS: u64 = 8;

/// Stake, and the order of arrival: the greatest is next.
type Rank = (u64, Reverse<u64>);

/// Why nothing was queued; with what was not.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// As many wait as may, none with a lower stake.
    Full(T),
    /// The receiver is gone, or the queue was closed.
    Closed(T),
}

/// What [`Receiver::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// The next in turn.
    Job(T),
    /// Nothing came in time.
    Nothing,
    /// Nothing waits, and nothing will come.
    Closed,
}

/// The way into a queue; a clone is another way into the same one.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// The way out, of which there is one.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    waiting: Mutex<Waiting<T>>,
    /// Wakes the receiver where it waits as a thread.
    changed: Condvar,
    /// Wakes it where it waits as a task.
    told: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    jobs: BTreeMap<Rank, T>,
    capacity: usize,
    gone: fn(&T) -> bool,
    arrivals: u64,
    turns: u64,
    senders: usize,
    closed: bool,
}

/// A queue of at most `capacity` jobs, at least one. `gone` tells of a job that nobody waits for any more:
/// such a one keeps no place from others.
pub fn queue<T>(capacity: usize, gone: fn(&T) -> bool) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        waiting: Mutex::new(Waiting {
            jobs: BTreeMap::new(),
            capacity: capacity.max(1),
            gone,
            arrivals: 0,
            turns: 0,
            senders: 1,
            closed: false,
        }),
        changed: Condvar::new(),
        told: Notify::new(),
    });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    /// Queues a job of a caller with so much stake, and gives back the one that lost its place to it.
    ///
    /// # Errors
    /// [`Refused`], at once.
    pub fn send(&self, stake: u64, job: T) -> Result<Option<T>, Refused<T>> {
        let displaced = self.0.lock().put(stake, job)?;
        self.0.wake();
        Ok(displaced)
    }

    /// Takes nothing more; what waits is still handed out.
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.0.wake();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.senders -= 1;
        if waiting.senders == 0 {
            waiting.closed = true;
            self.0.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next job, for which it waits at most so long; without a limit where there is none.
    pub fn next(&self, wait: Option<Duration>) -> Next<T> {
        let empty = |waiting: &mut Waiting<T>| waiting.jobs.is_empty() && !waiting.closed;
        let waiting = self.0.lock();
        let mut waiting = match wait {
            Some(Duration::ZERO) => waiting,
            Some(wait) => {
                let waited = self.0.changed.wait_timeout_while(waiting, wait, empty);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.0.changed.wait_while(waiting, empty);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        match waiting.take() {
            Some(job) => Next::Job(job),
            None if waiting.closed => Next::Closed,
            None => Next::Nothing,
        }
    }

    /// The next job, waited for as a task; nothing where nothing waits and nothing will come.
    pub async fn come(&self) -> Option<T> {
        loop {
            {
                let mut waiting = self.0.lock();
                let job = waiting.take();
                if job.is_some() || waiting.closed {
                    return job;
                }
            }
            // What came since is not missed: it left a permit.
            self.0.told.notified().await;
        }
    }

    /// Takes all that wait and that `joins` says yes to, in their order, without waiting for more.
    pub fn take_where(&self, mut joins: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut waiting = self.0.lock();
        let in_order = waiting.jobs.iter().rev();
        let chosen: Vec<Rank> = in_order
            .filter(|(_, job)| joins(job))
            .map(|(rank, _)| *rank)
            .collect();
        let taken = chosen.iter();
        taken.filter_map(|rank| waiting.jobs.remove(rank)).collect()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        // Dropped here, so that whoever waits for an answer learns that none will come.
        waiting.jobs.clear();
    }
}

impl<T> Shared<T> {
    /// Locks data that no panic can leave half-changed.
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the receiver, of which there is one.
    fn wake(&self) {
        self.changed.notify_one();
        self.told.notify_one();
    }
}

impl<T> Waiting<T> {
    fn put(&mut self, stake: u64, job: T) -> Result<Option<T>, Refused<T>> {
        if self.closed {
            return Err(Refused::Closed(job));
        }
        if self.jobs.len() >= self.capacity {
            let gone = self.gone;
            self.jobs.retain(|_, job| !gone(job));
        }
        let mut displaced = None;
        if self.jobs.len() >= self.capacity {
            match self.jobs.first_entry() {
                Some(lowest) if lowest.key().0 < stake => displaced = Some(lowest.remove()),
                _ => return Err(Refused::Full(job)),
            }
        }
        self.arrivals += 1;
        self.jobs.insert((stake, Reverse(self.arrivals)), job);
        Ok(displaced)
    }

    fn take(&mut self) -> Option<T> {
        if self.jobs.is_empty() {
            return None; // nobody's turn
        }
        self.turns += 1;
        if self.turns.is_multiple_of(TURNS) {
            let longest = self
                .jobs
                .keys()
                .max_by_key(|(_, arrival)| *arrival)
                .copied();
            return longest.and_then(|rank| self.jobs.remove(&rank));
        }
        self.jobs.pop_last().map(|(_, job)| job)
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use super::*;

    fn open(capacity: usize) -> (Sender<&'static str>, Receiver<&'static str>) {
        queue(capacity, |job| job.starts_with("gone"))
    }

    fn drain(receiver: &Receiver<&'static str>) -> Vec<&'static str> {
        let next = || match receiver.next(Some(Duration::ZERO)) {
            Next::Job(job) => Some(job),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn higher_stake_is_served_first_and_equals_in_the_order_of_arrival() {
        let (sender, receiver) = open(9);
        for (stake, job) in [(1, "a"), (5, "b"), (1, "c"), (9, "d"), (5, "e")] {
            assert_eq!(sender.send(stake, job), Ok(None));
        }
        assert_eq!(drain(&receiver), ["d", "b", "e", "a", "c"]);
    }

    #[test]
    fn a_full_queue_gives_the_place_of_the_lowest_stake_to_a_higher_one() {
        let (sender, receiver) = open(3);
        for (stake, job) in [(3, "a"), (1, "b"), (1, "c")] {
            assert_eq!(sender.send(stake, job), Ok(None));
        }
        assert_eq!(sender.send(1, "d"), Err(Refused::Full("d")));
        assert_eq!(sender.send(2, "e"), Ok(Some("c")), "the last of the lowest");
        assert_eq!(sender.send(4, "f"), Ok(Some("b")));
        assert_eq!(sender.send(2, "g"), Err(Refused::Full("g")));
        assert_eq!(drain(&receiver), ["f", "a", "e"]);
    }

    #[test]
    fn nobody_who_waits_is_passed_over_for_ever() {
        let (sender, receiver) = open(4);
        assert_eq!(sender.send(0, "poor"), Ok(None));
        let mut turns = 0;
        loop {
            // A flood of the rich that never ends, always a place ahead.
            while sender.send(9, "rich") == Ok(None) {
                if sender.0.lock().jobs.len() == 4 {
                    break;
                }
            }
            turns += 1;
            if receiver.next(None) == Next::Job("poor") {
                break;
            }
            assert!(turns <= 8 * 4, "starved");
        }
    }

    #[test]
    fn where_nobody_waits_no_turn_passes() {
        let (sender, receiver) = open(2);
        for _ in 0..7 {
            assert_eq!(receiver.next(Some(Duration::ZERO)), Next::Nothing);
        }
        for (stake, job) in [(0, "poor"), (9, "rich")] {
            assert_eq!(sender.send(stake, job), Ok(None));
        }
        assert_eq!(drain(&receiver), ["rich", "poor"]);
    }

    #[test]
    fn who_no_longer_waits_keeps_no_place() {
        let (sender, receiver) = open(2);
        for (stake, job) in [(9, "gone"), (1, "a"), (0, "b")] {
            assert_eq!(sender.send(stake, job), Ok(None));
        }
        assert_eq!(drain(&receiver), ["a", "b"]);
    }

    #[test]
    fn what_fits_together_is_taken_together() {
        let (sender, receiver) = open(9);
        for (stake, job) in [(1, "x1"), (2, "y"), (3, "x3"), (2, "x2")] {
            assert_eq!(sender.send(stake, job), Ok(None));
        }
        let mut room = 2;
        let taken = receiver.take_where(|job| {
            let joins = job.starts_with('x') && room > 0;
            room -= usize::from(joins);
            joins
        });
        assert_eq!(taken, ["x3", "x2"]);
        assert_eq!(drain(&receiver), ["y", "x1"]);
    }

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_takes_nothing() {
        let (sender, receiver) = open(2);
        assert_eq!(sender.send(1, "a"), Ok(None));
        sender.close();
        assert_eq!(sender.send(9, "b"), Err(Refused::Closed("b")));
        assert_eq!(receiver.next(None), Next::Job("a"));
        assert_eq!(receiver.next(None), Next::Closed);
    }

    #[test]
    fn either_side_learns_that_the_other_is_gone() {
        let (sender, receiver) = open(2);
        let clone = sender.clone();
        drop(sender);
        assert_eq!(receiver.next(Some(Duration::ZERO)), Next::Nothing);
        drop(clone);
        assert_eq!(receiver.next(None), Next::Closed);
        let (sender, receiver) = open(2);
        drop(receiver);
        assert_eq!(sender.send(1, "a"), Err(Refused::Closed("a")));
    }

    #[test]
    fn who_waits_for_a_job_has_it_long_before_the_wait_is_over() {
        let (sender, receiver) = open(2);
        let waits = thread::spawn(move || receiver.next(Some(Duration::from_secs(60))));
        // Most often it waits by then, and is woken.
        thread::sleep(Duration::from_millis(20));
        let sent = Instant::now();
        assert_eq!(sender.send(1, "a"), Ok(None));
        assert_eq!(waits.join().expect("no panic"), Next::Job("a"));
        assert!(sent.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_task_that_waits_is_woken_by_a_job_and_by_the_end() {
        let (sender, receiver) = open(2);
        let waits = tokio::spawn(async move {
            let first = receiver.come().await;
            (first, receiver.come().await, receiver.come().await)
        });
        tokio::task::yield_now().await;
        for (stake, job) in [(1, "poor"), (9, "rich")] {
            assert_eq!(sender.send(stake, job), Ok(None));
        }
        tokio::task::yield_now().await;
        drop(sender);
        let came = waits.await.expect("no panic");
        assert_eq!(came, (Some("rich"), Some("poor"), None));
    }
}
