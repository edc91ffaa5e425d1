//! Fetching the peers' answers to the kept-apart examples, beside the training and without a hurry.
//!
//! The examples go out in questions of the size of the training's, and as there in an order of each peer's own, so that a
//! single question does not tell an examination from daily work; the last, which may be smaller, and many in a row
//! without a gradient may. To answer those otherwise than the rest gains nothing: they alone are what a peer is paid by.
//! Of each answer is kept what it is judged by (of a text the last position, whose target was not sent, otherwise the mean
//! over the positions), and some positions to compare it by with other peers' ([`crate::copies`]).

use crate::{
    copies::positions,
    discover::Candidate,
    join,
    query::{query, Missed, Patience},
    wire,
};
use market_primitives::Modality;
use noesis_model::{tch::Device, NetworkConfig};
use noesis_neuron::{Client, Failure, Hotkey, Peer, Tensor};
use std::{collections::HashMap, future::ready, sync::Arc, time::Duration};

/// A peer's answers, row by row as it was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// As they are judged, [`join::summarised`], `[examples, dim]`.
    pub judged: Vec<f32>,
    /// At the positions that are compared, `[examples, positions, dim]`.
    pub compared: Vec<f32>,
}

impl Answers {
    /// Takes in the numbers of one more answer, `[examples, sequence, dim]`: an example at a time, which is too little
    /// for threads of its own.
    fn take(
        &mut self,
        modality: Modality,
        values: &[f32],
        sequence: usize,
        dim: usize,
    ) -> Result<(), Failure> {
        let compared = positions(sequence);
        for example in values.chunks_exact((sequence * dim).max(1)) {
            let answer = wire::torch(example, &[1, sequence, dim], Device::Cpu)?;
            let judged = wire::numbers(&join::summarised(modality, &answer))?;
            self.judged.extend_from_slice(&judged);
            for position in &compared {
                let begin = position.unsigned_abs() as usize * dim;
                (self.compared).extend_from_slice(&example[begin..begin + dim]);
            }
        }
        Ok(())
    }
}

/// A peer's answers, or why it was given up.
pub type Fetched = (Hotkey, Result<Answers, Failure>);

/// Asks each peer for all its batches, one after the other, the peers side by side. A peer is given up at its first
/// failure; each call has until the deadline. When enough of the peers are through, as [`Patience`] has it, the rest have
/// as long again, and at least the time of a call and twice what the training grants for each question, `granted`: one
/// that answers each just before its deadline holds up nobody, and who keeps up with the training is not cut off.
pub async fn fetch(
    client: Client,
    questions: Vec<(Candidate, Vec<Tensor>)>,
    model: NetworkConfig,
    patience: Patience,
    granted: Duration,
    deadline: Duration,
) -> Vec<Fetched> {
    let peers: Vec<Peer> = questions.iter().map(|(one, _)| one.peer()).collect();
    let batches = questions.iter().map(|(_, batches)| batches.len());
    let batches = batches.max().unwrap_or(0) as u32;
    let patience = Patience {
        deadline: deadline.saturating_mul(batches),
        grace: 1.0,
        shortest_grace: deadline.max(granted.saturating_mul(2 * batches)),
        ..patience
    };
    let questions: HashMap<Hotkey, Vec<Tensor>> = (questions.into_iter())
        .map(|(candidate, batches)| (candidate.hotkey, batches))
        .collect();
    let questions = Arc::new(questions);
    let answers = query(&peers, patience, ready(()), |peer| {
        let (client, model, questions) = (client.clone(), model.clone(), Arc::clone(&questions));
        async move {
            let batches = questions.get(&peer.hotkey).map_or(&[][..], Vec::as_slice);
            one(&client, &peer, batches, &model, deadline).await
        }
    });
    let answers = answers.await.answers.into_iter();
    let outcomes = answers.map(|answer| {
        answer.outcome.map_err(|missed| match missed {
            // Not by little, with as much time as there was.
            Missed::Late => Failure::Deadline,
            Missed::Failed(failure) => failure,
        })
    });
    peers.iter().map(|peer| peer.hotkey).zip(outcomes).collect()
}

async fn one(
    client: &Client,
    peer: &Peer,
    batches: &[Tensor],
    model: &NetworkConfig,
    deadline: Duration,
) -> Result<Answers, Failure> {
    let mut answers = Answers::default();
    for inputs in batches {
        let answered = client.forward(peer, model.modality(), inputs, deadline);
        let expected = wire::answer_shape(model, &inputs.shape);
        let values = wire::answer(answered.await?, &expected)?;
        let &[_, sequence, dim] = expected.as_slice() else {
            return Err(Failure::Internal("an answer has three sizes".into()));
        };
        answers.take(model.modality(), &values, sequence, dim)?;
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::tch::{Kind, Tensor as Torch};

    /// Bit for bit as it was judged when all positions were kept until every peer was through.
    #[test]
    fn of_every_position_only_what_is_judged_is_kept() {
        let answer = Torch::randn([3, 49, 64], (Kind::Float, Device::Cpu)) * 5000.0; // some out of bounds
        let values = wire::numbers(&answer).unwrap();
        for modality in [Modality::Text, Modality::Image, Modality::Tensor] {
            let mut kept = Answers::default();
            for one in values.chunks(2 * 49 * 64) {
                kept.take(modality, one, 49, 64).unwrap();
            }
            let judged = join::summarised(modality, &answer);
            assert_eq!(judged.size(), [3, 64]);
            assert_eq!(kept.judged, wire::numbers(&judged).unwrap());
            assert_eq!(kept.compared.len(), 3 * positions(49).len() * 64);
            assert_eq!(kept.compared[..64], values[..64], "the first position");
        }
    }
}
