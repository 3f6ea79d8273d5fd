//! Does the battery notice? Classifiers that only look robust, and some whose robustness is known exactly.
//!
//! Negative controls must raise a flag: a battery that lets one pass would let a masked defence pass too.
//! Positive controls must raise none, and attacks must agree with what is proved of them.

mod certified;
mod linear;
mod quantised;
#[cfg(test)]
mod tests;

use robin_aggregation::Aggregation;
use robin_core::{Budget, CancelToken, Classifier, Norm, Seed};
use robin_data::{Dataset, DatasetName, Split};
use serde::{Deserialize, Serialize};

use self::certified::Certified;
use self::linear::Linear;
use self::quantised::Quantised;
use crate::battery::transformed::{Affine, Decides, Sigmoid, Transformed};
use crate::battery::{EvaluationContext, Finding, Kind, SUBSET, Scope, Settings, Status, TESTS};
use crate::{Error, Result};

/// What the battery said to one control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// Whether flags must be raised.
    pub negative: bool,
    /// The tests that failed.
    pub flags: Vec<String>,
    /// Whether that is as it must be.
    pub as_expected: bool,
    /// Robust accuracy by the battery's basic attack.
    pub attacked: f64,
    /// The exact robust accuracy, or a proved lower bound of it.
    pub proved: Option<f64>,
    /// Everything that the battery found.
    pub findings: Vec<Finding>,
}

/// Side of the controls' square grey images.
const SIDE: usize = 6;
/// Number of images.
const IMAGES: usize = 48;
const CLASSES: usize = 4;

/// Runs the battery on every control; `tell` hears each one's name.
///
/// # Errors
/// If an attack fails, or [`Error::Core`] when cancelled.
pub fn self_test(seed: Seed, cancel: &CancelToken, mut tell: impl FnMut(&str)) -> Result<Vec<Control>> {
    let data = images(seed)?;
    let budget = Budget { norm: Norm::Linf, epsilon: "0.012".parse()? };
    let teacher = Linear::teacher(SIDE * SIDE, CLASSES, seed);
    // Arms as sure as networks trained to the end.
    let sure = || -> Vec<Box<dyn Classifier>> { teacher.arms(40.0) };
    let merged = Aggregation::MergeBinary.build(sure())?;
    let arms = Aggregation::OneVsAll.build(sure())?;
    let undefended = Linear::fragile(&teacher);
    let sharp =
        Transformed { inner: arms.as_ref(), map: Sigmoid { sharpness: 100.0 }, decides: Decides::Outer };
    let map = Affine { factors: vec![1e4; CLASSES], shifts: vec![0.0; CLASSES] };
    let loud = Transformed { inner: &teacher, map, decides: Decides::Outer };
    let quantised = Quantised { inner: Box::new(teacher.clone()), levels: 16 };
    let certified = Certified::around(&teacher);

    let robust = teacher.robust_accuracy(&data, budget)?;
    let bound = certified.certified_accuracy(&data, budget)?;
    let subject =
        |name, model, kind| ModelUnderTest { name, model, kind, negative: true, proved: Proved::Nothing };
    let proved =
        |name, model, proved| ModelUnderTest { name, model, kind: Kind::Whole, negative: false, proved };
    let subjects = [
        subject("undefended", &undefended as &dyn Classifier, Kind::Whole),
        subject("merge-binary", merged.as_ref(), Kind::Arms),
        subject("sigmoid x 100", &sharp, Kind::Whole),
        subject("scores x 10,000", &loud, Kind::Whole),
        subject("quantised input", &quantised, Kind::Whole),
        proved("linear, closed form", &teacher as &dyn Classifier, Proved::Exactly(robust)),
        proved("certified by intervals", &certified, Proved::AtLeast(bound)),
    ];
    let mut controls = Vec::new();
    for ModelUnderTest { name, model, kind, negative, proved } in subjects {
        tell(name);
        cancel.check()?;
        let settings =
            Settings { kind, budget, scope: Scope::Subset, images: SUBSET, seed, batch_size: 64, cancel };
        let context = EvaluationContext::new(model, &data, settings)?;
        let findings = TESTS.iter().map(|test| context.run(test)).collect::<Result<Vec<_>>>()?;
        let flags: Vec<String> =
            findings.iter().filter(|f| f.status == Status::Fail).map(|f| f.test.clone()).collect();
        let attacked = context.base_accuracy()?;
        let (proved, agrees) = match proved {
            Proved::Nothing => (None, true),
            Proved::Exactly(exact) => (Some(exact), attacked == exact),
            Proved::AtLeast(bound) => (Some(bound), bound <= attacked && bound > 0.0),
        };
        let as_expected = agrees && flags.is_empty() != negative;
        let name = name.to_owned();
        controls.push(Control { name, negative, flags, as_expected, attacked, proved, findings });
    }
    Ok(controls)
}

/// A control on its way to the battery.
struct ModelUnderTest<'a> {
    name: &'static str,
    model: &'a dyn Classifier,
    kind: Kind,
    negative: bool,
    proved: Proved,
}

/// What is known about a control's robust accuracy.
enum Proved {
    Nothing,
    Exactly(f64),
    AtLeast(f64),
}

/// Random grey images of moderate contrast, in pairs of equal pixels, labelled by the teacher.
fn images(seed: Seed) -> Result<Dataset> {
    let teacher = Linear::teacher(SIDE * SIDE, CLASSES, seed);
    let mut stream = seed.derive(robin_core::Purpose::Control, 1).root_stream();
    let pairs = IMAGES * SIDE * SIDE / 2;
    let pixels: Vec<u8> = (0..pairs).flat_map(|_| [64 + stream.below(128) as u8; 2]).collect();
    let labels = pixels
        .chunks_exact(SIDE * SIDE)
        .map(|image| teacher.class_of(&image.iter().map(|&p| f32::from(p) / 255.0).collect::<Vec<_>>()) as u8)
        .collect();
    Ok(Dataset::from_parts(DatasetName::Mnist, Split::Test, [1, SIDE, SIDE], pixels, labels)?)
}

/// Refuses a self-test in which a control did not do what it must.
///
/// # Errors
/// [`Error::Control`] names them.
pub fn assert_expected(controls: &[Control]) -> Result<()> {
    let wrong: Vec<String> =
        controls.iter().filter(|control| !control.as_expected).map(|control| control.name.clone()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::Control { wrong }) }
}
