//! The miner: a model that one thread owns, served to a market and trained between calls.
//!
//! The way of a call: `noesis_neuron::serve` decodes and admits it, [`Miner`] checks it and queues
//! it, the model thread of [`Worker`] answers it. [`Faulty`] stands between the first two when
//! misbehaviour is asked for. Where the model is another process, a [`Remote`] takes the place of both and `turns`
//! that of the queue. Nothing but [`callers`], [`enrol`] and [`relay`] knows of the chain, so miners run in one process
//! without one.

mod batch;
pub mod callers;
pub mod config;
pub mod enrol;
pub mod events;
pub mod fault;
pub mod miner;
pub mod offline;
pub mod progress;
pub mod quota;
pub mod relay;
pub mod remote;
mod seldom;
pub mod settings;
mod turns;
pub mod worker;

pub use fault::{Fault, Faulty};
pub use miner::Miner;
pub use remote::{Remote, RemoteConfig, RemoteError};
pub use settings::{FeedbackRules, Keeping, OwnTraining, Settings};
pub use worker::{Worker, WorkerError};
