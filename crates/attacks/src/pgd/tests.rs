//! Ten steps on a small network, step for step as PyTorch makes them.

use candle_core::Tensor;
use robin_core::{Misclassified, Scores};
use robin_testkit::{Golden, assert_close, golden};

use super::*;
use crate::Loss;

/// `cnn2-small` of width 4 in candle's operations, with candle's autograd as its backward pass.
struct Network(Golden);

impl Network {
    fn layer(&self, name: &str) -> (Tensor, Tensor) {
        let weight = self.0.tensor(&format!("weights.{name}.weight"));
        (weight, self.0.tensor(&format!("weights.{name}.bias")))
    }

    fn convolution(&self, name: &str, x: &Tensor) -> candle_core::Result<Tensor> {
        let (weight, bias) = self.layer(name);
        x.conv2d(&weight, 1, 2, 1, 1)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?.relu()
    }

    fn linear(&self, name: &str, x: &Tensor) -> candle_core::Result<Tensor> {
        let (weight, bias) = self.layer(name);
        x.matmul(&weight.t()?)?.broadcast_add(&bias)
    }
}

impl Classifier for Network {
    fn num_classes(&self) -> usize {
        10
    }

    fn scores(&self, images: &Tensor, _columns: &Columns) -> Result<Scores> {
        let x = self.convolution("conv2", &self.convolution("conv1", images)?)?.flatten_from(1)?;
        Scores::new(self.linear("fc2", &self.linear("fc1", &x)?.relu()?)?)
    }
}

#[test]
fn paths_and_objectives_are_pytorchs() {
    let network = Network(golden("cnn2-small"));
    let path = golden("pgd");
    let clean = Images::new(&path.tensor("images")).unwrap();
    let labels = path.integers("labels");
    let objective = Loss::Ce.against(labels.clone());
    for (norm, epsilon) in [("linf", "25/255"), ("l2", "2.0")] {
        let budget = Budget { norm: norm.parse().unwrap(), epsilon: epsilon.parse().unwrap() };
        let step_size = 0.25 * budget.epsilon.get();
        let pgd = Pgd { budget, steps: 10, step_size, restarts: 1, start: Start::Clean };
        let start = || Images::new(&path.tensor(&format!("{norm}.start"))).unwrap();
        let cancel = CancelToken::new();

        let iterated = pgd.iterate(&network, &*objective, &clean, start(), &cancel).unwrap();
        let expected = path.f64(&format!("{norm}.final.float64"));
        assert_close(iterated.values(), &expected, 2e-5);

        let target = Target { model: &network, criterion: &Misclassified, cancel: &cancel };
        let run = pgd.run(&target, &*objective, &clean, start()).unwrap();
        assert_eq!(run.last.values(), iterated.values());
        let objectives = path.f64(&format!("{norm}.objectives.float64"));
        let (last, n) = (&objectives[10 * labels.len()..], labels.len());
        assert_close(&run.last_values, last, 2e-5);
        let highest = |row| objectives.iter().skip(row).step_by(n).copied().fold(f64::NEG_INFINITY, f64::max);
        assert_close(&run.best.values, &(0..n).map(highest).collect::<Vec<_>>(), 2e-5);
    }
}
