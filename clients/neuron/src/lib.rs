//! Server and client of the protocol between neurons.
//!
//! A miner implements [`Model`] and hands it to [`serve`]; a validator asks it through a [`Client`].
//! Between the two, every request and every answer is signed by a hotkey, bounded in size and time,
//! and checked before a tensor is decoded, so that a model sees only well-formed, finite tensors of
//! its own modality from callers that the chain knows.
//!
//! The way of a call, one module an arrow: `client` → `signature` → `channels` (`tls`) →
//! wire → `connection` (`lines`) → `server` → `admission` (`replay`, rights, `places`) → `service` → `packing` (`compression`,
//! `numbers`), `inputs` → [`Model`] → and back through the same.

mod admission;
mod channels;
mod client;
mod compression;
mod connection;
mod contain;
mod description;
mod failure;
mod formats;
mod inputs;
mod limits;
mod lines;
mod lock;
mod model;
mod numbers;
mod packing;
mod places;
pub mod queue;
mod raw;
mod replay;
mod server;
mod service;
pub mod signature;
mod tensor;
mod tls;

pub use admission::Callers;
pub use client::{Client, Peer};
pub use connection::Listener;
pub use description::{modality_to_wire, Description, Treatment};
pub use failure::{Failure, FAILURE_KEY};
pub use formats::Formats;
pub use inputs::{check_answer, check_inputs};
pub use limits::{ClientLimits, Limits, POSITIONS_A_CALL};
pub use market_primitives::Modality;
pub use model::{Caller, Model};
pub use server::{serve, ServeError};
pub use tensor::{Data, Tensor, MAX_DIMENSIONS};
pub use tls::{Certificate, CertificateProblem, Fingerprint};

/// The sr25519 public key under which a neuron serves, calls and sets weights.
pub type Hotkey = [u8; 32];
