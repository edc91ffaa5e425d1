//! What each call does, each reason why it may be refused, and what an epoch pays.

mod delegation;
mod epoch;
mod governance;
mod issuance;
mod migrations;
mod model;
mod pool;
mod queries;
mod recovery;
mod registration;
mod reveal;
mod sequences;
mod serving;
mod slots;
mod staking;
mod steps;
mod stored_row;
mod weight_setting;
