//! The open connections, of which there is a bound: of all together, and of those of one address.
//!
//! Where there is no room for one more, the one over which the least stake has called gives way to it, of equals
//! the oldest: who holds connections open without calling keeps nobody out.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
};

use tokio::sync::Notify;

use crate::lock::lock;

/// Bits of an address of IPv6 that a customer is given one of; the others are its own to choose.
const NETWORK: u128 = u128::MAX << 64;

/// A connection as others see it; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The most of those who called over it.
    stake: AtomicU64,
    end: Notify,
}

impl Line {
    /// Somebody with so much stake has called over it.
    pub(crate) fn called(&self, stake: u64) {
        self.0.stake.fetch_max(stake, Ordering::Relaxed);
    }

    /// Ends it, whatever it is doing.
    pub(crate) fn end(&self) {
        self.0.end.notify_one();
    }

    /// Ready when it is to end. To be waited for by the connection alone, or by its handshake.
    pub(crate) async fn ended(&self) {
        self.0.end.notified().await;
    }
}

/// Room for the connections of a neuron.
#[derive(Debug)]
pub(crate) struct Lines {
    open: Arc<Mutex<Open>>,
    most: usize,
    most_per_address: usize,
}

#[derive(Debug, Default)]
struct Open {
    /// In the order of arrival.
    lines: BTreeMap<u64, (IpAddr, Line)>,
    arrivals: u64,
}

/// The room of one connection, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) line: Line,
    number: u64,
    open: Arc<Mutex<Open>>,
}

impl Lines {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
            most_per_address,
        }
    }

    /// Room for one more connection of this address; `None` only where there is none at all.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Room> {
        let address = network(address);
        let mut open = lock(&self.open);
        if open.of(address).count() >= self.most_per_address {
            let least = least(open.of(address))?;
            open.end(least);
        } else if open.lines.len() >= self.most {
            let least = least(open.lines.iter())?;
            open.end(least);
        }
        open.arrivals += 1;
        let (number, line) = (open.arrivals, Line::default());
        open.lines.insert(number, (address, line.clone()));
        Some(Room {
            line,
            number,
            open: self.open.clone(),
        })
    }
}

impl Open {
    fn of(&self, address: IpAddr) -> impl Iterator<Item = (&u64, &(IpAddr, Line))> {
        let lines = self.lines.iter();
        lines.filter(move |(_, (other, _))| *other == address)
    }

    fn end(&mut self, number: u64) {
        if let Some((_, line)) = self.lines.remove(&number) {
            line.end();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        lock(&self.open).lines.remove(&self.number);
    }
}

/// The one of the least stake, of equals the first.
fn least<'a>(lines: impl Iterator<Item = (&'a u64, &'a (IpAddr, Line))>) -> Option<u64> {
    let least = lines.min_by_key(|(_, (_, line))| line.0.stake.load(Ordering::Relaxed));
    least.map(|(number, _)| *number)
}

/// What counts as one address: of IPv6 a network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Whether the connection was told to end.
    async fn ended(room: &Room) -> bool {
        tokio::select! {
            biased;
            () = room.line.ended() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_one_of_the_least_stake_gives_way_and_of_equals_the_oldest() {
        let lines = Lines::new(3, 3);
        let rooms = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| lines.take(address(text)));
        let [first, second, third] = rooms.map(|room| room.expect("room"));
        first.line.called(5);
        first.line.called(0);
        let fourth = lines.take(address("192.0.2.4")).expect("the second's");
        assert!(ended(&second).await && !ended(&first).await && !ended(&third).await);
        third.line.called(9);
        fourth.line.called(9);
        // The second has given its room away already.
        drop(second);
        let fifth = lines.take(address("192.0.2.5")).expect("the first's");
        assert!(ended(&first).await && !ended(&third).await);
        drop(fifth);
        let _sixth = lines.take(address("192.0.2.6")).expect("free");
        assert!(!ended(&third).await && !ended(&fourth).await);
    }

    #[tokio::test]
    async fn an_address_takes_room_from_itself_alone_and_a_network_is_one() {
        let lines = Lines::new(9, 1);
        let other = lines.take(address("2001:db8:0:1::1")).expect("room");
        let own = lines.take(address("2001:db8::1")).expect("room");
        let _again = lines.take(address("2001:db8::2:3")).expect("its own");
        assert!(ended(&own).await && !ended(&other).await);
        let plain = lines.take(address("192.0.2.1")).expect("room");
        let _mapped = lines.take(address("::ffff:192.0.2.1")).expect("its own");
        assert!(ended(&plain).await);
    }
}
