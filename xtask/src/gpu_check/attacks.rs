//! Attacks that the device makes by itself, against the same steps asked for one by one.

use anyhow::ensure;
use candle_core::Tensor;
use robin_aggregation::{OneVsAll, StrategyName};
use robin_attacks::{Loss, Pgd, Start, StepSize};
use robin_core::{
    Attack, Batch, Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Seed, Target,
    host,
};
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_nn::{Executor, Parameters};

use super::networks::apart;
use super::report::Finding;
use super::subject::Subject;

const IMAGES: u32 = 20;
const ARMS: u64 = 4;
const STEPS: usize = 5;
/// How far images may have moved apart, relative to how far they moved: a gradient near 0 may have either sign.
const ALLOWED: f64 = 0.1;

pub(super) fn agree(subject: &Subject) -> anyhow::Result<Vec<Finding>> {
    let data = Dataset::load(DatasetName::Cifar10, Split::Test, &Source::Embedded)?;
    let ids: Vec<ExampleId> = (0..IMAGES).map(ExampleId::first).collect();
    let batch = data.batch(&ids, &LabelMap::Identity)?;
    let graph = robin_models::build("cnn2-small", Some(8), data.shape(), 2)?;
    let mut findings = Vec::new();
    for (precision, cuda) in subject.executors() {
        let arm = |seed| cuda.classifier(&graph, &Parameters::initialise(&graph, Seed::new(seed)));
        let model = OneVsAll::new((0..ARMS).map(arm).collect::<Result<_, _>>()?)?;
        ensure!(model.climber().is_some(), "{precision}: the arms are not joined on their device");
        // Nothing is broken before it is attacked.
        let batch = Batch { labels: model.predict(&batch.images)?, ..batch.clone() };
        let clean = model.scores(&batch.images, &Columns::All)?;
        for strategy in [StrategyName::Softmax, StrategyName::BestArm, StrategyName::Top2] {
            for (norm, epsilon) in [(Norm::L2, "1.0"), (Norm::Linf, "8/255")] {
                let objectives = &strategy.build(Loss::Ce)?.prepare(&clean, &batch)?[..1];
                let budget = Budget { norm, epsilon: epsilon.parse()? };
                let step_size = StepSize::STANDARD.pixels(budget.epsilon, STEPS)?;
                let start = Start::UniformInBall;
                let pgd = Pgd { budget, steps: STEPS, step_size, restarts: 1, start };
                let (seed, cancel) = (Seed::new(9), CancelToken::new());
                let expected = pgd.ascend(&model, &*objectives[0], &batch, seed, &cancel)?;
                let target = Target { model: &model, judge: &Misclassified, cancel: &cancel };
                let found = pgd.perturb(&target, objectives, &batch, seed)?.last.images;
                let moved = |images: &Tensor| host::to_vec(&(images - &batch.images)?);
                let what = format!("pgd in {norm} with {strategy}, {precision}: moves");
                let found = apart(&moved(&found)?, &moved(&expected)?);
                findings.push(Finding { what, found, allowed: ALLOWED });
            }
        }
    }
    Ok(findings)
}
