//! Every bound on what a neuron spends on others, in one place.

use std::time::Duration;

/// Longest message unless said otherwise, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Positions, over its whole batch, that a miner answers in one call of a caller with stake, unless it was built otherwise;
/// no validator asks for more.
pub const POSITIONS_A_CALL: usize = 1 << 14;

/// Bounds of a server. The memory that callers can claim is at most about
/// `calls * message_bytes * 8`: a body and its tensors decompressed (together one message), these as numbers
/// (four bytes for one of int8), the answer, the answer's bytes, and those on their way.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest message, received or sent, in bytes of its protobuf form; the tensors of a request have
    /// as many bytes at most once decompressed.
    pub message_bytes: usize,
    /// Calls admitted at once, from the first byte of the body to the last byte of the answer, those
    /// that wait inside the model included. One more takes the place of the one with the least stake,
    /// where that is less than its own, and otherwise is answered [`Busy`](crate::Failure::Busy). A call whose answer
    /// is being sent loses its connection with its place; in the first second it does so only where no other can go.
    pub calls: usize,
    /// Of these, calls of one hotkey.
    pub calls_per_caller: usize,
    /// Stake from which on a caller is answered, in units: who has less is refused before a signature of its is verified.
    pub caller_stake: u64,
    /// Open connections; one more takes the room of the one over which the least stake has called, of equals of
    /// the oldest.
    pub connections: usize,
    /// Of these, connections of one address, in the same way; of IPv6, of a network of 64 bits.
    pub connections_per_address: usize,
    /// Concurrent streams on one connection.
    pub streams_per_connection: u32,
    /// Time from accepting a connection to the whole HTTP/2 preface.
    pub handshake: Duration,
    /// Time without a byte received after which a connection is closed.
    pub idle: Duration,
    /// Age at which a connection is asked to go; one `call_time` later it is closed.
    pub connection_age: Duration,
    /// Time for one call, from its headers to its answer; then [`Deadline`](crate::Failure::Deadline). As long again
    /// an answer may take to be read; then its place is free to others who want it.
    pub call_time: Duration,
    /// Time that calls in progress are given after the shutdown signal.
    pub drain: Duration,
    /// How far a caller's clock may be ahead of ours. For twice as long after a start, requests that
    /// an earlier run might have answered are told [`Busy`](crate::Failure::Busy).
    pub clock_skew: Duration,
    /// Requests remembered so that none is answered twice; when full,
    /// [`Busy`](crate::Failure::Busy), since forgetting a live one would open it to replay. One half is for who
    /// comes first, the other half for callers with fewer in both than their share of one half by stake.
    pub replay_capacity: usize,
    /// Requests of one hotkey in the half for who comes first.
    pub replay_capacity_per_caller: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: MESSAGE_BYTES,
            calls: 32,
            calls_per_caller: 16,
            caller_stake: 0,
            connections: 256,
            connections_per_address: 64,
            streams_per_connection: 32,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(120),
            connection_age: Duration::from_secs(600),
            call_time: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            clock_skew: Duration::from_secs(2),
            replay_capacity: 65_536,
            replay_capacity_per_caller: 8_192,
        }
    }
}

/// Bounds of a client.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Longest message, sent or received, in bytes of its protobuf form; see [`Limits::message_bytes`].
    pub message_bytes: usize,
    /// Channels kept open, one an endpoint; the one longest unused gives way.
    pub channels: usize,
    /// Time to connect to a peer, within the deadline of the call.
    pub connect: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            message_bytes: MESSAGE_BYTES,
            channels: 256,
            connect: Duration::from_secs(5),
        }
    }
}
