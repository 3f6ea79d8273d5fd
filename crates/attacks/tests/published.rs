//! Beside the programs of others, on the same weights and images, as far as a quick test goes. The example `compare`
//! does it for all attacks at their full length.

mod subject;

use robin_attacks::{ATTACKS, Loss, Pgd, Start};
use robin_core::{CancelToken, Norm, Seed, host};
use subject::Subject;

#[test]
fn ten_steps_from_the_clean_image_end_where_torchattacks_ends() {
    for name in ["cnn2-small", "resnet18"] {
        let subject = Subject::load(name);
        for budget in subject.budgets() {
            let norm = budget.norm;
            let theirs = subject.numbers.f32(&format!("path.{norm}.final"));
            let (batch, _) = subject.first(subject.numbers.shape(&format!("path.{norm}.final"))[0]);
            let step_size = 2.5 * budget.epsilon.get() / 10.0;
            let attack = Pgd { budget, steps: 10, step_size, restarts: 1, start: Start::Clean };
            let objective = Loss::Ce.against(batch.labels.clone());
            let model = &*subject.classifier;
            let ours = attack.ascend(model, &*objective, &batch, Seed::new(0), &CancelToken::new()).unwrap();
            let ours = host::to_vec(&ours).unwrap();
            // Where its f32 and f64 part, rounding decides a step, and not the program.
            let rounding = subject.numbers.f64(&format!("path.{norm}.float64"));
            let length = ours.len() / batch.len();
            let far = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
            let stable = far.clone().enumerate().filter(|(at, _)| rounding[at / length] <= 1e-5);
            match norm {
                // A sign that rounding decides moves its pixel by a step or more.
                Norm::Linf => {
                    let apart = far.filter(|&far| far > 1e-6).count();
                    assert!(
                        apart * 1000 <= ours.len(),
                        "{} {norm}: {apart} of {} pixels",
                        subject.name,
                        ours.len()
                    );
                }
                Norm::L2 => {
                    let largest = stable.map(|(_, far)| far).fold(0.0, f32::max);
                    assert!(rounding.iter().filter(|&&far| far <= 1e-5).count() * 2 > batch.len());
                    assert!(largest <= 1e-4, "{} {norm}: {largest}", subject.name);
                }
            }
        }
    }
}

#[test]
fn ddn_finds_the_distances_of_adv_lib() {
    for name in ["cnn2-small", "one-vs-all"] {
        let subject = Subject::load(name);
        let theirs = &subject.numbers.f64("adv-lib.ddn.float64")[..40];
        let ours = subject.distances("ddn", Norm::L2, theirs.len()).unwrap();
        let pairs = || ours.iter().zip(theirs);
        assert!(
            pairs().all(|(a, b)| (*a == 0.0) == (*b == 0.0)),
            "what is wrong when clean is at distance 0"
        );
        let mut ratios: Vec<f64> = pairs().filter(|(a, _)| **a > 0.0).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        assert!(ratios.len() > 20, "{name}: {}", ratios.len());
        let median = ratios[ratios.len() / 2];
        assert!((median - 1.0).abs() < 0.02, "{name}: {median}");
    }
}

/// Starts differ, so verdicts on which its own runs differ may; where three of them agree, ours may not.
#[test]
fn apgd_breaks_what_the_authors_program_breaks() {
    let apgd = ATTACKS.iter().find(|entry| entry.name == "apgd").unwrap();
    for name in ["cnn2-small", "one-vs-all"] {
        let subject = Subject::load(name);
        for budget in subject.budgets() {
            let n = 60;
            let norm = budget.norm;
            let theirs = [2, 3, 4]
                .map(|seed| subject.numbers.integers(&format!("pyautoattack.apgd-ce.{norm}.{seed}")));
            let [ours, _] = subject.broken(apgd.example, budget, apgd.loss, n, 4).unwrap();
            let unanimous = |at: &usize| theirs.iter().all(|run| run[*at] == theirs[0][*at]);
            let agreed: Vec<usize> = (0..n).filter(unanimous).collect();
            assert!(agreed.len() + 5 >= n, "{name} {norm}: its runs agree on {} only", agreed.len());
            let differing = agreed.iter().filter(|&&at| ours[at] != (theirs[0][at] == 1)).count();
            let broken = ours.iter().filter(|broken| **broken).count();
            assert!((5..n - 5).contains(&broken), "{name} {norm}: {broken} broken say little");
            assert!(differing <= 1, "{name} {norm}: {differing} verdicts differ");
        }
    }
}
