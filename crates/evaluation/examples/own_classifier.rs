//! Attacks a classifier that is written with plain candle layers: implement two methods, and everything else
//! is here.
//!
//! ```text
//! cargo run --release -p robin-ml-evaluation --example own_classifier
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use candle_core::{Device, Tensor};
use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss, Start, StepSize};
use robin_core::{
    Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Result, Scores, Seed,
};
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_evaluation::battery::{EvaluationContext, Kind, SUBSET, Scope, Settings, TESTS};
use robin_evaluation::external_model::{BadGradients, check};
use robin_evaluation::{Evaluation, Options, scattered};

/// A linear layer on the mean images of each class; your network takes its place.
///
/// Not every operation of candle has a right gradient: `max_pool2d`, for one, has not. `check` below finds
/// out.
struct Mine {
    weight: Tensor,
    bias: Tensor,
}

impl Classifier for Mine {
    fn num_classes(&self) -> usize {
        10
    }

    /// Logits of images in `[0, 1]`; never probabilities. The backward pass is candle's autograd.
    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        columns.validate(self.num_classes())?;
        // One image at a time: candle's product may sum in another order in a larger batch.
        let rows = (0..images.dims()[0])
            .map(|row| images.narrow(0, row, 1)?.flatten_from(1)?.matmul(&self.weight))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let all = Tensor::cat(&rows, 0)?.broadcast_add(&self.bias)?;
        Scores::new(match columns {
            Columns::All => all,
            Columns::One(column) => all.narrow(1, *column, 1)?,
            Columns::PerExample(table) => {
                let n = all.dims()[0];
                let wanted = Tensor::from_slice(&table.indices, (n, table.width), &Device::Cpu)?;
                all.gather(&wanted, 1)?
            }
        })
    }
}

impl Mine {
    /// The nearest mean image: `|x - m|^2` is linear in x but for a part that all classes share.
    fn of_means(train: &Dataset) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let ids: Vec<ExampleId> = (0..train.len() as u32).map(ExampleId::first).collect();
        let batch = train.batch(&ids, &LabelMap::Identity)?;
        let images = batch.images.flatten_from(1)?.to_vec2::<f32>()?;
        let pixels = images[0].len();
        let (mut weight, mut bias) = (vec![0.0_f32; pixels * 10], vec![0.0_f32; 10]);
        for class in 0..10 {
            let own: Vec<&Vec<f32>> = images
                .iter()
                .zip(&batch.labels)
                .filter(|(_, label)| **label as usize == class)
                .map(|(image, _)| image)
                .collect();
            for pixel in 0..pixels {
                let mean = own.iter().map(|image| image[pixel]).sum::<f32>() / own.len() as f32;
                weight[pixel * 10 + class] = 2.0 * mean;
                bias[class] -= mean * mean;
            }
        }
        let weight = Tensor::from_vec(weight, (pixels, 10), &Device::Cpu)?;
        Ok(Self { weight, bias: Tensor::from_vec(bias, 10, &Device::Cpu)? })
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let load = |split| Dataset::load(DatasetName::Mnist, split, &Source::Embedded);
    let (train, test) = (load(Split::Train)?, load(Split::Test)?.take(200)?);
    let mine = Mine::of_means(&train)?;

    // Before anything else: is the gradient that of the scores?
    let some = scattered(test.len(), 64, Seed::new(0));
    let ids: Vec<ExampleId> = some.into_iter().map(ExampleId::first).collect();
    let report = check(&mine, &test.batch(&ids, &LabelMap::Identity)?, BadGradients::Refuse, Seed::new(0))?;
    println!("gradient: median disagreement {:.1e}", report.median_error);

    let (cancel, seed) = (CancelToken::new(), Seed::new(0));
    let evaluation = Evaluation { model: &mine, criterion: &Misclassified, data: &test, seed };
    let mut options = Options { batch_size: 64, cancel: &cancel, observer: &mut () };
    let clean = evaluation.clean(&mut options)?;
    println!("clean accuracy {:.3}", clean.accuracy());
    let softmax = StrategyName::Softmax.build(Loss::Margin)?;
    for epsilon in ["5/255", "10/255", "25/255"] {
        let budget = Budget { norm: Norm::Linf, epsilon: epsilon.parse()? };
        let (step_size, start) = (StepSize::STANDARD, Start::UniformInBall);
        let attack = Config::Pgd(robin_attacks::pgd::Settings { steps: 20, restarts: 1, step_size, start })
            .build(budget)?;
        let found = evaluation.robust(&clean, attack.as_ref(), softmax.as_ref(), &mut options)?;
        println!("{budget}: robust accuracy {:.3}", found.worst.accuracy());
    }

    // And can these numbers be believed?
    let budget = Budget { norm: Norm::Linf, epsilon: "10/255".parse()? };
    let (kind, scope) = (Kind::Whole, Scope::Subset);
    let settings = Settings { kind, budget, scope, images: SUBSET, seed, batch_size: 64, cancel: &cancel };
    let context = EvaluationContext::new(&mine, &test, settings)?;
    for test in TESTS {
        let finding = context.run(test)?;
        println!("{:<4} {:?}: {}", finding.test, finding.status, finding.note);
    }
    Ok(())
}
