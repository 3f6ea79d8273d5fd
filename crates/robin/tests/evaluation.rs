//! Several attacks as one number, audits, and what is refused with what to do.

mod toys;

use robin::candle::{DType, Device, Module, Tensor};
use robin::{
    Apgd, AutoAttack, Cw, Error, Fgsm, GradientVerdict, Loss, Pgd, RandomNoise, Square, Status, attack,
    audit, evaluate,
};
use toys::{CLASSES, images, network};

fn labelled(n: usize) -> (Tensor, Tensor) {
    let (images, labels) = images(n);
    (images, Tensor::from_vec(labels, n, &Device::Cpu).unwrap())
}

#[test]
fn the_union_is_never_above_any_attack() {
    let (images, labels) = labelled(24);
    let epsilon = "0.02";
    let attacks = [
        Fgsm::linf(epsilon).unwrap(),
        Pgd::linf(epsilon).unwrap().steps(20).named("pgd-20"),
        Apgd::linf(epsilon).unwrap().steps(20).loss(Loss::DlrTargets(3)),
        Square::linf(epsilon).unwrap().queries(100),
        RandomNoise::linf(epsilon).unwrap(),
    ];
    let found = evaluate(&network(), &images, &labels, attacks).unwrap();
    assert_eq!(found.attacks[1].0, "pgd-20");
    for (name, one) in &found.attacks {
        assert!(found.accuracy <= one.accuracy() && one.accuracy() <= found.clean_accuracy, "{name}");
        let share = one.zero_gradient_share;
        assert_eq!(share.is_none(), ["square", "random-noise"].contains(&name.as_str()), "{name}: {share:?}");
    }
    let any = |row: usize| found.attacks.iter().any(|(_, one)| one.misclassified[row]);
    assert_eq!(found.misclassified, (0..24).map(any).collect::<Vec<_>>());
    assert!(found.interval.low < found.accuracy && found.accuracy < found.interval.high);
    assert_eq!(found.warnings().count(), 0);
}

#[test]
fn a_bundle_attacks_what_is_left_and_a_minimal_attack_stays_within_its_budget() {
    let (images, labels) = labelled(3);
    let found = attack(&network(), &images, &labels, AutoAttack::l2("0.3").unwrap()).unwrap();
    let pgd = attack(&network(), &images, &labels, Pgd::l2("0.3").unwrap()).unwrap();
    assert!(found.accuracy() <= pgd.accuracy());
    let found = attack(&network(), &images, &labels, Cw::l2("0.3").unwrap().steps(30)).unwrap();
    assert!(found.sizes.iter().all(|&size| size <= 0.3 + 1e-5));
}

#[test]
fn a_module_whose_gradients_vanish_is_warned_of() {
    let (images, labels) = labelled(12);
    // Large scores whose slope is exactly 0.
    let flat = |x: &Tensor| {
        let logits = network().forward(x)?;
        (logits.detach() * 1e4)? + (&logits * logits.zeros_like()?)?
    };
    let found = evaluate(&flat, &images, &labels, [Pgd::linf("8/255").unwrap()]).unwrap();
    assert_eq!(found.attacks[0].1.zero_gradient_share, Some(1.0));
    let warning = found.warnings().next().unwrap();
    assert!(warning.contains("pgd") && warning.contains("blind"), "{warning}");
}

#[test]
fn an_audit_believes_a_plain_network_and_not_a_masked_one() {
    let (images, _) = labelled(8);
    let weights =
        (images.flatten_from(1).unwrap().narrow(0, 0, CLASSES).unwrap() - 0.5).unwrap().t().unwrap();
    let weights = weights.contiguous().unwrap();
    let plain = |x: &Tensor| (x.flatten_from(1)? - 0.5)?.matmul(&weights);
    let labels = plain(&images).unwrap().argmax(1).unwrap();
    let attacks = || [Pgd::linf("4/255").unwrap().steps(20).loss(Loss::Margin)];
    let plain_audit = audit(&plain, &images, &labels, attacks()).unwrap();
    assert_eq!(plain_audit.gradients.verdict, GradientVerdict::True);
    let failed: Vec<_> =
        plain_audit.findings.iter().filter(|finding| finding.status == Status::Fail).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(plain_audit.findings.len() > 15);
    // The function is the same, its gradient is that of another one.
    let masked = |x: &Tensor| {
        let logits = plain(x)?;
        let other = (x.flatten_from(1)?.narrow(1, 0, CLASSES)? * 5.0)?;
        logits.detach() + (&other - other.detach())?
    };
    let masked = audit(&masked, &images, &labels, attacks()).unwrap();
    assert_eq!(masked.gradients.verdict, GradientVerdict::False);
    assert_eq!(masked.verdict(), Status::Fail);
    assert!(masked.evaluation.accuracy >= plain_audit.evaluation.accuracy);
}

