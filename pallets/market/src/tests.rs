//! What each call does, each reason why it may be refused, and what an epoch pays.

mod epoch;
mod pool;
mod registration;
mod sequences;
mod serving;
mod staking;
mod weight_setting;
