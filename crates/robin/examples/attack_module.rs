//! Attacks a network of candle's layers, and hears of every step.
//!
//! ```text
//! cargo run --release -p robin-ml --example attack_module
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

mod digits;

use robin::Pgd;
use robin_data::Split;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (images, labels) = digits::digits(Split::Train, 2_000)?;
    let network = digits::trained(&images, &labels)?;
    let (images, labels) = digits::digits(Split::Test, 100)?;

    let attack = Pgd::linf("25/255")?.steps(20).restarts(2).seed(1).on_step(|step| {
        if step.number % 21 == 0 {
            println!("a run begins on {} images", step.objective.len());
        }
    });
    let found = robin::attack(&network, &images, &labels, attack)?;
    println!("clean accuracy {:.2}, under attack {:.2}", found.clean_accuracy(), found.accuracy());
    for row in (0..100).filter(|&row| found.misclassified[row] && !found.clean_misclassified[row]).take(3) {
        let (was, is) = (found.clean_predictions[row], found.predictions[row]);
        println!("image {row}: {was} became {is}, no pixel moved by more than {:.4}", found.sizes[row]);
    }
    if let Some(warning) = found.warning {
        println!("warning: {warning}");
    }
    Ok(())
}
