//! An attack on a loss of one's own: away from the label and towards a class that only some images look like.
//!
//! ```text
//! cargo run --release -p robin-ml --example custom_loss
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

mod digits;

use robin::candle::Tensor;
use robin::{Loss, Pgd};
use robin_data::Split;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (images, labels) = digits::digits(Split::Train, 2_000)?;
    let network = digits::trained(&images, &labels)?;
    let (images, labels) = digits::digits(Split::Test, 100)?;

    // The logit of class 8 minus that of the label, one value for each image: never a mean over them.
    let eight = Loss::custom(|logits: &Tensor, labels: &Tensor| {
        let right = logits.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
        logits.narrow(1, 8, 1)?.squeeze(1)? - right
    });
    for (name, loss) in [("cross-entropy", Loss::CrossEntropy), ("towards eight", eight)] {
        let found = robin::attack(&network, &images, &labels, Pgd::linf("25/255")?.steps(20).loss(loss))?;
        let eights = found.predictions.iter().filter(|class| **class == 8).count();
        println!("{name:<14} leaves {:.2} and makes {eights} eights", found.accuracy());
    }
    Ok(())
}
