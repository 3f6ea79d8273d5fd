use std::collections::BTreeMap;

use robin_experiments::plan::Ran;
use robin_experiments::spec::PrintedOverlap;
use robin_experiments::table::{Overlap, RanCell, Run, SeedResult};
use robin_experiments::{Profile, Table, TableCell};

use crate::table::{duration, markdown};

fn cell(classifier: &str, attack: &str, strategies: &[(&str, f64)], seeds: &[f64], union: f64) -> TableCell {
    let accuracy = seeds.iter().sum::<f64>() / seeds.len() as f64;
    TableCell {
        dataset: "mnist".parse().unwrap(),
        model: "cnn2".to_owned(),
        norm: "linf".parse().unwrap(),
        epsilon: "25/255".parse().unwrap(),
        classifier: classifier.to_owned(),
        attack: attack.to_owned(),
        strategy: strategies.first().map(|(name, _)| (*name).to_owned()),
        strategies: strategies
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect::<BTreeMap<_, _>>(),
        accuracy,
        union,
        n: 1000,
        low: accuracy - 0.01,
        high: accuracy + 0.01,
        published: (attack != "pgd20").then_some(0.959),
        published_strategies: BTreeMap::new(),
        row: "mnist/cnn2/linf".to_owned(),
        train_epsilon: None,
        printed_epsilon: None,
        stand_in: None,
        beyond: false,
        records: vec!["a record".to_owned()],
        ran: RanCell {
            ran: Ran {
                model: "cnn2-small".to_owned(),
                width: 16,
                train_images: 2000,
                test_images: 1000,
                epochs: 20,
            },
            seeds: seeds
                .iter()
                .enumerate()
                .map(|(seed, &accuracy)| SeedResult { seed: seed as u64, accuracy, union })
                .collect(),
        },
    }
}

pub(crate) fn table(profile: Profile, seeds: usize) -> Table {
    let spread =
        |middle: f64| (0..seeds).map(|at| middle + 0.01 * (at as f64 - (seeds - 1) as f64 / 2.0)).collect();
    let values: Vec<Vec<f64>> = [0.975, 0.9, 0.88].into_iter().map(spread).collect();
    Table {
        item: "table-1".to_owned(),
        profile,
        layout: Default::default(),
        cells: vec![
            cell("robin", "clean", &[], &values[0], 0.975),
            cell("robin", "pgd10", &[("softmax", 0.9), ("best-arm", 0.91)], &values[1], 0.87),
            cell("robin", "pgd20", &[("softmax", 0.88), ("best-arm", 0.9)], &values[2], 0.85),
        ],
        comparisons: Vec::new(),
        overlaps: Vec::new(),
        run: Run {
            title: "Table 1".to_owned(),
            comparable: profile == Profile::Paper,
            shrunk: match profile {
                Profile::Paper => Vec::new(),
                _ => {
                    vec!["mnist/cnn2: epochs 6 (paper: 20)".to_owned(), "cifar10/myrtle: width 4".to_owned()]
                }
            },
            seeds: (0..seeds as u64).collect(),
            device: "cpu".to_owned(),
            machine: "a processor, 2 cores".to_owned(),
            seconds: 247.0,
            missing: 0,
            notes: Vec::new(),
        },
    }
}

#[test]
fn a_small_profile_says_that_it_cannot_be_compared_and_why() {
    let text = markdown(&table(Profile::Smoke, 1));
    assert!(text.contains("**Profile smoke: not comparable with the published numbers.**"), "{text}");
    for line in ["mnist/cnn2: epochs 6 (paper: 20)", "cifar10/myrtle: width 4"] {
        assert!(text.contains(&format!("- profile smoke shrank {line}\n")), "{text}");
    }
    assert!(text.contains("- 1 seed (0)\n- device cpu on a processor, 2 cores\n- 4 min 07 s"), "{text}");
    let paper = markdown(&table(Profile::Paper, 1));
    assert!(
        !paper.contains("not comparable") && paper.contains("- profile paper: nothing shrunk"),
        "{paper}"
    );
}

#[test]
fn the_published_number_and_the_union_stand_beside_the_measured_one() {
    let text = markdown(&table(Profile::Smoke, 1));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("| mnist")).collect();
    assert_eq!(
        lines[0].split('|').map(str::trim).collect::<Vec<_>>(),
        [
            "",
            "mnist cnn2 linf 25/255",
            "robin",
            "0.975 (0.959)",
            "0.900 (0.959), union 0.870",
            "0.880 (-), union 0.850",
            "",
        ]
    );
    assert_eq!(
        lines[2].split('|').map(str::trim).collect::<Vec<_>>(),
        [
            "",
            "mnist cnn2 linf 25/255",
            "robin",
            "pgd10",
            "0.900",
            "[0.890, 0.910]",
            "1000",
            "0.959",
            "0.870",
            "best-arm 0.910, softmax 0.900",
            "",
        ]
    );
    assert_eq!(lines.len(), 4, "one line of the overview and three of details:\n{text}");
}

#[test]
fn several_seeds_show_mean_and_spread() {
    let text = markdown(&table(Profile::Paper, 3));
    let header = text.lines().find(|line| line.contains("| spread")).expect("a column for the spread");
    let details = text.split_once(header).unwrap().1;
    let line = details.lines().find(|line| line.contains("| pgd10 ")).unwrap();
    let columns: Vec<&str> = header.split('|').map(str::trim).collect();
    let at = columns.iter().position(|column| *column == "spread").unwrap();
    // 0.89, 0.90, 0.91: mean 0.9, standard deviation 0.01.
    assert_eq!(line.split('|').map(str::trim).nth(at), Some("0.010"), "{text}");
    assert!(text.contains("- 3 seeds (0, 1, 2)"), "{text}");
}

#[test]
fn missing_numbers_are_counted_not_hidden() {
    let mut table = table(Profile::Smoke, 1);
    table.cells.remove(1);
    table.run.missing = 1;
    let text = markdown(&table);
    assert!(text.contains("**1 numbers are missing"), "{text}");
}

#[test]
fn durations_are_readable() {
    assert_eq!(duration(12.34), "12.3 s");
    assert_eq!(duration(247.0), "4 min 07 s");
    assert_eq!(duration(11_100.0), "3 h 05 min");
}

#[test]
fn counts_of_several_seeds_stand_beside_printed_ones_by_their_shares() {
    let overlap = Overlap {
        row: "mnist cnn2 linf".to_owned(),
        classifier: "robin".to_owned(),
        attack: "pgd20".to_owned(),
        epsilon: "25/255".parse().unwrap(),
        strategies: ["best-arm", "softmax"].map(str::to_owned),
        n: 3000,
        clean_errors: 30,
        misclassified: [600, 660],
        both: 597,
        published: Some(PrintedOverlap { n: 10_000, misclassified: [3263, 3641], both: 3259 }),
        records: Vec::new(),
    };
    let text = markdown(&Table { overlaps: vec![overlap], ..table(Profile::Paper, 3) });
    for part in [
        "best-arm 600 (0.200)",
        "softmax 660 (0.220)",
        "| 597 (0.199)",
        "3263 (0.326) and 3641 (0.364), both 3259 (0.326), of 10000",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
