use robin_experiments::table::Comparison;
use robin_experiments::{Profile, Table};

use super::{Screen, table, verdict};
use crate::page::tests::claim;
use crate::tests::table as sample;

/// Both classifiers, with ROBIN's lead under one attack decided and under the other not.
fn both() -> Table {
    let mut both = sample(Profile::Smoke, 1);
    let robin = std::mem::take(&mut both.cells);
    let multiclass = robin.iter().cloned().map(|mut cell| {
        cell.classifier = "multiclass".to_owned();
        cell.accuracy -= 0.1;
        cell
    });
    both.cells = multiclass.collect();
    both.cells.extend(robin);
    let lead = |attack: &str, gap: f64, verdict: &str| Comparison {
        row: "mnist/cnn2/linf".to_owned(),
        norm: "linf".parse().unwrap(),
        epsilon: (attack != "clean").then(|| "25/255".parse().unwrap()),
        attack: attack.to_owned(),
        classifier: "robin".to_owned(),
        baseline: "multiclass".to_owned(),
        gap,
        low: gap - 0.01,
        high: gap + 0.01,
        p: vec![0.5],
        verdict: verdict.to_owned(),
    };
    both.comparisons = vec![lead("clean", 0.1, "gap"), lead("pgd20", -0.002, "undecided (1 seed)")];
    both
}

#[test]
fn a_table_fits_the_screen_and_says_what_it_leaves_out() {
    for width in [60, 80, 120] {
        let text = table(&both(), Screen { width, colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("  pgd10") && !text.contains("more in the file"), "{text}");
    }
    // PGD with 10 steps is the first to go, the clean numbers are the last.
    let narrow = table(&both(), Screen { width: 44, colour: false });
    assert!(
        narrow.contains("(more in the file: pgd10)") && narrow.contains("clean") && narrow.contains("pgd20"),
        "{narrow}"
    );
    let tiny = table(&both(), Screen { width: 20, colour: false });
    assert!(tiny.contains("clean") && tiny.contains("(more in the file: pgd10, pgd20)"), "{tiny}");
}

#[test]
fn a_line_has_measured_and_published_numbers_and_the_lead_its_doubt() {
    let text = table(&both(), Screen { width: 80, colour: false });
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["mnist", "cnn2", "linf", "25/255"]), "{text}");
    assert!(lines.contains(&vec!["robin", "0.975", "(0.959)", "0.900", "(0.959)", "0.880"]), "{text}");
    assert!(lines.contains(&vec!["multiclass", "0.875", "(0.959)", "0.800", "(0.959)", "0.780"]), "{text}");
    assert!(lines.contains(&vec!["lead", "+0.100", "-0.002?"]), "{text}");
}

#[test]
fn colours_only_where_they_are_asked_for() {
    let text = table(&both(), Screen { width: 80, colour: true });
    let green = text.find("\u{1b}[32m").expect("a lead that is decided is green");
    assert!(text[green..].contains("+0.100"), "{text:?}");
    let plain = table(&both(), Screen { width: 80, colour: false });
    let stripped: String = {
        let mut parts = text.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    };
    assert_eq!(stripped.split_whitespace().collect::<Vec<_>>(), plain.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn a_verdict_has_three_lines() {
    let lines = verdict(&[], &[claim()], Profile::Smoke, 2);
    assert_eq!(lines[0], "Simpler is more robust simpler-is-more-robust: undecided; on one network <b>");
    assert_eq!(lines[1], "Claims of the paper: 1 undecided.");
    assert!(
        lines[2].contains("not comparable") && lines[2].contains("2 numbers are missing"),
        "{}",
        lines[2]
    );
    let none = verdict(&[], &[], Profile::Paper, 0);
    assert_eq!(none[0], "No claim of the paper can be tested on these numbers.");
    assert!(!none[2].contains("not comparable"));
    let rows = crate::finding::tests::rows();
    let lines = verdict(&rows, &[], Profile::Paper, 0);
    assert!(lines[0].starts_with("On 4 rows: 1 on which ROBIN withstands more"), "{}", lines[0]);
    assert!(lines[0].contains("Largest difference: mnist cnn2 l2, -0.051"), "{}", lines[0]);
}
