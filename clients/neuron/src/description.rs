//! What a neuron says of itself and of gradients, as types and on the wire.

use noesis_proto::{v1, Bytes};

use crate::{failure::tame, Failure, Hotkey, Modality};

/// Who serves, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The key that signs its answers.
    pub hotkey: Hotkey,
    /// What it answers.
    pub modality: Modality,
    /// Last dimension of its answers.
    pub response_dim: u32,
    /// Longest sequence it answers, in elements; 0 for no limit of its own.
    pub sequence_limit: u32,
    /// Name of its model, for people.
    pub model: String,
    /// Number of trainable parameters.
    pub parameters: u64,
    /// Version of its program, for people.
    pub version: String,
}

impl Description {
    pub(crate) fn to_wire(&self) -> v1::DescribeResponse {
        v1::DescribeResponse {
            hotkey: Bytes::copy_from_slice(&self.hotkey),
            modality: modality_to_wire(self.modality).into(),
            response_dim: self.response_dim,
            sequence_limit: self.sequence_limit,
            model: tame(&self.model),
            parameters: self.parameters,
            version: tame(&self.version),
        }
    }

    pub(crate) fn from_wire(wire: &v1::DescribeResponse) -> Result<Self, Failure> {
        Ok(Self {
            hotkey: wire.hotkey.as_ref().try_into().map_err(|_| {
                Failure::BadShape(format!(
                    "a hotkey has 32 bytes, the peer says {}; ask another peer",
                    wire.hotkey.len()
                ))
            })?,
            modality: modality_from_wire(wire.modality)?,
            response_dim: wire.response_dim,
            sequence_limit: wire.sequence_limit,
            model: tame(&wire.model),
            parameters: wire.parameters,
            version: tame(&wire.version),
        })
    }
}

/// What became of a gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The model has taken the step.
    Applied,
    /// A later step takes it along.
    Queued,
    /// It was not used, and why.
    Refused(String),
}

impl Treatment {
    pub(crate) fn to_wire(&self) -> v1::BackwardResponse {
        let (treatment, reason) = match self {
            Self::Applied => (v1::Treatment::Applied, String::new()),
            Self::Queued => (v1::Treatment::Queued, String::new()),
            Self::Refused(reason) => (v1::Treatment::Refused, tame(reason)),
        };
        v1::BackwardResponse {
            treatment: treatment.into(),
            reason,
        }
    }

    pub(crate) fn from_wire(wire: &v1::BackwardResponse) -> Result<Self, Failure> {
        match wire.treatment() {
            v1::Treatment::Applied => Ok(Self::Applied),
            v1::Treatment::Queued => Ok(Self::Queued),
            v1::Treatment::Refused => Ok(Self::Refused(tame(&wire.reason))),
            v1::Treatment::Unspecified => Err(Failure::BadShape(
                "the peer does not say what became of the gradient; take it as refused".into(),
            )),
        }
    }
}

/// A modality as messages name it.
pub fn modality_to_wire(modality: Modality) -> v1::Modality {
    match modality {
        Modality::Text => v1::Modality::Text,
        Modality::Image => v1::Modality::Image,
        Modality::Tensor => v1::Modality::Tensor,
    }
}

pub(crate) fn modality_from_wire(wire: i32) -> Result<Modality, Failure> {
    match v1::Modality::try_from(wire) {
        Ok(v1::Modality::Text) => Ok(Modality::Text),
        Ok(v1::Modality::Image) => Ok(Modality::Image),
        Ok(v1::Modality::Tensor) => Ok(Modality::Tensor),
        Ok(v1::Modality::Unspecified) | Err(_) => Err(Failure::WrongModality(format!(
            "modality {wire} is unknown; say text, image or tensor"
        ))),
    }
}
