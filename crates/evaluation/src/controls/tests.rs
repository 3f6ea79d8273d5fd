//! The battery raises flags on every negative control and on no positive one.

use super::*;

#[test]
fn the_battery_notices_what_it_must_and_nothing_else() {
    let controls = self_test(Seed::new(0), &CancelToken::new(), |_| ()).unwrap();
    for control in &controls {
        let said: Vec<String> = control
            .findings
            .iter()
            .filter(|finding| finding.status != Status::Pass)
            .map(|finding| {
                format!("{} {:?} {} {:?}", finding.test, finding.status, finding.note, finding.numbers)
            })
            .collect();
        assert!(
            control.as_expected,
            "{} (negative: {}): flags {:?}, attacked {}, proved {:?}\n{}",
            control.name,
            control.negative,
            control.flags,
            control.attacked,
            control.proved,
            said.join("\n")
        );
    }
    assert_expected(&controls).unwrap();
    let linear = controls.iter().find(|control| control.name.starts_with("linear")).unwrap();
    assert!((0.2..0.95).contains(&linear.attacked), "both verdicts are needed: {}", linear.attacked);
    assert_eq!(controls[0].attacked, 0.0, "nothing is left of an undefended classifier");
    let names = |negative: bool| controls.iter().filter(|control| control.negative == negative).count();
    assert_eq!((names(true), names(false)), (5, 2));
    // Margins see it as it is; only where cross-entropy is looked at it shows.
    let loud = controls.iter().find(|control| control.name == "scores x 10,000").unwrap();
    assert!(loud.flags.contains(&"T13".to_owned()), "{:?}", loud.flags);
    assert_eq!(loud.attacked, linear.attacked);
    let quantised = controls.iter().find(|control| control.name == "quantised input").unwrap();
    assert!(quantised.flags.contains(&"T13".to_owned()), "{:?}", quantised.flags);
    let swapped: Vec<Control> =
        controls.into_iter().map(|control| Control { as_expected: false, ..control }).collect();
    assert!(assert_expected(&swapped).unwrap_err().to_string().contains("merge-binary"));
}
