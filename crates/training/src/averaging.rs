//! Exponential moving average of a network's parameters.

use robin_nn::{NamedTensor, Parameters};

use crate::config::WeightAveraging;

/// Moves `average` towards `current`; the first call copies it.
///
/// Weights and running statistics alike. What never changes (the input normalisation) stays bit for bit what it is.
pub(crate) fn follow(average: &mut Option<Parameters>, current: &Parameters, settings: WeightAveraging) {
    let Some(average) = average else {
        *average = Some(current.clone());
        return;
    };
    let rate = (1.0 - settings.decay) as f32;
    let toward = |tensors: &mut [NamedTensor], current: &[NamedTensor]| {
        for (tensor, current) in tensors.iter_mut().zip(current) {
            for (value, &current) in tensor.values.iter_mut().zip(&current.values) {
                *value += rate * (current - *value);
            }
        }
    };
    toward(&mut average.trained, &current.trained);
    toward(&mut average.buffers, &current.buffers);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(weight: f32, buffers: [f32; 2]) -> Parameters {
        let tensor = |name: &str, values: &[f32]| NamedTensor {
            name: name.to_owned(),
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        Parameters { trained: vec![tensor("w", &[weight])], buffers: vec![tensor("b", &buffers)] }
    }

    #[test]
    fn an_average_by_hand() {
        let mut average = None;
        let settings = WeightAveraging { decay: 0.75 };
        follow(&mut average, &parameters(1.0, [0.2435, 8.0]), settings);
        assert_eq!(average, Some(parameters(1.0, [0.2435, 8.0])));
        follow(&mut average, &parameters(3.0, [0.2435, 4.0]), settings);
        assert_eq!(average, Some(parameters(1.5, [0.2435, 7.0])));
        follow(&mut average, &parameters(-0.5, [0.2435, 7.0]), settings);
        assert_eq!(average, Some(parameters(1.0, [0.2435, 7.0])));
    }
}
