//! What a miner has to be able to do to be served.

use std::future::Future;

use crate::{Description, Failure, Hotkey, Tensor, Treatment};

/// Who is asking: known from a verified signature and from the chain, never from the caller's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its key.
    pub hotkey: Hotkey,
    /// Its stake in this market, in units, as of the metagraph that [`serve`](crate::serve) watches.
    pub stake: u64,
}

/// A model that answers calls.
///
/// Tensors arrive with a shape that fits their data, finite, and of the rank and type of the modality
/// that [`describe`](Model::describe) names; sequences are within its limit. The *values* of a TEXT
/// tensor are not checked against any vocabulary: that is the model's part, with
/// [`Failure::BadShape`]. Calls come concurrently, at most [`Limits::calls`](crate::Limits::calls) at
/// once; a future is dropped when its caller goes away or its time is over, and a panic becomes
/// [`Failure::Internal`] for that caller alone. Long computation belongs on a thread of its own: while a future computes
/// without waiting, neither its deadline nor a caller with more stake ends it.
pub trait Model: Send + Sync + 'static {
    /// What is served here. Called once a request, so it should be cheap. The hotkey is replaced by
    /// the identity that serves.
    fn describe(&self) -> Description;

    /// Answers `inputs` with `f32 [batch, sequence, response_dim]`. The answer is sent as it is:
    /// callers refuse one that is not finite or of another shape.
    ///
    /// # Errors
    /// Whatever failure the caller should be told.
    fn forward(
        &self,
        caller: Caller,
        inputs: Tensor,
    ) -> impl Future<Output = Result<Tensor, Failure>> + Send;

    /// Takes `gradient`, of the caller's loss with respect to the answer to `inputs`, finite and of that
    /// answer's shape; how many positions an IMAGE has is the model's to check.
    ///
    /// # Errors
    /// Whatever failure the caller should be told; a gradient that is understood but not wanted is
    /// no failure but [`Treatment::Refused`].
    fn backward(
        &self,
        caller: Caller,
        inputs: Tensor,
        gradient: Tensor,
    ) -> impl Future<Output = Result<Treatment, Failure>> + Send;
}
