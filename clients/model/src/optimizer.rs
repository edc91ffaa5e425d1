//! AdamW (Loshchilov and Hutter, 2019), written out so that its state can be saved and resumed.
//!
//! libtorch's own keeps its moments where tch cannot read them; a training that resumes without them
//! is another training.

use tch::{no_grad, TchError, Tensor};

/// Decay of the first moment.
const BETA_1: f64 = 0.9;
/// Decay of the second moment. Below the usual 0.999: runs of a few thousand steps.
const BETA_2: f64 = 0.99;
/// Keeps a division by a second moment of zero finite.
const EPSILON: f64 = 1e-8;

/// A parameter, its name, and the two moments of its gradient.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    first: Tensor,
    second: Tensor,
}

/// The optimizer: moments for each parameter, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    slots: Vec<Slot>,
    /// Steps taken: an `i64` scalar, so that it is saved and restored like the moments.
    steps: Tensor,
    weight_decay: f64,
}

impl AdamW {
    /// An optimizer of these parameters. `weight_decay` applies to matrices, not to biases and norms.
    pub fn new(parameters: Vec<(String, Tensor)>, weight_decay: f64) -> Self {
        let slots = parameters
            .into_iter()
            .map(|(name, parameter)| Slot {
                first: parameter.zeros_like().detach(),
                second: parameter.zeros_like().detach(),
                name,
                parameter,
            })
            .collect();
        Self {
            slots,
            steps: Tensor::from(0i64),
            weight_decay,
        }
    }

    /// An optimizer of all that a store can train, in the order of the names.
    pub fn of(store: &tch::nn::VarStore, weight_decay: f64) -> Self {
        Self::new(trainable(store), weight_decay)
    }

    /// Steps taken.
    pub fn step_count(&self) -> i64 {
        self.steps.int64_value(&[])
    }

    /// The parameters, in order: what [`AdamW::step`] wants gradients for.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.slots.iter().map(|slot| &slot.parameter).collect()
    }

    /// One step along the negative gradients of a loss that was computed under gradient tracking,
    /// clipped to the norm `clip`. Returns the norm before clipping. A parameter that the loss does
    /// not depend on stays as it is; a gradient that is not finite changes nothing at all.
    pub fn minimise(&mut self, loss: &Tensor, rate: f64, clip: f64) -> Option<f64> {
        self.f_minimise(loss, rate, clip)
            .expect("a loss under gradient tracking has gradients")
    }

    /// As [`AdamW::minimise`], of a loss whose backward pass may fail: that of a TorchScript module.
    ///
    /// # Errors
    ///
    /// What libtorch says; then nothing has changed.
    pub fn f_minimise(
        &mut self,
        loss: &Tensor,
        rate: f64,
        clip: f64,
    ) -> Result<Option<f64>, TchError> {
        let gradients = Tensor::f_run_backward(&[loss], &self.parameters(), false, false)?;
        Ok(self.step(&gradients, rate, clip))
    }

    /// One step with these gradients, one for each parameter in order (undefined: none), clipped to
    /// the norm `clip`. Returns the norm before clipping, or `None` when it is not finite: then
    /// nothing has changed.
    pub fn step(&mut self, gradients: &[Tensor], rate: f64, clip: f64) -> Option<f64> {
        let norm = norm(gradients);
        if !norm.is_finite() {
            return None;
        }
        let scale = if norm > clip { clip / norm } else { 1.0 };
        let _ = self.steps.g_add_scalar_(1);
        let count = self.step_count() as f64;
        let correction_1 = 1.0 - BETA_1.powf(count);
        let correction_2 = 1.0 - BETA_2.powf(count);
        no_grad(|| {
            for (slot, gradient) in self.slots.iter_mut().zip(gradients) {
                if !gradient.defined() {
                    continue;
                }
                let gradient = gradient * scale;
                let _ = slot.first.lerp_(&gradient, 1.0 - BETA_1);
                let _ = slot.second.lerp_(&gradient.square(), 1.0 - BETA_2);
                if slot.parameter.dim() >= 2 {
                    let _ = slot.parameter.g_mul_scalar_(1.0 - rate * self.weight_decay);
                }
                let spread = (&slot.second / correction_2).sqrt() + EPSILON;
                let change = (&slot.first / spread) * (-rate / correction_1);
                let _ = slot.parameter.g_add_(&change);
            }
        });
        Some(norm)
    }

    /// What a checkpoint keeps, named under `prefix`: the count of steps and both moments of each
    /// parameter. [`crate::Checkpoint::restore`] into these tensors restores the optimizer.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut state = vec![(format!("{prefix}/steps"), self.steps.shallow_clone())];
        for slot in &self.slots {
            for (moment, tensor) in [("first", &slot.first), ("second", &slot.second)] {
                let name = format!("{prefix}/{moment}/{}", slot.name);
                state.push((name, tensor.shallow_clone()));
            }
        }
        state
    }
}

/// The Euclidean norm of all gradients taken together.
fn norm(gradients: &[Tensor]) -> f64 {
    let squares = gradients
        .iter()
        .filter(|gradient| gradient.defined())
        .map(|gradient| gradient.square().sum(tch::Kind::Double));
    let all: Vec<Tensor> = squares.collect();
    if all.is_empty() {
        return 0.0;
    }
    Tensor::stack(&all, 0)
        .sum(tch::Kind::Double)
        .sqrt()
        .double_value(&[])
}

/// What a store can train, in the order of the names (a store keeps them unordered).
pub fn trainable(store: &tch::nn::VarStore) -> Vec<(String, Tensor)> {
    let variables = store.variables().into_iter();
    let mut named: Vec<(String, Tensor)> = variables
        .filter(|(_, tensor)| tensor.requires_grad())
        .collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}
