//! The validator: trains over its peers, scores them, and sets weights.
//!
//! A module a step, in the order of the loop: [`discover`] the peers, draw a [`coalition`], let the [`gate`] choose,
//! [`query`] them, [`join`] their answers into the [`learner`]'s local model, send gradients [`backward`], score
//! on examples [`fetch`]ed beside the training by [`ablation`] and [`fisher`], note it in the [`ledger`],
//! and turn scores into [`weights`]. Beside it a [`student`] is distilled from the network.
//!
//! [`validator::Validator`] is one turn of the loop and knows nothing of the chain; [`run`](mod@run) is the loop;
//! [`market`] alone talks to the chain, and [`promises`] are the rows that a market hides for a while.

pub mod ablation;
pub mod backoff;
pub mod backward;
pub mod coalition;
pub mod config;
pub mod copies;
pub mod discover;
pub mod events;
pub mod examples;
pub mod fetch;
pub mod fisher;
pub mod gate;
pub mod join;
pub mod kept_answers;
pub mod learner;
pub mod ledger;
pub mod market;
pub mod part;
pub mod promises;
pub mod query;
pub mod run;
pub mod saved;
pub mod student;
pub mod validator;
mod voter;
pub mod weights;
pub mod wire;
