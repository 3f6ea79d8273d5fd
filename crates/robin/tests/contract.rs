//! What the facade promises: it returns what the attacks' crate returns, for modules and closures alike, with gradients that
//! are true, and without images on the host.

mod toys;

use robin::candle::{Device, Module, Tensor};
use robin::{Attack, Budget, Found, Loss, Norm, Pgd, Start};
use robin_attacks::{ATTACKS, Config, Loss as Listed, StepSize};
use robin_core::{
    Batch, CancelToken, Classifier, Columns, ExampleId, Misclassified, Scores, Seed, Target, host,
};
use toys::{SHAPE, images, network};

/// The toy network as the attacks' crate wants it.
struct Plain<M>(M);

// The module is on one thread only, which is what the facade is for.
impl<M: Module + Send + Sync> Classifier for Plain<M> {
    fn num_classes(&self) -> usize {
        toys::CLASSES
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> robin_core::Result<Scores> {
        assert_eq!(columns, &Columns::All);
        Scores::new(self.0.forward(images)?)
    }
}

fn budgets() -> [Budget; 2] {
    [(Norm::Linf, "0.04"), (Norm::L2, "0.3")]
        .map(|(norm, epsilon)| Budget { norm, epsilon: epsilon.parse().unwrap() })
}

/// The attack by the attacks' crate alone, on the images that are right when clean: images, misclassified, zero gradients.
fn directly(
    config: Config,
    budget: Budget,
    loss: Listed,
    images: &Tensor,
    labels: &[u32],
) -> (Vec<f32>, Vec<bool>) {
    let model = Plain(toys::forward());
    let n = labels.len();
    let all =
        Batch::new(images.clone(), labels.to_vec(), (0..n as u32).map(ExampleId::first).collect()).unwrap();
    let clean = model.scores(images, &Columns::All).unwrap();
    let predictions = clean.arg_max().unwrap();
    let right: Vec<usize> = (0..n).filter(|&row| predictions[row] == labels[row]).collect();
    let batch = all.select(&right).unwrap();
    let clean = Scores::new(host::select(clean.tensor(), &right).unwrap()).unwrap();
    let target = Target { model: &model, criterion: &Misclassified, cancel: &CancelToken::new() };
    let objectives = loss.prepare(&clean, &batch.labels).unwrap();
    let found = config.build(budget).unwrap().perturb(&target, &objectives, &batch, Seed::new(5)).unwrap();
    let mut misclassified = vec![true; n];
    right
        .iter()
        .zip(&found.worst.verdicts)
        .for_each(|(&row, verdict)| misclassified[row] = verdict.misclassified);
    let moved = host::replace(images, &right, &found.worst.images).unwrap();
    (host::to_vec(&moved).unwrap(), misclassified)
}

#[test]
fn every_attack_returns_what_the_attacks_crate_returns_bit_for_bit() {
    let (images, labels) = images(12);
    let tensor = Tensor::from_slice(&labels, labels.len(), &Device::Cpu).unwrap();
    let mut misclassified = 0;
    let pgd = |steps, restarts, start| {
        Config::Pgd(robin_attacks::pgd::Settings { steps, restarts, step_size: StepSize::STANDARD, start })
    };
    let extra = [pgd(7, 3, Start::UniformInBall), pgd(3, 1, Start::Clean), pgd(5, 2, Start::UniformDistance)];
    for budget in budgets() {
        let listed = ATTACKS.iter().filter(|entry| entry.norms.contains(&budget.norm));
        let listed = listed.map(|entry| (entry.brief, entry.loss));
        for (config, loss) in listed.chain(extra.map(|config| (config, Listed::MarginT(2)))) {
            let (expected, flags) = directly(config, budget, loss, &images, &labels);
            let attack = Attack::new(config, budget).loss(loss).seed(5);
            let found = robin::attack(&network(), &images, &tensor, attack).unwrap();
            assert_eq!(found.misclassified, flags, "{config:?} {budget}");
            assert!(host::to_vec(&found.images).unwrap() == expected, "{config:?} {budget}: other images");
            misclassified +=
                (0..12).filter(|&row| found.misclassified[row] && !found.clean_misclassified[row]).count();
        }
    }
    assert!(misclassified > 24, "a test in which nothing breaks compares little");
}

#[test]
fn a_closure_is_the_module_and_batches_change_nothing() {
    let (images, labels) = images(11);
    let labels = Tensor::from_slice(&labels, 11, &Device::Cpu).unwrap();
    let attack = |size| Pgd::linf("0.04").unwrap().batch_size(size);
    let values =
        |found: Found| (host::to_vec(&found.images).unwrap(), found.predictions, found.misclassified);
    let module = robin::attack(&network(), &images, &labels, attack(128)).unwrap();
    let sequential = toys::sequential();
    let boxed = robin::attack(&sequential, &images, &labels, attack(128)).unwrap();
    let closure = robin::attack(&|x: &Tensor| network().forward(x), &images, &labels, attack(4)).unwrap();
    let expected = values(module);
    assert!(values(closure) == expected && values(boxed) == expected);
}

#[test]
fn results_tell_the_truth() {
    let (images, labels) = images(24);
    let tensor = Tensor::from_slice(&labels, 24, &Device::Cpu).unwrap();
    let predict = |images: &Tensor| -> Vec<u32> {
        network().forward(images).unwrap().argmax(1).unwrap().to_vec1().unwrap()
    };
    for budget in budgets() {
        let config = Config::Pgd(robin_attacks::pgd::Settings {
            steps: 8,
            restarts: 1,
            step_size: StepSize::STANDARD,
            start: Start::UniformInBall,
        });
        let found = robin::attack(&network(), &images, &tensor, Attack::new(config, budget)).unwrap();
        budget.verify(&images, &found.images).unwrap();
        assert_eq!(found.predictions, predict(&found.images));
        assert_eq!(found.clean_predictions, predict(&images));
        for (row, &label) in labels.iter().enumerate() {
            assert_eq!(found.misclassified[row], found.predictions[row] != label);
            assert_eq!(
                found.sizes[row] == 0.0,
                found.clean_misclassified[row],
                "what is right when clean is moved"
            );
        }
        assert!(found.accuracy() < found.clean_accuracy() && found.clean_accuracy() < 1.0, "{budget}");
        assert_eq!(
            found.cost.gradients,
            8 * found.clean_misclassified.iter().filter(|misclassified| !**misclassified).count() as u64
        );
    }
}

/// The direction that an attack follows is the gradient of the custom loss through the module, as differences of it say.
#[test]
fn gradients_through_the_facade_are_finite_differences() {
    // Inside the box, so that no step is cut.
    let images = (images(1).0 * 0.6).unwrap().affine(1.0, 0.2).unwrap();
    let tensor = network().forward(&images).unwrap().argmax(1).unwrap();
    let loss = |logits: &Tensor, labels: &Tensor| {
        let right = logits.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
        (logits.sqr()?.sum(1)? * 0.1)? - right
    };
    let value = |pixels: Vec<f32>| -> f64 {
        let images = Tensor::from_vec(pixels, images.dims(), &Device::Cpu).unwrap();
        let values = loss(&network().forward(&images).unwrap(), &tensor).unwrap();
        f64::from(values.to_vec1::<f32>().unwrap()[0])
    };
    // One short l2 step from the clean image goes along the gradient.
    let attack = Pgd::l2("1").unwrap().steps(1).step_size(0.01).start(Start::Clean).loss(Loss::custom(loss));
    let found = robin::attack(&network(), &images, &tensor, attack).unwrap();
    assert!(!found.misclassified[0] && !found.clean_misclassified[0], "the step is short");
    let clean = host::to_vec(&images).unwrap();
    let moved = host::to_vec(&found.images).unwrap();
    let step: Vec<f64> = moved.iter().zip(&clean).map(|(to, from)| f64::from(to - from) / 0.01).collect();
    let slope = |at: usize| {
        let by = |change: f32| {
            let mut pixels = clean.clone();
            pixels[at] += change;
            value(pixels)
        };
        (by(0.01) - by(-0.01)) / 0.02
    };
    let slopes: Vec<f64> = (0..clean.len()).map(slope).collect();
    let length = slopes.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
    assert!(length > 0.1, "{length}");
    for (at, (step, slope)) in step.iter().zip(&slopes).enumerate() {
        assert!((step - slope / length).abs() < 0.01, "pixel {at}: step {step}, slope {}", slope / length);
    }
}

#[test]
fn a_custom_loss_that_is_a_listed_one_finds_the_same() {
    let (images, labels) = images(16);
    let labels = Tensor::from_slice(&labels, 16, &Device::Cpu).unwrap();
    let margin = |logits: &Tensor, labels: &Tensor| {
        let right = logits.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
        let classes = Tensor::arange(0_u32, toys::CLASSES as u32, logits.device())?.unsqueeze(0)?;
        let own = classes.broadcast_eq(&labels.unsqueeze(1)?)?;
        let wrong = own.where_cond(&(logits.zeros_like()? - 1e9)?, logits)?;
        wrong.max(1)? - right
    };
    for attack in [|| Pgd::linf("0.04").unwrap(), || Pgd::l2("0.3").unwrap()] {
        let listed = robin::attack(&network(), &images, &labels, attack().loss(Loss::Margin)).unwrap();
        let own = robin::attack(&network(), &images, &labels, attack().loss(Loss::custom(margin))).unwrap();
        assert_eq!(own.misclassified, listed.misclassified);
        assert!(host::to_vec(&own.images).unwrap() == host::to_vec(&listed.images).unwrap());
    }
}

#[test]
fn a_callback_hears_every_step_in_order() {
    let (images, labels) = images(12);
    let labels = Tensor::from_slice(&labels, 12, &Device::Cpu).unwrap();
    let mut heard = Vec::new();
    let attack = Pgd::linf("0.001")
        .unwrap()
        .steps(6)
        .on_step(|step| heard.push((step.number, step.objective.clone())));
    let found = robin::attack(&network(), &images, &labels, attack).unwrap();
    let attacked = found.clean_misclassified.iter().filter(|misclassified| !**misclassified).count();
    // Six steps, and the final point.
    assert_eq!(heard.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    assert!(heard.iter().all(|(_, objective)| objective.len() == attacked));
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    assert!(mean(&heard[6].1) > mean(&heard[0].1), "an attack maximises its objective");
}

#[test]
fn targets_are_reached_or_not() {
    let (images, labels) = images(16);
    let targets: Vec<u32> = labels.iter().map(|label| (label + 1) % toys::CLASSES as u32).collect();
    let labels = Tensor::from_slice(&labels, 16, &Device::Cpu).unwrap();
    for loss in [Loss::CrossEntropy, Loss::Margin] {
        let attack = Pgd::linf("0.3").unwrap().steps(20).loss(loss).targeted(targets.clone());
        let found = robin::attack(&network(), &images, &labels, attack).unwrap();
        for (row, target) in targets.iter().enumerate() {
            assert_eq!(found.misclassified[row], found.predictions[row] == *target);
        }
        assert!(
            found.misclassified.iter().filter(|misclassified| **misclassified).count() > 8,
            "{:?}",
            found.misclassified
        );
    }
}

/// The files that PGD and FGSM run through bring nothing to the host but numbers `[n]` and logits: whatever takes a
/// tensor there is named here with its reason.
#[test]
fn pgd_has_no_way_to_the_host_for_images() {
    let sources = [include_str!("../src/on_device/mod.rs"), include_str!("../src/on_device/ball.rs")];
    for source in sources {
        let code = source.split("#[cfg(test)]").next().unwrap();
        for way in [
            "host::to_vec",
            "host::map_images",
            "host::replace",
            "with_values",
            "Images::new",
            "to_vec2",
            "to_vec3",
        ] {
            assert!(!code.contains(way), "{way}");
        }
        // `numbers` and `sizes`: one number for each image.
        assert!(code.matches("to_vec1").count() <= 2);
    }
    assert_eq!(SHAPE, [3, 6, 6]);
}
