//! The attacks, one a file: a question, a set-up, an answer.

pub mod bribery;
pub mod cabal;
pub mod copying;
pub mod epsilon_edges;
pub mod halting;
pub mod hedging;
pub mod self_dealing;
pub mod self_weight;
pub mod silent_miners;
pub mod sybils;
pub mod turncoat;
