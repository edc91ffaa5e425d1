//! Whether a call may come in, told from its headers alone, before any of its body is read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use market_primitives::NOE;
use tokio::sync::watch;
use tonic::codegen::http::HeaderMap;

use crate::{
    lock::lock,
    model::Caller,
    places::{Place, Places},
    replay::Replay,
    signature::{milliseconds, Envelope, Method, VALIDITY},
    Failure, Hotkey, Limits,
};

/// Who may call, with their stake in units: the neurons of a market, from the finalized metagraph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers(pub HashMap<Hotkey, u64>);

impl FromIterator<(Hotkey, u64)> for Callers {
    fn from_iter<I: IntoIterator<Item = (Hotkey, u64)>>(callers: I) -> Self {
        Self(callers.into_iter().collect())
    }
}

/// A call that may come in; its place is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    pub(crate) envelope: Envelope,
    pub(crate) place: Place,
}

/// The door of one neuron.
#[derive(Debug)]
pub(crate) struct Admission {
    receiver: Hotkey,
    genesis: [u8; 32],
    callers: watch::Receiver<Arc<Callers>>,
    least_stake: u64,
    skew: u64,
    replay: Mutex<Replay>,
    places: Places,
}

impl Admission {
    /// A door that opens at `start`, in milliseconds since 1970.
    pub(crate) fn new(
        receiver: Hotkey,
        genesis: [u8; 32],
        callers: watch::Receiver<Arc<Callers>>,
        limits: &Limits,
        start: u64,
    ) -> Self {
        let skew = milliseconds(limits.clock_skew);
        Self {
            receiver,
            genesis,
            callers,
            least_stake: limits.caller_stake,
            skew,
            replay: Mutex::new(Replay::new(
                start,
                milliseconds(VALIDITY).saturating_add(skew),
                start.saturating_add(skew.saturating_mul(2)),
                limits.replay_capacity,
                limits.replay_capacity_per_caller,
            )),
            places: Places::new(limits.calls, limits.calls_per_caller),
        }
    }

    /// Admits a call by its headers, cheap checks first. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Failure::Unauthenticated`], [`Failure::NotAllowed`], [`Failure::Replayed`],
    /// [`Failure::Busy`].
    pub(crate) fn admit(
        &self,
        method: Method,
        headers: &HeaderMap,
        now: u64,
    ) -> Result<Admitted, Failure> {
        let (envelope, signature) = Envelope::read(method, headers)?;
        self.check_destination(&envelope)?;
        self.check_expiry(envelope.expiry, now)?;
        let caller = self.check_rights(envelope.sender)?;
        envelope.verify(&signature)?;
        let hash = envelope.hash();
        let mut replay = lock(&self.replay);
        let share = |room| self.share(caller.stake, room);
        replay.check(now, &caller.hotkey, envelope.expiry, hash, share)?;
        // Last, since it may cost another its place: a request seen before does not.
        let place = self.places.take(caller)?;
        replay.remember(caller.hotkey, envelope.expiry, hash);
        Ok(Admitted {
            caller,
            envelope,
            place,
        })
    }

    fn check_destination(&self, envelope: &Envelope) -> Result<(), Failure> {
        if envelope.genesis != self.genesis {
            return Err(Failure::Unauthenticated(format!(
                "signed for another chain; follow the one with genesis {}",
                hex::encode(self.genesis)
            )));
        }
        if envelope.receiver != self.receiver {
            return Err(Failure::Unauthenticated(format!(
                "signed for another neuron; {} answers here, read the metagraph again",
                hex::encode(self.receiver)
            )));
        }
        Ok(())
    }

    fn check_expiry(&self, expiry: u64, now: u64) -> Result<(), Failure> {
        if expiry <= now {
            return Err(Failure::Unauthenticated(format!(
                "expired {} ms ago; sign again, with the clock set",
                now - expiry
            )));
        }
        let latest = now
            .saturating_add(milliseconds(VALIDITY))
            .saturating_add(self.skew);
        if expiry > latest {
            return Err(Failure::Unauthenticated(format!(
                "expires {} ms too late; sign for {} s, with the clock set",
                expiry - latest,
                VALIDITY.as_secs()
            )));
        }
        Ok(())
    }

    fn check_rights(&self, hotkey: Hotkey) -> Result<Caller, Failure> {
        let stake = self.callers.borrow().0.get(&hotkey).copied();
        let Some(stake) = stake else {
            return Err(Failure::NotAllowed(format!(
                "{} is not registered in this market; register, and wait until it is finalized",
                hex::encode(hotkey)
            )));
        };
        if stake < self.least_stake {
            return Err(Failure::NotAllowed(format!(
                "{} NOE of stake, and callers need {} here; stake more on your hotkey, and wait until it is finalized",
                in_noe(stake),
                in_noe(self.least_stake)
            )));
        }
        Ok(Caller { hotkey, stake })
    }

    /// The part of so much room that a caller has by its share of all stake.
    fn share(&self, stake: u64, room: usize) -> usize {
        let callers = self.callers.borrow();
        let all: u128 = callers.0.values().copied().map(u128::from).sum();
        let share = (u128::from(stake) * room as u128).div_ceil(all.max(1));
        usize::try_from(share).unwrap_or(usize::MAX)
    }
}

fn in_noe(units: u64) -> f64 {
    units as f64 / NOE as f64
}
