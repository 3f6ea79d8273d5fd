//! Crafted on one classifier, shown to another.

use std::sync::atomic::{AtomicU32, Ordering};

use candle_core::Tensor;
use robin_attacks::{Aim, Loss, Pgd, Start, StepSize, transfer};
use robin_core::{
    Budget, CancelToken, Classifier, Columns, Norm, Result, Scores, Seed, host, scores::ranked,
};
use robin_testkit::Linear;

const SHAPE: [usize; 3] = [1, 3, 4];
const SEED: Seed = Seed::new(11);

fn pgd(epsilon: &str) -> Pgd {
    let budget = Budget { norm: Norm::Linf, epsilon: epsilon.parse().unwrap() };
    let step_size = StepSize::STANDARD.pixels(budget.epsilon, 20).unwrap();
    Pgd { budget, steps: 20, step_size, restarts: 1, start: Start::UniformInBall }
}

/// Counts how often it is asked, and never answers with a gradient.
struct Watched<'a>(&'a Linear, AtomicU32);

impl Classifier for Watched<'_> {
    fn num_classes(&self) -> usize {
        self.0.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.scores(images, columns)
    }

    fn forward<'a>(&'a self, _: &Tensor, _: &Columns) -> Result<Box<dyn robin_core::Pass + 'a>> {
        panic!("the judged classifier is never differentiated")
    }
}

#[test]
fn the_judged_classifier_is_asked_at_the_end_only_and_the_attack_runs_to_its_last_step() {
    let (surrogate, judged) = (Linear::seeded(4, SHAPE, SEED), Linear::seeded(4, SHAPE, Seed::new(12)));
    let batch = judged.batch(10, SEED);
    for (aim, asked) in [(Aim::Away(Loss::Ce), 1), (Aim::RunnerUp, 2)] {
        let watched = Watched(&judged, AtomicU32::new(0));
        let cancel = CancelToken::new();
        let found = transfer(&surrogate, &pgd("0.3"), aim, &watched, &batch, SEED, &cancel).unwrap();
        assert_eq!(watched.1.load(Ordering::Relaxed), asked);
        assert!(found.cost.iter().all(|cost| cost.backward == 20), "nothing stopped early");
        assert_eq!(found.hit.is_some(), aim == Aim::RunnerUp);
        let judged_as = judged.decide(&judged.scores(&found.images, &Columns::All).unwrap()).unwrap();
        assert_eq!(judged_as, found.predictions);
    }
}

#[test]
fn onto_itself_it_is_the_white_box_attack_and_the_runner_up_is_hit() {
    let model = Linear::seeded(4, SHAPE, SEED);
    let batch = model.batch(20, SEED);
    let cancel = CancelToken::new();
    let aim = Aim::Away(Loss::Margin);
    let found = transfer(&model, &pgd("0.2"), aim, &model, &batch, SEED, &cancel).unwrap();
    for (row, clean) in host::to_vec(&batch.images).unwrap().chunks_exact(12).enumerate() {
        let breakable = model.worst_margin(clean, batch.labels[row], pgd("0.2").budget) > 0.0;
        assert_eq!(found.robust[row], !breakable, "{row}");
    }

    let found = transfer(&model, &pgd("0.3"), Aim::RunnerUp, &model, &batch, SEED, &cancel).unwrap();
    let clean = model.scores(&batch.images, &Columns::All).unwrap().to_vec().unwrap();
    let targets: Vec<u32> = clean.chunks_exact(4).map(|row| ranked(row)[1]).collect();
    let hit = found.hit.unwrap();
    for row in 0..20 {
        assert_eq!(hit[row], found.predictions[row] == targets[row]);
        assert_eq!(found.robust[row], found.predictions[row] == batch.labels[row]);
        assert!(!(hit[row] && found.robust[row]));
    }
    assert!(hit.iter().filter(|hit| **hit).count() >= 18, "{hit:?}");
}
