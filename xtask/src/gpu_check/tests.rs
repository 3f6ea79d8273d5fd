use super::model_under_test::ModelUnderTest;
use super::{attacks, checks, memory, networks, random, training};

/// What a GPU will be asked, on this processor: the checks themselves are right.
#[test]
fn a_rehearsal_passes() {
    if robin_cuda::kernels::host::compiler().is_none() {
        crate::terminal::say!("not tested: no C++ compiler on this machine");
        return;
    }
    let subject = ModelUnderTest::open("host").unwrap();
    for work in [
        random::check,
        memory::check,
        networks::agree,
        networks::companions,
        attacks::agree,
        training::recorded,
    ] {
        let findings = work(&subject).unwrap();
        assert!(!findings.is_empty());
        for finding in findings {
            assert!(finding.passes(), "{finding:?}");
        }
    }
}

#[test]
fn names_differ_and_a_number_that_is_none_passes_nowhere() {
    let mut names: Vec<&str> = checks().iter().map(|check| check.name).collect();
    names.dedup();
    assert_eq!(names.len(), checks().len());
    let none = super::report::Finding { what: String::new(), found: f64::NAN, allowed: 1.0 };
    assert!(!none.passes());
}

#[test]
fn an_unknown_device_is_wrong_usage() {
    let error = ModelUnderTest::open("tpu").map(|_| ()).unwrap_err();
    assert_eq!(crate::exit::number(&error), 2);
}
