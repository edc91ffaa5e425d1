//! Fetching the peers' answers to the kept-apart examples, beside the training and without a hurry.
//!
//! The examples go out in batches of the same size as those of the training, and as there in an order of each peer's
//! own, so that a single question does not tell an examination from daily work; many in a row, without a gradient, may.
//! Of each answer is kept what it is judged by (of a text the last position, whose target was not sent), and some
//! positions to compare it by with other peers' ([`crate::copies`]).

use crate::{copies::positions, discover::Candidate, query::Missed, wire};
use market_primitives::Modality;
use noesis_model::NetworkConfig;
use noesis_neuron::{Client, Failure, Hotkey, Tensor};
use std::time::Duration;
use tokio::task::JoinSet;

/// A peer's answers, row by row as it was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// At the positions that they are judged by, `[examples, positions, dim]`: the last of a text, otherwise all.
    pub judged: Vec<f32>,
    /// At the positions that are compared, `[examples, positions, dim]`.
    pub compared: Vec<f32>,
}

/// A peer's answers, or why it was given up.
pub type Fetched = (Hotkey, Result<Answers, Missed>);

/// Asks each peer for all its batches, one after the other, the peers side by side. A peer is given up at its first
/// failure; each call has until the deadline.
pub async fn fetch(
    client: Client,
    peers: Vec<(Candidate, Vec<Tensor>)>,
    model: NetworkConfig,
    deadline: Duration,
) -> Vec<Fetched> {
    let mut calls = JoinSet::new();
    for (candidate, batches) in peers {
        let (client, model) = (client.clone(), model.clone());
        calls.spawn(async move {
            let answers = one(&client, &candidate, &batches, &model, deadline).await;
            let answers = answers.map_err(|failure| match failure {
                Failure::Deadline => Missed::Late,
                failure => Missed::Failed(failure),
            });
            (candidate.hotkey, answers)
        });
    }
    let mut fetched: Vec<Fetched> = calls.join_all().await;
    fetched.sort_by_key(|(peer, _)| *peer);
    fetched
}

async fn one(
    client: &Client,
    candidate: &Candidate,
    batches: &[Tensor],
    model: &NetworkConfig,
    deadline: Duration,
) -> Result<Answers, Failure> {
    let mut answers = Answers::default();
    let peer = candidate.peer();
    for inputs in batches {
        let answered = client.forward(&peer, model.modality(), inputs, deadline);
        let expected = wire::answer_shape(model, &inputs.shape);
        let values = wire::answer(answered.await?, &expected)?;
        let &[_, sequence, dim] = expected.as_slice() else {
            return Err(Failure::Internal("an answer has three sizes".into()));
        };
        let judged = match model.modality() {
            Modality::Text => sequence.saturating_sub(1)..sequence,
            Modality::Image | Modality::Tensor => 0..sequence,
        };
        let compared = positions(sequence);
        for example in values.chunks_exact((sequence * dim).max(1)) {
            (answers.judged).extend_from_slice(&example[judged.start * dim..judged.end * dim]);
            for position in &compared {
                let begin = position.unsigned_abs() as usize * dim;
                (answers.compared).extend_from_slice(&example[begin..begin + dim]);
            }
        }
    }
    Ok(answers)
}
