//! The places of the calls that are in progress, of which there is a bound.
//!
//! Where all are taken, a caller with more stake gets the place of the call with the least, unless its
//! answer is on its way already; that call is then told `busy`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{model::Caller, Failure, Hotkey};

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
    /// Tells the call to go; gone once its answer is on its way.
    go: Option<oneshot::Sender<()>>,
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
        let own = taken.per_caller.get(&caller.hotkey).copied();
        if own.unwrap_or(0) >= self.most_per_caller {
            return Err(Failure::Busy);
        }
        if taken.calls.len() >= self.most {
            taken.displace(caller.stake)?;
        }
        taken.arrivals += 1;
        let rank = (caller.stake, Reverse(taken.arrivals));
        let (go, lost) = oneshot::channel();
        let holder = Holder {
            hotkey: caller.hotkey,
            go: Some(go),
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
    /// Frees the place of the least stake below this one.
    fn displace(&mut self, stake: u64) -> Result<(), Failure> {
        let below = self.calls.range(..(stake, Reverse(u64::MAX)));
        let mut movable = below.filter(|(_, holder)| holder.go.is_some());
        let rank = movable.next().map(|(rank, _)| *rank);
        let holder = rank.and_then(|rank| self.free(rank));
        let go = holder.and_then(|holder| holder.go).ok_or(Failure::Busy)?;
        // Who is gone already cannot be told.
        let _ = go.send(());
        Ok(())
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

    /// From now on the place is kept until it is dropped: the answer is on its way.
    pub(crate) fn keep(&mut self) {
        if let Some(holder) = lock(&self.taken).calls.get_mut(&self.rank) {
            holder.go = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).free(self.rank);
    }
}

/// Locks data that no panic can leave half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
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
        middle.keep();
        assert!(places.take(caller(5, 9)).is_err(), "an answer on its way");
        drop(poor);
        assert!(places.take(caller(5, 9)).is_err(), "gone already");
        drop((middle, rich));
        assert!(lock(&places.taken).per_caller.is_empty());
        assert!(places.take(caller(1, 0)).is_ok());
    }

    #[test]
    fn one_caller_has_only_its_own_places() {
        let places = Places::new(9, 1);
        let _first = places.take(caller(1, 9)).expect("room");
        assert!(places.take(caller(1, 9)).is_err());
        assert!(places.take(caller(2, 0)).is_ok());
    }
}
