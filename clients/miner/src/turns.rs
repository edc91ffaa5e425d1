//! Turns at a process that does one thing at a time: of those who wait, the caller with the most stake is next.
//!
//! What was sent to a process waits there in an order of its own and cannot be taken back. So calls wait here, in a
//! queue like the one before a model thread, and go on one at a time.

use noesis_neuron::{
    queue::{queue, Receiver, Refused, Sender},
    Failure,
};
use tokio::sync::oneshot;

/// One caller's turn, over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _over: oneshot::Sender<()>,
}

/// Where one who waits is told that it is its turn, or why it will not be.
type Place = oneshot::Sender<Result<Turn, Failure>>;

/// The way to one's turn; a clone is another way to the same turns.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Sender<Place>);

impl Turns {
    /// Turns for which at most so many wait. To be made within a tokio runtime.
    pub(crate) fn new(waiting: usize) -> Self {
        let (places, waiting) = queue(waiting, Place::is_closed);
        tokio::spawn(give(waiting));
        Self(places)
    }

    /// Waits for a turn. Who drops this has no turn any more.
    ///
    /// # Errors
    ///
    /// [`Failure::Busy`] where too many wait who have as much stake: at once, or when they come.
    pub(crate) async fn take(&self, stake: u64) -> Result<Turn, Failure> {
        let over = || Failure::Internal("the miner is shutting down".into());
        let (place, turn) = oneshot::channel();
        match self.0.send(stake, place) {
            Ok(None) => {}
            Ok(Some(displaced)) => {
                // Who went away need not be told.
                let _ = displaced.send(Err(Failure::Busy));
            }
            Err(Refused::Full(_)) => return Err(Failure::Busy),
            Err(Refused::Closed(_)) => return Err(over()),
        }
        turn.await.map_err(|_| over())?
    }
}

/// Gives one turn after the other, until nobody is left to take one.
async fn give(waiting: Receiver<Place>) {
    while let Some(next) = waiting.come().await {
        let (turn, over) = oneshot::channel();
        // Of who has gone away meanwhile, the turn comes back and is over.
        drop(next.send(Ok(Turn { _over: turn })));
        let _ = over.await;
    }
}
