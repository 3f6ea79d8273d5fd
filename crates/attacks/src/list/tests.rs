//! Legal and illegal settings.

use approx::assert_abs_diff_eq;
use robin_core::Norm;

use super::*;
use crate::{Error, Reach, Start, StepSize};

fn budget(epsilon: &str) -> Budget {
    Budget { norm: Norm::Linf, epsilon: epsilon.parse().unwrap() }
}

fn message(config: Config) -> String {
    match config.build(budget("8/255")) {
        Ok(_) => panic!("{config:?} is legal"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn settings_outside_what_is_allowed_are_named() {
    let pgd = |steps, restarts, step_size| {
        Config::Pgd(crate::pgd::Settings { steps, restarts, step_size, start: Start::Clean })
    };
    for (config, parts) in [
        (pgd(0, 1, StepSize::STANDARD), ["pgd", "steps is 0", "1 to 1000000"]),
        (pgd(1, 0, StepSize::STANDARD), ["pgd", "restarts is 0", "1 to 10000"]),
        (pgd(1, 1, StepSize::Absolute(0.0)), ["step_size", "Absolute(0.0)", "> 0"]),
        (pgd(1, 1, StepSize::Absolute(f64::NAN)), ["step_size", "NaN", "> 0"]),
        (pgd(1, 1, StepSize::Absolute(f64::INFINITY)), ["step_size", "inf", "at most 1e10"]),
        (pgd(1, 1, StepSize::Relative(-2.5)), ["step_size", "Relative(-2.5)", "> 0"]),
        (
            Config::RandomNoise(crate::random_noise::Settings { candidates: 0 }),
            ["random-noise", "candidates is 0", "1 to 1000000"],
        ),
        (
            Config::Square(crate::square::Settings {
                queries: 1,
                restarts: 1,
                first_share: 0.0,
                reach: Reach::Whole,
            }),
            ["square", "first_share is 0", "(0, 1]"],
        ),
        (
            Config::Apgd(crate::apgd::Settings {
                steps: 1,
                restarts: 1,
                rising_share: f64::NAN,
                momentum: 0.75,
            }),
            ["apgd", "rising_share is NaN", "[0, 1]"],
        ),
        (
            Config::Fmn(crate::fmn::Settings {
                steps: 1,
                first_step: 1.0,
                last_step: 0.0,
                first_rate: 0.1,
                last_rate: 0.1,
            }),
            ["fmn", "last_step is 0", "> 0"],
        ),
        (
            Config::FabT(crate::fab::Settings { steps: 1, largest_weight: 0.1, overshoot: 1.05, kept: 1.0 }),
            ["fab-t", "kept is 1", "between 0 and 1"],
        ),
    ] {
        let message = message(config);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

/// Every number that has a lower bound, far above what it may be.
#[test]
fn numbers_without_an_end_are_refused_in_every_attack() {
    for entry in ATTACKS {
        let settings = serde_json::to_value(entry.example).unwrap();
        for (field, value) in settings.as_object().unwrap() {
            let beyond = match value {
                serde_json::Value::Number(number) if number.is_u64() => vec![1_000_001_u64.into()],
                serde_json::Value::Number(_) => vec![1e11.into(), 1e300.into()],
                // Of what is no number only the step size has some inside.
                _ if field == "step_size" => {
                    vec![serde_json::json!({ "relative": 1e300 }), serde_json::json!({ "absolute": 1e11 })]
                }
                _ => continue,
            };
            for value in beyond {
                let mut changed = settings.clone();
                changed[field.as_str()] = value.clone();
                let config: Config = serde_json::from_value(changed).unwrap();
                let message = config.build(Budget { norm: entry.norms[0], ..budget("8/255") });
                let message = message.err().unwrap_or_else(|| panic!("{config:?} is legal")).to_string();
                assert!(message.contains(field.as_str()), "{message}");
            }
        }
    }
    let levels = Config::Ddn(crate::ddn::Settings {
        steps: 1,
        radius_rate: 0.5,
        first_radius: 1.0,
        levels: Some(u32::MAX),
    });
    let message = levels.minimal(Norm::L2).err().unwrap().to_string();
    assert!(message.contains("levels is 4294967295, allowed is 2 to 65536"), "{message}");
}

#[test]
fn attacks_of_one_norm_refuse_the_other_and_only_some_go_without_a_budget() {
    for entry in ATTACKS {
        for norm in [Norm::L2, Norm::Linf] {
            let budget = Budget { norm, ..budget("8/255") };
            let built = entry.example.build(budget).map(|attack| attack.budget());
            assert_eq!(built.is_ok(), entry.norms.contains(&norm), "{} {norm}", entry.name);
            match entry.example.minimal(norm) {
                Ok(attack) => assert_eq!(attack.norm(), norm),
                Err(Error::Norm { .. }) => assert!(!entry.norms.contains(&norm)),
                Err(error) => assert!(matches!(error, Error::NotMinimal { .. }), "{error}"),
            }
        }
    }
    let message = ATTACKS.iter().find(|entry| entry.name == "ddn").unwrap().example;
    let message = message.build(budget("8/255")).err().unwrap().to_string();
    assert!(message.contains("ddn") && message.contains("linf") && message.contains("l2"), "{message}");
}

#[test]
fn steps_of_no_length_are_legal_at_epsilon_0_only() {
    let epsilon = "0".parse().unwrap();
    assert_eq!(StepSize::STANDARD.pixels(epsilon, 10).unwrap(), 0.0);
    assert_eq!(StepSize::Absolute(0.0).pixels(epsilon, 10).unwrap(), 0.0);
    assert!(StepSize::Relative(0.0).pixels(epsilon, 10).is_err());
    let pixels = StepSize::STANDARD.pixels("8/255".parse().unwrap(), 10).unwrap();
    assert_abs_diff_eq!(pixels, 2.0 / 255.0, epsilon = 1e-15);
}

#[test]
fn examples_round_trip_and_unknown_fields_are_refused() {
    for entry in ATTACKS {
        let text = serde_json::to_string(&entry.example).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), entry.example);
        assert_eq!((entry.example.name(), entry.brief.name()), (entry.name, entry.name));
        assert!(text.contains(&format!("\"name\":\"{}\"", entry.name)), "{text}");
        let more = text.replacen('{', "{\"norm\":\"l2\",", 1);
        assert!(serde_json::from_str::<Config>(&more).is_err(), "{more}");
    }
    assert!(serde_json::from_str::<Config>(r#"{"name":"pgd","steps":10}"#).is_err());
}
