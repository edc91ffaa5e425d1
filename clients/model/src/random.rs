//! Randomness that a seed decides, whatever other threads of the process draw meanwhile.
//!
//! libtorch has one generator for the whole process: parameters that came from it would depend on who else draws.

use std::{
    cell::RefCell,
    sync::{Mutex, PoisonError},
};

use rand::{rngs::StdRng, Rng, SeedableRng};
use tch::{no_grad, Tensor};

thread_local! {
    /// Where the parameters of a network come from that is being built on this thread.
    static DRAWS: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Runs `build` so that the parameters of networks made in it depend on `seed` alone. What else it draws from
/// libtorch's generator does as long as nobody draws beside it.
pub fn seeded<T>(seed: u64, build: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(i64::from_ne_bytes(seed.to_ne_bytes()));
    DRAWS.set(Some(StdRng::seed_from_u64(seed)));
    let built = build();
    DRAWS.set(None);
    built
}

/// Normal values of mean 0 and variance 1 (Box and Muller, 1958).
pub fn normal(rng: &mut impl Rng, count: usize) -> Vec<f32> {
    let one = |_| {
        let (radius, angle): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random());
        (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
    };
    (0..count).map(one).collect()
}

/// Fills a parameter with normal values of that deviation: from the seed of the [`seeded`] around it, where there is
/// one.
pub(crate) fn fill(parameter: &Tensor, deviation: f64) {
    let mut parameter = parameter.shallow_clone();
    no_grad(|| {
        DRAWS.with_borrow_mut(|draws| match draws {
            Some(rng) => {
                let values = normal(rng, parameter.numel());
                let values = Tensor::from_slice(&values).view_as(&parameter) * deviation;
                parameter.copy_(&values);
            }
            None => {
                let _ = parameter.normal_(0.0, deviation);
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_seed_decides_whatever_other_threads_draw() {
        let values = || {
            seeded(3, || {
                let parameter = Tensor::zeros([64, 64], (Kind::Float, Device::Cpu));
                // Somebody else draws from libtorch's generator in between.
                let other =
                    std::thread::spawn(|| Tensor::randn([7], (Kind::Float, Device::Cpu)).numel());
                other.join().unwrap();
                fill(&parameter, 2.0);
                parameter
            })
        };
        let (one, other) = (values(), values());
        assert_eq!(one, other);
        let deviation = one.std(true).double_value(&[]);
        assert!((deviation - 2.0).abs() < 0.1, "{deviation}");
        let mean = one.mean(Kind::Double).double_value(&[]);
        assert!(mean.abs() < 0.1, "{mean}");
    }
}
