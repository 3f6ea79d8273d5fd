//! The committed records: what they claim follows from the attacks in them.

use approx::assert_abs_diff_eq;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn record(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("evidence").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("{field} of {value}"))
}

fn assert_interval(row: &Value, share: &str) {
    let bounds: Vec<f64> = row[format!("{share}_interval")]
        .as_array()
        .unwrap()
        .iter()
        .map(|bound| bound.as_f64().unwrap())
        .collect();
    assert!(bounds[0] < number(row, share) && number(row, share) < bounds[1], "{row}");
}

/// What every row says follows from its run; the setting of a method is chosen on training images.
#[test]
fn adversarial_methods_are_twenty_points_above_standard_training() {
    let record = record("methods-on-mnist.json");
    let (table, runs) = (record["table"].as_array().unwrap(), record["runs"].as_array().unwrap());
    // Arms are trained in two settings.
    assert_eq!((table.len(), runs.len()), (4 * 3, 4 * 3));
    let chosen = |method: &Value, classifier: &Value| {
        let settings =
            table.iter().filter(|row| &row["method"] == method && &row["classifier"] == classifier);
        settings.max_by(|a, b| number(a, "training_pgd20").total_cmp(&number(b, "training_pgd20"))).unwrap()
    };
    for (row, run) in table.iter().zip(runs) {
        for field in ["method", "classifier", "sampling"] {
            assert_eq!(row[field], run[field]);
        }
        let settings = &run["settings"]["settings"];
        assert_eq!(settings["training"]["method"]["name"], row["method"]);
        assert_eq!(settings["training"]["learning_rate"], row["rate"]);
        assert!(settings["numerics"]["training"].is_u64());
        let multiclass = row["classifier"] == "multiclass";
        let (networks, strategies) = if multiclass { (1, 1) } else { (10, 3) };
        assert_eq!(run["networks"].as_array().unwrap().len(), networks);
        let attacks = run["attacks"].as_array().unwrap();
        assert_eq!(attacks.len(), strategies);
        for attack in attacks.iter().chain([&run["on_training_images"]]) {
            let files = attack["classifier"]["weights_sha256"].as_array().unwrap();
            let trained =
                run["networks"].as_array().unwrap().iter().map(|network| &network["weights_sha256"]);
            assert!(files.iter().eq(trained), "{} {}", row["method"], row["classifier"]);
            // What has learned nothing may have scores too flat to tell.
            assert!(attack["gradient_is_true"] == true || row["chosen"] == false, "{row}");
        }
        assert_eq!(number(row, "training_pgd20"), number(&run["on_training_images"], "robust_accuracy"));
        let strongest =
            attacks.iter().map(|attack| number(attack, "robust_accuracy")).reduce(f64::min).unwrap();
        assert_eq!(number(row, "pgd20"), strongest);
        assert_eq!(number(row, "n"), 1000.0);
        assert_interval(row, "clean");
        assert_interval(row, "pgd20");
        let to = |method: &str| strongest - number(chosen(&method.into(), &row["classifier"]), "pgd20");
        assert_abs_diff_eq!(number(row, "to_standard"), to("standard"), epsilon = 1e-9);
        assert_abs_diff_eq!(number(row, "to_pgd_at"), to("pgd-at"), epsilon = 1e-9);
        let is_chosen = row == chosen(&row["method"], &row["classifier"]);
        assert_eq!(row["chosen"], is_chosen, "{row}");
        if is_chosen && row["method"] != "standard" {
            assert!(number(row, "to_standard") >= 0.2, "{row}");
        }
    }
}

#[test]
fn full_mnist_is_ninety_percent_robust() {
    let record = record("full-mnist.json");
    assert!(number(&record, "pgd20") >= 0.9 && number(&record, "n") == 1000.0);
    assert_interval(&record, "clean");
    assert_interval(&record, "pgd20");
    assert_eq!(number(&record, "pgd20"), number(&record["attack"], "robust_accuracy"));
    let network = &record["network"];
    assert_eq!(record["attack"]["classifier"]["weights_sha256"][0], network["results"]["weights_sha256"]);
    assert_eq!(network["settings"]["training"]["epochs"], 6);
    assert!(network["settings"]["numerics"]["training"].is_u64());
}

/// A single network has the paper's row of the CNN, clean and under attack, on every test image, in either norm.
#[test]
fn one_network_has_the_papers_row_in_half_an_hour() {
    let record = record("cifar10-time-to-row.json");
    let rows = record.as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["norm"].as_str().unwrap()).collect::<Vec<_>>(), ["linf", "l2"]);
    for row in rows {
        assert_eq!(number(row, "n"), 10_000.0);
        assert!(row["in_one_go"] == true && number(row, "training_minutes") <= 30.0, "{row}");
        let published = &row["published"];
        let met = ["clean", "pgd20"].iter().all(|name| number(row, name) >= number(published, name));
        assert!(met && row["met"] == met, "{row}");
        assert!(number(row, "zero_gradient_share") < 0.05, "{row}");
    }
}

/// What the paper does not state decides whether anything is learned: with momentum 0.9 its learning rate is too much.
#[test]
fn momentum_and_not_the_number_of_epochs_keeps_cifar10_from_being_learned() {
    let record = record("cifar10-ablation.json");
    let rows = record.as_array().unwrap();
    assert!(rows.len() >= 9);
    let clean = |rate: f64, momentum: f64, flip: &str, epochs: f64| {
        let is_it = |row: &&Value| {
            (number(row, "learning_rate"), number(row, "momentum"), number(row, "epochs"))
                == (rate, momentum, epochs)
                && row["flip"] == flip
                && row["schedule"].as_str().unwrap().starts_with("steps")
        };
        number(&rows.iter().find(is_it).unwrap()["held_out"], "clean")
    };
    // Twice the epochs with momentum stay below half of them without.
    assert!(clean(0.1, 0.9, "none", 8.0) < clean(0.1, 0.0, "none", 4.0));
    assert!(clean(0.1, 0.9, "none", 4.0) < clean(0.1, 0.0, "none", 4.0));
    assert!(rows.iter().all(|row| row["held_out"]["n"] == 1000));
}
