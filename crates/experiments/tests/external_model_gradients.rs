//! The check of foreign models lets every architecture pass, on every executor: it must not cry wolf.

use candle_core::{Device, Tensor};
use robin_core::{Purpose, Seed};
use robin_evaluation::external_model::{GradientProbe, probe_gradient};
use robin_models::MODELS;
use robin_nn::{EXECUTORS, Parameters};

/// Fewer images and directions than in earnest, because the median of fewer is the harder test.
const PROBE: GradientProbe = GradientProbe { images: 2, directions: 4, ..GradientProbe::STANDARD };

#[test]
fn true_gradients_of_deep_networks_pass() {
    let mut stream = Seed::new(4).derive(Purpose::Test, 0).root_stream();
    let pixels: Vec<f32> = (0..2 * 3 * 32 * 32).map(|_| stream.uniform()).collect();
    let images = Tensor::from_vec(pixels, (2, 3, 32, 32), &Device::Cpu).unwrap();
    for model in MODELS {
        // Four units of a fully connected layer may all be silent on two images; four channels are not.
        let least = if model.name == "mlp" { 32 } else { 4 };
        let width = (least / model.width_step).max(1) * model.width_step;
        let graph = robin_models::build(model.name, Some(width), [3, 32, 32], 10).unwrap();
        let parameters = Parameters::initialise(&graph, Seed::new(6));
        for executor in EXECUTORS {
            let classifier = executor.classifier(&graph, &parameters).unwrap();
            let report = probe_gradient(classifier.as_ref(), &images, PROBE, Seed::new(7)).unwrap();
            assert!(report.is_true(), "{} on {}: {report:?}", model.name, executor.name());
        }
    }
}
