//! Accuracy under several attacks with its interval, and whether it can be believed.
//!
//! ```text
//! cargo run --release -p robin-ml --example evaluate_and_audit
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

mod digits;

use robin::{Apgd, Loss, Pgd, Square};
use robin_data::Split;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (images, labels) = digits::digits(Split::Train, 2_000)?;
    let network = digits::trained(&images, &labels)?;
    let (images, labels) = digits::digits(Split::Test, 64)?;

    let epsilon = "13/255";
    let attacks = [
        Pgd::linf(epsilon)?.steps(20),
        Apgd::linf(epsilon)?.steps(50).loss(Loss::DlrTargets(3)),
        Square::linf(epsilon)?.queries(200),
    ];
    let audit = robin::audit(&network, &images, &labels, attacks)?;
    let found = &audit.evaluation;
    for (name, one) in &found.attacks {
        println!("{name:<8} leaves {:.2}", one.accuracy());
    }
    println!(
        "clean accuracy {:.2}; within {}: {:.2}, 95% interval {:.2} to {:.2}",
        found.clean_accuracy, found.budget, found.accuracy, found.interval.low, found.interval.high
    );
    println!("verdict: {:?}", audit.verdict());
    for finding in audit.caveats() {
        println!("{}, {}: {}", finding.test, finding.name, finding.note);
    }
    Ok(())
}
