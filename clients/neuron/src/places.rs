//! The places of the calls that are in progress, of which there is a bound.
//!
//! Where all are taken, a caller with more stake gets the place of the call with the least, which is told `busy`. A
//! call whose answer is on its way can be told nothing more: it loses its connection, with all other calls on that,
//! and so it goes only where there is no other, or when its answer has been on its way for a second. One that has
//! not been read for too long gives its place to anybody.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::{lines::Line, lock::lock, model::Caller, Failure, Hotkey};

/// Time in which an answer that is on its way is taken to be read.
const READING: Duration = Duration::from_secs(1);

/// Stake, and the order of arrival: the least is the first to go.
type Rank = (u64, Reverse<u64>);

/// All places of a neuron.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
    most: usize,
    most_per_caller: usize,
}

#[derive(Debug, Default)]
struct Taken {
    calls: BTreeMap<Rank, Holder>,
    per_caller: HashMap<Hotkey, usize>,
    arrivals: u64,
}

#[derive(Debug)]
struct Holder {
    hotkey: Hotkey,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    /// It is being worked on; this tells it to go.
    Working(oneshot::Sender<()>),
    /// Its answer is on its way over this connection.
    Answering {
        line: Line,
        since: Instant,
        /// By when it is to be read.
        until: Instant,
    },
}

impl Holder {
    /// Whether it may be displaced before others: it can be told, or does not seem to read.
    fn gives_way(&self, now: Instant) -> bool {
        match &self.progress {
            Progress::Working(_) => true,
            Progress::Answering { since, .. } => *since + READING <= now,
        }
    }
}

/// One place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    rank: Rank,
    taken: Arc<Mutex<Taken>>,
    lost: oneshot::Receiver<()>,
}

impl Places {
    pub(crate) fn new(most: usize, most_per_caller: usize) -> Self {
        Self {
            taken: Arc::default(),
            most,
            most_per_caller,
        }
    }

    /// A place for one more call of this caller.
    ///
    /// # Errors
    /// [`Failure::Busy`].
    pub(crate) fn take(&self, caller: Caller) -> Result<Place, Failure> {
        let mut taken = lock(&self.taken);
        let now = Instant::now();
        let full = taken.calls.len() >= self.most;
        if full || taken.of(&caller.hotkey) >= self.most_per_caller {
            taken.end_unread(now);
        }
        if taken.of(&caller.hotkey) >= self.most_per_caller {
            return Err(Failure::Busy);
        }
        if taken.calls.len() >= self.most {
            taken.displace(caller.stake, now)?;
        }
        taken.arrivals += 1;
        let rank = (caller.stake, Reverse(taken.arrivals));
        let (go, lost) = oneshot::channel();
        let holder = Holder {
            hotkey: caller.hotkey,
            progress: Progress::Working(go),
        };
        taken.calls.insert(rank, holder);
        *taken.per_caller.entry(caller.hotkey).or_default() += 1;
        Ok(Place {
            rank,
            taken: self.taken.clone(),
            lost,
        })
    }
}

impl Taken {
    fn of(&self, hotkey: &Hotkey) -> usize {
        self.per_caller.get(hotkey).copied().unwrap_or(0)
    }

    /// Frees the place of the least stake below this one, that of an answer being read only where there is no other.
    fn displace(&mut self, stake: u64, now: Instant) -> Result<(), Failure> {
        let mut less = self.calls.range(..(stake, Reverse(u64::MAX)));
        let gives_way = less.clone().find(|(_, holder)| holder.gives_way(now));
        let (&rank, _) = gives_way.or_else(|| less.next()).ok_or(Failure::Busy)?;
        self.end(rank);
        Ok(())
    }

    /// Frees the places of those whose answer should have been read by now.
    fn end_unread(&mut self, now: Instant) {
        let unread = self.calls.iter().filter(|(_, holder)| {
            matches!(&holder.progress, Progress::Answering { until, .. } if *until <= now)
        });
        let unread: Vec<Rank> = unread.map(|(rank, _)| *rank).collect();
        for rank in unread {
            self.end(rank);
        }
    }

    fn end(&mut self, rank: Rank) {
        match self.free(rank).map(|holder| holder.progress) {
            Some(Progress::Working(go)) => {
                // Who is gone already cannot be told.
                let _ = go.send(());
            }
            Some(Progress::Answering { line, .. }) => line.end(),
            None => {}
        }
    }