#[test]
fn whatever_is_wrong_is_said_with_what_to_do() {
    let (images, labels) = labelled(6);
    let pgd = || Pgd::linf("8/255").unwrap();
    let refusal = |images: &Tensor, labels: &Tensor, own: robin::Attack<'_>| {
        attack(&network(), images, labels, own).map(|_| ()).unwrap_err().to_string()
    };
    let bytes = (&images * 255.0).unwrap().to_dtype(DType::U8).unwrap();
    let normalised = (&images - 0.5).unwrap();
    let few = labels.narrow(0, 0, 5).unwrap();
    let high = (labels.to_dtype(DType::U32).unwrap() + 7.0).unwrap();
    let none = images.narrow(0, 0, 0).unwrap();
    let not_a_number = (&images * f64::NAN).unwrap();
    for (images, labels, own, expected) in [
        (&bytes, &labels, pgd(), "to_dtype"),
        (&normalised, &labels, pgd(), "normalisation"),
        (&not_a_number, &labels, pgd(), "NaN"),
        (&images, &few, pgd(), "[5]"),
        (&images, &high, pgd(), "number of classes"),
        (&none, &labels.narrow(0, 0, 0).unwrap(), pgd(), "no images"),
        (&images, &labels, pgd().steps(0), "steps is 0"),
        (&images, &labels, pgd().batch_size(0), "batch_size"),
        (&images, &labels, pgd().queries(3), "queries"),
        (&images, &labels, pgd().targeted(9), "label 9"),
        (&images, &labels, pgd().targeted(vec![0, 1]), "2 targets"),
        (&images, &labels, pgd().targeted(labels.to_vec1::<u32>().unwrap()), "own target"),
    ] {
        let said = refusal(images, labels, own);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let mean = Loss::custom(|logits, _| logits.mean_all());
    assert!(refusal(&images, &labels, pgd().loss(mean)).contains("do not reduce"));
    let flat = attack(&|x: &Tensor| x.flatten_all(), &images, &labels, pgd()).unwrap_err().to_string();
    assert!(flat.contains("logits"), "{flat}");
    let cut = attack(&|x: &Tensor| Ok(network().forward(x)?.detach()), &images, &labels, pgd()).unwrap_err();
    assert!(cut.to_string().contains("gradient does not reach"), "{cut}");
}

#[test]
fn what_cannot_be_joined_or_audited_is_refused() {
    let (images, labels) = labelled(6);
    let said = |attacks: Vec<robin::Attack<'_>>| {
        evaluate(&network(), &images, &labels, attacks).map(|_| ()).unwrap_err()
    };
    let pgd = |epsilon: &str| Pgd::linf(epsilon).unwrap();
    assert!(matches!(said(vec![]), Error::NoAttack));
    assert!(matches!(said(vec![pgd("0.1"), pgd("0.2")]), Error::Budgets { .. }));
    assert!(matches!(said(vec![pgd("0.1").targeted(1)]), Error::Targeted { .. }));
    let odd = (&images * 0.999).unwrap();
    let refused = audit(&network(), &odd, &labels, [pgd("0.1")]).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::NotEightBit { .. }), "{refused}");
    let softmax = |x: &Tensor| {
        let logits = network().forward(x)?.exp()?;
        logits.broadcast_div(&logits.sum_keepdim(1)?)
    };
    let refused = audit(&softmax, &images, &labels, [pgd("0.1")]).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("logits before the softmax"), "{refused}");
}

#[test]
fn a_panic_in_the_module_is_the_callers() {
    let (images, labels) = labelled(3);
    let passes = std::cell::Cell::new(0);
    let module = |x: &Tensor| {
        passes.set(passes.get() + 1);
        assert!(passes.get() < 3, "the third pass");
        network().forward(x)
    };
    let run = || attack(&module, &images, &labels, Pgd::linf("0.1").unwrap());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map(|_| ()).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the third pass"));
}
