//! An evaluation, and whether it can be believed.

use candle_core::{DType, Module, Tensor};
use robin_core::{Batch, Budget, CancelToken, Classifier, ExampleId, Seed};
use robin_data::{Dataset, LabelMap, Split};
use robin_evaluation::battery::{EvaluationContext, Finding, Kind, SUBSET, Scope, Settings, Status, TESTS};
use robin_evaluation::external_model::{
    GradientProbe, GradientReport, GradientVerdict, probe_gradient, refuse_probabilities,
};
use robin_evaluation::scattered;

use crate::evaluation::{evaluate_input, joined};
use crate::input::Input;
use crate::serve::{Shape, serve};
use crate::{Attack, Error, Evaluation, Result};

/// Images that a gradient is probed at, at most.
const PROBED: usize = 64;
/// Images of a pass of the battery; every pass has as many, so that verdicts do not depend on companions.
const BLOCK: usize = 16;

/// What is known of a module's robustness, and of that knowledge.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Audit {
    /// Whether the module's gradients are those of its logits. If not, attacks say nothing, whatever the numbers.
    pub gradients: GradientReport,
    /// Accuracy under the attacks.
    pub evaluation: Evaluation,
    /// The battery's answers, on 64 images from all over the set.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// The worst that was found: [`Status::Fail`] where the accuracy must not be believed.
    pub fn verdict(&self) -> Status {
        let any = |status: Status| self.findings.iter().any(|finding| finding.status == status);
        if self.gradients.verdict == GradientVerdict::False || any(Status::Fail) {
            Status::Fail
        } else if self.gradients.verdict == GradientVerdict::Flat
            || self.evaluation.warnings().next().is_some()
            || any(Status::Warn)
        {
            Status::Warn
        } else {
            Status::Pass
        }
    }

    /// The findings that are not as they should be.
    pub fn caveats(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.status, Status::Warn | Status::Fail))
    }
}

/// Probes the module's gradients, runs [`crate::evaluate()`], and asks of the result what makes robustness look larger than it
/// is: masked gradients, too few steps, scores of odd scale, and some twenty more. Images are of 8 bits (whole 255ths).
///
/// A false gradient is no error here, but the first thing in the [`Audit`]; everything after it then fails.
///
/// # Errors
/// As [`crate::evaluate()`]; [`Error::NotEightBit`]; [`robin_evaluation::Error::Probabilities`] for a module that ends in a
/// softmax.
pub fn audit<'a, M: Module + ?Sized>(
    module: &M,
    images: &Tensor,
    labels: &Tensor,
    attacks: impl IntoIterator<Item = Attack<'a>>,
) -> Result<Audit> {
    let attacks = joined(attacks)?;
    let (budget, batch_size) = (attacks[0].budget, attacks[0].batch_size);
    let input = Input::new(module, images, labels, batch_size)?;
    refuse_probabilities(&input.clean)?;
    let data = dataset(&input)?;
    let shape = Shape { classes: input.classes, device: input.images.device().clone(), block: Some(BLOCK) };
    let gradients = serve(module, &shape, None, |served| probe(served, &data))?;
    let evaluation = evaluate_input(module, &input, attacks)?;
    let findings = serve(module, &shape, None, |served| battery(served, &data, budget))?;
    Ok(Audit { gradients, evaluation, findings })
}

/// The images as the bytes that they came from.
fn dataset(input: &Input) -> Result<Dataset> {
    let levels = (&input.images * 255.0)?.round()?;
    let off = ((&levels / 255.0)? - &input.images)?.abs()?.flatten_all()?;
    if off.max(0)?.to_scalar::<f32>()? > 1e-6 {
        let at = off.argmax(0)?.to_scalar::<u32>()? as usize;
        let value = input.images.flatten_all()?.get(at)?.to_scalar::<f32>()?;
        return Err(Error::NotEightBit { value });
    }
    let pixels = levels.to_dtype(DType::U8)?.flatten_all()?.to_vec1::<u8>()?;
    let narrow = |&label: &u32| u16::try_from(label).map_err(|_| Error::TooManyClasses { label });
    let labels = input.labels.iter().map(narrow).collect::<Result<Vec<u16>>>()?;
    let (_, channels, height, width) = input.images.dims4()?;
    let shape = [channels, height, width];
    Ok(Dataset::with_labels("images", input.classes, Split::Test, shape, pixels, labels)?)
}

/// Whether gradients are true, at images from all over the set.
fn probe(model: &dyn Classifier, data: &Dataset) -> Result<GradientReport> {
    let seed = Seed::new(0);
    let ids: Vec<ExampleId> = scattered(data.len(), PROBED, seed).into_iter().map(ExampleId::first).collect();
    let Batch { images, .. } = data.batch(&ids, &LabelMap::Identity)?;
    Ok(probe_gradient(model, &images, GradientProbe::STANDARD, seed)?)
}

/// Every test's answer.
fn battery(model: &dyn Classifier, data: &Dataset, budget: Budget) -> Result<Vec<Finding>> {
    let (cancel, seed) = (CancelToken::new(), Seed::new(0));
    let (kind, scope) = (Kind::Whole, Scope::Subset);
    let settings =
        Settings { kind, budget, scope, images: SUBSET, seed, batch_size: PROBED, cancel: &cancel };
    let context = EvaluationContext::new(model, data, settings)?;
    TESTS.iter().map(|test| Ok(context.run(test)?)).collect()
}