    fn free(&mut self, rank: Rank) -> Option<Holder> {
        let holder = self.calls.remove(&rank)?;
        if let Some(own) = self.per_caller.get_mut(&holder.hotkey) {
            *own -= 1;
            if *own == 0 {
                self.per_caller.remove(&holder.hotkey);
            }
        }
        Some(holder)
    }
}

impl Place {
    /// Ends when another takes the place.
    pub(crate) async fn lost(&mut self) {
        if (&mut self.lost).await.is_err() {
            std::future::pending().await // it is kept
        }
    }

    /// The answer is on its way over this connection, and is to be read by then. False when another has the
    /// place already.
    pub(crate) fn answers(&self, line: Line, until: Instant) -> bool {
        let mut taken = lock(&self.taken);
        let holder = taken.calls.get_mut(&self.rank);
        holder.is_some_and(|holder| {
            let since = Instant::now();
            holder.progress = Progress::Answering { line, since, until };
            true
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).free(self.rank);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn caller(number: u8, stake: u64) -> Caller {
        Caller {
            hotkey: [number; 32],
            stake,
        }
    }

    #[test]
    fn the_least_stake_gives_way_to_more_and_to_no_other() {
        let places = Places::new(2, 2);
        let mut poor = places.take(caller(1, 1)).expect("room");
        let mut middle = places.take(caller(2, 5)).expect("room");
        assert!(places.take(caller(3, 1)).is_err(), "no more than the least");
        let rich = places.take(caller(4, 9)).expect("more than the least");
        assert!(poor.lost.try_recv().is_ok(), "the least went");
        assert!(middle.lost.try_recv().is_err());
        drop(poor);
        assert!(places.take(caller(5, 5)).is_err(), "gone already");
        drop((middle, rich));
        assert!(lock(&places.taken).per_caller.is_empty());
        assert!(places.take(caller(1, 0)).is_ok());
    }

    #[tokio::test]
    async fn who_does_not_read_its_answer_loses_its_connection() {
        let places = Places::new(2, 1);
        let later = Instant::now() + Duration::from_secs(600);
        let [poor, middle] = [caller(1, 1), caller(2, 5)].map(|caller| {
            let place = places.take(caller).expect("room");
            let line = Line::default();
            assert!(place.answers(line.clone(), later));
            (place, line)
        });
        let _rich = places.take(caller(3, 9)).expect("more than the least");
        poor.1.ended().await;
        assert!(!poor.0.answers(Line::default(), later), "gone");
        assert!(places.take(caller(4, 5)).is_err(), "in time still");
        assert!(places.take(caller(2, 5)).is_err(), "it has its own");
        assert!(middle.0.answers(middle.1.clone(), Instant::now()));
        assert!(places.take(caller(2, 5)).is_ok());
        middle.1.ended().await;
    }

    #[test]
    fn an_answer_that_is_being_read_is_not_cut_off_where_another_can_be_told() {
        let places = Places::new(2, 2);
        let now = Instant::now();
        let later = now + Duration::from_secs(600);
        let reads = places.take(caller(1, 1)).expect("room");
        assert!(reads.answers(Line::default(), later));
        let mut works = places.take(caller(2, 5)).expect("room");
        let _rich = places.take(caller(3, 9)).expect("more than both");
        assert!(works.lost.try_recv().is_ok(), "told, though it has more");
        drop(works);
        let displace = |stake, now| lock(&places.taken).displace(stake, now);
        assert_eq!(displace(1, now), Err(Failure::Busy), "no more than it");
        assert_eq!(displace(9, now), Ok(()), "there is no other");
        assert!(!reads.answers(Line::default(), later), "gone");

        let unread = places.take(caller(1, 1)).expect("room");
        assert!(unread.answers(Line::default(), later));
        assert_eq!(displace(10, now + 2 * READING), Ok(()));
        assert!(!unread.answers(Line::default(), later), "the least");
    }

    #[test]
    fn one_caller_has_only_its_own_places() {
        let places = Places::new(9, 1);
        let _first = places.take(caller(1, 9)).expect("room");
        assert!(places.take(caller(1, 9)).is_err());
        assert!(places.take(caller(2, 0)).is_ok());
    }
}
