//! Beside the programs of others, on the same weights and images, as far as a quick test goes. The example `compare`
//! does it for all attacks at their full length.

mod model_under_test;

use approx::assert_abs_diff_eq;
use model_under_test::ModelUnderTest;
use robin_attacks::ATTACKS;
use robin_core::Norm;

#[test]
fn ten_steps_from_the_clean_image_end_where_torchattacks_ends() {
    for name in ["cnn2-small", "resnet18"] {
        let subject = ModelUnderTest::load(name);
        for budget in subject.budgets() {
            for (precision, model) in
                [("f64", subject.wide.as_ref().unwrap() as _), ("f32", &*subject.classifier)]
            {
                let path = subject.path(budget, model).unwrap();
                let what = format!("{} {} in {precision}: {path}", subject.name, budget.norm);
                assert!(precision == "f32" || path.objective <= 1e-4, "{what}");
                match budget.norm {
                    // A sign that differs moves its pixel by a step or more.
                    Norm::Linf => assert!(path.equal >= 0.999, "{what}"),
                    Norm::L2 => {
                        assert!(path.stable * 2 > path.images, "{what}");
                        assert!(path.largest_of_stable <= 1e-4, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn ddn_finds_the_distances_of_adv_lib() {
    for name in ["cnn2-small", "one-vs-all"] {
        let subject = ModelUnderTest::load(name);
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
        assert_abs_diff_eq!(median, 1.0, epsilon = 0.02);
    }
}

/// Starts differ, so verdicts on which its own runs differ may; where three of them agree, ours may not.
#[test]
fn apgd_breaks_what_the_authors_program_breaks() {
    let apgd = ATTACKS.iter().find(|entry| entry.name == "apgd").unwrap();
    for name in ["cnn2-small", "one-vs-all"] {
        let subject = ModelUnderTest::load(name);
        for budget in subject.budgets() {
            let n = 60;
            let norm = budget.norm;
            let theirs = [2, 3, 4]
                .map(|seed| subject.numbers.integers(&format!("pyautoattack.apgd-ce.{norm}.{seed}")));
            let [ours, _] = subject.misclassified(apgd.example, budget, apgd.loss, n, 4).unwrap();
            let unanimous = |at: &usize| theirs.iter().all(|run| run[*at] == theirs[0][*at]);
            let agreed: Vec<usize> = (0..n).filter(unanimous).collect();
            assert!(agreed.len() + 5 >= n, "{name} {norm}: its runs agree on {} only", agreed.len());
            let differing = agreed.iter().filter(|&&at| ours[at] != (theirs[0][at] == 1)).count();
            let misclassified = ours.iter().filter(|misclassified| **misclassified).count();
            assert!(
                (5..n - 5).contains(&misclassified),
                "{name} {norm}: {misclassified} misclassified say little"
            );
            assert!(differing <= 1, "{name} {norm}: {differing} verdicts differ");
        }
    }
}
