//! Stochastic gradient descent with momentum and weight decay, exactly as PyTorch's `torch.optim.SGD`.

use rayon::prelude::*;
use robin_core::occupancy::piece;
use robin_nn::{Gradients, NamedTensor};

/// Values that one thread moves at a time.
const CHUNK: usize = 1 << 16;

/// The optimiser's memory: one velocity for each trained value.
#[derive(Debug, Clone)]
pub struct Sgd {
    momentum: f32,
    weight_decay: f32,
    /// Empty before the first step.
    velocities: Vec<Vec<f32>>,
}

impl Sgd {
    /// An optimiser at rest.
    pub fn new(momentum: f64, weight_decay: f64) -> Self {
        Self { momentum: momentum as f32, weight_decay: weight_decay as f32, velocities: Vec::new() }
    }

    /// The velocities in the order of the trained tensors; empty before the first step.
    pub(crate) fn velocities(&self) -> &[Vec<f32>] {
        &self.velocities
    }

    /// The optimiser with these velocities.
    pub(crate) fn with_velocities(self, velocities: Vec<Vec<f32>>) -> Self {
        Self { velocities, ..self }
    }

    /// One step: `g = gradient + weight_decay w; v = momentum v + g; w = w - learning_rate v`.
    ///
    /// # Panics
    /// If `gradients` are not those of `tensors`.
    pub fn step(&mut self, tensors: &mut [NamedTensor], gradients: &Gradients, learning_rate: f64) {
        let Gradients(gradients) = gradients;
        if self.velocities.is_empty() {
            self.velocities = gradients.iter().map(|gradient| vec![0.0; gradient.len()]).collect();
        }
        assert_eq!(tensors.len(), gradients.len(), "one gradient for each tensor");
        for ((tensor, gradient), velocity) in tensors.iter_mut().zip(gradients).zip(&mut self.velocities) {
            assert_eq!(tensor.values.len(), gradient.len(), "gradient of {}", tensor.name);
            // Each value by itself, so the cut moves nothing.
            let parts = tensor.values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
            parts.zip(velocity.par_chunks_mut(CHUNK)).with_min_len(piece()).for_each(|((w, g), v)| {
                for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                    *v = self.momentum * *v + (g + self.weight_decay * *w);
                    *w -= learning_rate as f32 * *v;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn two_steps_by_hand() {
        let mut tensors = [NamedTensor { name: "w".to_owned(), shape: vec![1], values: vec![2.0] }];
        let mut sgd = Sgd::new(0.5, 0.25);
        sgd.step(&mut tensors, &Gradients(vec![vec![1.0].into()]), 0.1);
        // g = 1 + 0.25 * 2 = 1.5; v = 1.5; w = 2 - 0.15
        assert_abs_diff_eq!(tensors[0].values[0], 1.85, epsilon = 1e-6);
        sgd.step(&mut tensors, &Gradients(vec![vec![1.0].into()]), 0.1);
        // g = 1 + 0.25 * 1.85 = 1.4625; v = 0.75 + 1.4625 = 2.2125; w = 1.85 - 0.22125
        assert_abs_diff_eq!(tensors[0].values[0], 1.62875, epsilon = 1e-6);
    }
}
