//! Attacks that the device makes by itself, against the same steps asked for one by one.

use anyhow::ensure;
use candle_core::Tensor;
use robin_aggregation::{OneVsAll, StrategyName};
use robin_attacks::{Loss, Pgd, Start, StepSize};
use robin_core::{
    Attack, Batch, Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Objective,
    PgdRun, Seed, Target, host,
};
use robin_cuda::Precision;
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_nn::{Executor, Parameters};

use super::model_under_test::ModelUnderTest;
use super::networks::apart;
use super::report::Finding;

const IMAGES: u32 = 20;
const ARMS: u64 = 4;
const STEPS: usize = 5;

/// How far images may have moved apart, relative to how far they moved: a gradient near 0 may have either sign, and a fast
/// algorithm may sum in another order each time.
fn allowed(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 0.1,
        Precision::Tf32 => 0.2,
        Precision::Bf16 => 0.5,
    }
}

pub(super) fn agree(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let data = Dataset::load(DatasetName::Cifar10, Split::Test, &Source::Embedded)?;
    let ids: Vec<ExampleId> = (0..IMAGES).map(ExampleId::first).collect();
    let batch = data.batch(&ids, &LabelMap::Identity)?;
    let graph = robin_models::build("cnn2-small", Some(8), data.shape(), 2)?;
    let mut findings = Vec::new();
    for (precision, cuda) in subject.executors() {
        let arm = |seed| cuda.classifier(&graph, &Parameters::initialise(&graph, Seed::new(seed)));
        let model = OneVsAll::new((0..ARMS).map(arm).collect::<Result<_, _>>()?)?;
        // Nothing is misclassified before it is attacked.
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
                ensure!(
                    runs_there(&model, &pgd, &*objectives[0], &batch)?,
                    "{strategy} is not made on the device"
                );
                let expected = pgd.ascend(&model, &*objectives[0], &batch, seed, &cancel)?;
                let target = Target { model: &model, criterion: &Misclassified, cancel: &cancel };
                let found = pgd.perturb(&target, objectives, &batch, seed)?.last.images;
                let moved = |images: &Tensor| host::to_vec(&(images - &batch.images)?);
                let what = format!("pgd in {norm} with {strategy}, {precision}: moves");
                let found = apart(&moved(&found)?, &moved(&expected)?);
                findings.push(Finding { what, found, allowed: allowed(precision) });
            }
        }
    }
    Ok(findings)
}

/// Whether the device makes this attack, and leaves it not to the host.
fn runs_there(model: &OneVsAll, pgd: &Pgd, objective: &dyn Objective, batch: &Batch) -> anyhow::Result<bool> {
    let (Some(on_device_pgd), Some(spec)) = (model.on_device_pgd(), objective.spec()) else {
        return Ok(false);
    };
    let images = host::to_vec(&batch.images)?;
    let Pgd { budget, steps, step_size, .. } = *pgd;
    let cancel = &CancelToken::new();
    let run = PgdRun { budget, steps, step_size, clean: &images, start: &images, spec: &spec, cancel };
    Ok(on_device_pgd.run_pgd(&run)?.is_some())
}
