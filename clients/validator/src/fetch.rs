//! Fetching the peers' answers to the kept-apart examples, beside the training and without a hurry.
//!
//! The examples go out in batches of the same size as those of the training, so that nobody can tell an
//! examination from daily work. Of each answer only the last position is kept, where the target was not sent.

use crate::{discover::Candidate, query::Missed, wire};
use market_primitives::Modality;
use noesis_neuron::{Client, Failure, Hotkey, Tensor};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// A peer's answers at the last positions, `[examples, dim]` row by row, or why it was given up.
pub type Fetched = (Hotkey, Result<Vec<f32>, Missed>);

/// Asks each peer for all `batches`, one after the other, the peers side by side. A peer is given up at its first
/// failure; each call has until the deadline.
pub async fn fetch(
    client: Client,
    peers: Vec<Candidate>,
    batches: Vec<Tensor>,
    dim: usize,
    deadline: Duration,
) -> Vec<Fetched> {
    let batches = Arc::new(batches);
    let mut calls = JoinSet::new();
    for candidate in peers {
        let (client, batches) = (client.clone(), Arc::clone(&batches));
        calls.spawn(async move {
            let answers = one(&client, &candidate, &batches, dim, deadline).await;
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
    dim: usize,
    deadline: Duration,
) -> Result<Vec<f32>, Failure> {
    let mut last_positions = Vec::new();
    let peer = candidate.peer();
    for inputs in batches {
        let answered = client.forward(&peer, Modality::Text, inputs, deadline);
        let mut expected = inputs.shape.clone();
        expected.push(dim);
        let values = wire::answer(answered.await?, &expected)?;
        let sequence = inputs.shape.last().copied().unwrap_or(1).max(1);
        for example in values.chunks_exact(sequence * dim) {
            last_positions.extend_from_slice(&example[(sequence - 1) * dim..]);
        }
    }
    Ok(last_positions)
}
