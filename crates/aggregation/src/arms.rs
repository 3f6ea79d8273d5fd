//! What is an arm.

use robin_core::Classifier;

use crate::{Error, Result};

/// Checks that every network has two outputs, or every one has one.
///
/// # Errors
/// [`Error::TooFewArms`], [`Error::ArmOutputs`] or [`Error::MixedOutputs`].
pub(crate) fn check(arms: &[Box<dyn Classifier>]) -> Result<()> {
    let outputs = arms.first().ok_or(Error::TooFewArms { arms: 0 })?.num_classes();
    for (arm, classifier) in arms.iter().enumerate() {
        match classifier.num_classes() {
            found if !(1..=2).contains(&found) => return Err(Error::ArmOutputs { arm, outputs: found }),
            found if found != outputs => {
                return Err(Error::MixedOutputs { arm, outputs: found, others: outputs });
            }
            _ => {}
        }
    }
    Ok(())
}
