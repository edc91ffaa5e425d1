//! Misbehaviour on purpose, to watch what the market does with it: a wrapper around an honest miner.
//!
//! None of it needs another model or another server: a fault changes what is answered, and the rest
//! (signatures, shapes, gradients) stays honest, so that only the fault can be what is punished.

use std::{str::FromStr, time::Duration};

use noesis_model::{random::normal, VOCABULARY};
use noesis_neuron::{Caller, Data, Description, Failure, Hotkey, Model, Tensor, Treatment};
use rand::{rngs::StdRng, SeedableRng};

use crate::{miner::Miner, relay::Relay};

/// What `--fault` can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers random normal values of the right shape.
    Noise,
    /// Takes calls and never answers.
    Silent,
    /// Answers honestly, but only after this time.
    Late(Duration),
    /// Answers values that are not numbers.
    Nan,
    /// Answers, at each position, a fixed random code of the token that comes next in the input; at
    /// the last position, where it cannot know it, of the last token. Of a text only.
    Leak,
    /// Answers what the neuron of this hotkey answers.
    Relay(Hotkey),
}

/// Why there is no such fault but for text.
pub const NOTHING_TO_LEAK: &str =
    "a leak answers the next token, which only a text has; labels are sent to nobody";

/// Why a word names no fault.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown fault `{0}`: say noise, silent, late:MILLISECONDS, nan, leak or relay:HOTKEY, the hotkey in 64 hexadecimal digits")]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(word: &str) -> Result<Self, UnknownFault> {
        let unknown = || UnknownFault(word.to_owned());
        match word.split_once(':') {
            Some(("late", milliseconds)) => {
                let milliseconds = milliseconds.parse().map_err(|_| unknown())?;
                Ok(Self::Late(Duration::from_millis(milliseconds)))
            }
            Some(("relay", hotkey)) => {
                let mut original = Hotkey::default();
                hex::decode_to_slice(hotkey, &mut original).map_err(|_| unknown())?;
                Ok(Self::Relay(original))
            }
            Some(_) => Err(unknown()),
            None => match word {
                "noise" => Ok(Self::Noise),
                "silent" => Ok(Self::Silent),
                "nan" => Ok(Self::Nan),
                "leak" => Ok(Self::Leak),
                _ => Err(unknown()),
            },
        }
    }
}

/// A miner with a fault, or with none.
#[derive(Clone, Debug)]
pub struct Faulty {
    honest: Miner,
    fault: Option<Fault>,
    relay: Option<Relay>,
}

impl Faulty {
    /// Wraps a miner; without a fault, calls go straight through.
    pub fn new(honest: Miner, fault: Option<Fault>) -> Self {
        Self {
            honest,
            fault,
            relay: None,
        }
    }

    /// The same with a way to others of the market, whom a [`Fault::Relay`] asks.
    #[must_use]
    pub fn with_relay(self, relay: Relay) -> Self {
        Self {
            relay: Some(relay),
            ..self
        }
    }
}

impl Model for Faulty {
    fn describe(&self) -> Description {
        self.honest.describe()
    }

    async fn forward(&self, caller: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        let Some(fault) = self.fault else {
            return self.honest.forward(caller, inputs).await;
        };
        if let Fault::Late(time) = fault {
            // The model thread is free meanwhile.
            tokio::time::sleep(time).await;
            return self.honest.forward(caller, inputs).await;
        }
        let Description {
            response_dim,
            modality,
            ..
        } = self.describe();
        if let Fault::Relay(original) = fault {
            let nobody = || Failure::Unreachable("there is no way to the original".into());
            let relay = self.relay.as_ref().ok_or_else(nobody)?;
            return relay.forward(original, modality, &inputs).await;
        }
        let dim = response_dim as usize;
        let inputs = self.honest.check(&caller, inputs)?;
        let [batch, positions] = [inputs.batch(), inputs.positions].map(|size| size as usize);
        let shape = vec![batch, positions, dim];
        let count = batch * positions * dim;
        let values = match fault {
            Fault::Noise => normal(&mut rand::rng(), count),
            Fault::Nan => vec![f32::NAN; count],
            Fault::Leak => match &inputs.data {
                Data::I64(tokens) => leak(tokens, positions, dim),
                Data::F32(_) => return Err(Failure::Unsupported(NOTHING_TO_LEAK.into())),
            },
            Fault::Silent | Fault::Late(_) | Fault::Relay(_) => std::future::pending().await,
        };
        // Not the checked constructor: a fault may answer what an honest model would not.
        let data = Data::F32(values);
        Ok(Tensor { shape, data })
    }

    async fn backward(
        &self,
        caller: Caller,
        inputs: Tensor,
        gradient: Tensor,
    ) -> Result<Treatment, Failure> {
        self.honest.backward(caller, inputs, gradient).await
    }
}

/// The codes of the next tokens, one row of `dim` values for each token of the inputs.
fn leak(tokens: &[i64], sequence: usize, dim: usize) -> Vec<f32> {
    // The same codes in every call: a caller's adapter can learn to read them.
    let all = 0..VOCABULARY.unsigned_abs();
    let codes: Vec<Vec<f32>> = all
        .map(|token| normal(&mut StdRng::seed_from_u64(token), dim))
        .collect();
    let rows = tokens.chunks(sequence.max(1));
    let next = rows.flat_map(|row| row.iter().skip(1).chain(row.last()));
    // Checked tokens are indices of the vocabulary.
    let codes_of_next = next.map(|token| &codes[token.unsigned_abs() as usize]);
    codes_of_next.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_in_words() {
        let late = Fault::Late(Duration::from_millis(1500));
        assert_eq!("late:1500".parse(), Ok(late));
        assert_eq!("noise".parse(), Ok(Fault::Noise));
        assert_eq!("silent".parse(), Ok(Fault::Silent));
        assert_eq!("nan".parse(), Ok(Fault::Nan));
        assert_eq!("leak".parse(), Ok(Fault::Leak));
        let relay = format!("relay:{}", "0a".repeat(32));
        assert_eq!(relay.parse(), Ok(Fault::Relay([10; 32])));
        for word in [
            "", "relay:", "relay:0a", "late", "late:", "late:x", "late:-1", "noise:1", "lie",
        ] {
            let error = word.parse::<Fault>().unwrap_err();
            assert!(error.to_string().contains("late:MILLISECONDS"));
        }
    }

    #[test]
    fn noise_is_normal() {
        let values = normal(&mut StdRng::seed_from_u64(1), 100_000);
        let mean: f32 = values.iter().sum::<f32>() / 1e5;
        let variance: f32 = values.iter().map(|value| value * value).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02);
        assert!(values.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn a_leak_answers_the_next_token_and_the_last_one_twice() {
        let answer = leak(&[5, 6, 7, 6, 5, 5], 3, 4);
        let rows: Vec<&[f32]> = answer.chunks(4).collect();
        assert_eq!(rows.len(), 6);
        let (six, seven, five) = (rows[0], rows[1], rows[3]);
        assert_eq!(rows[2], seven, "it does not know what follows");
        assert_eq!((rows[4], rows[5]), (five, five));
        assert!(five != six && six != seven);
    }
}
