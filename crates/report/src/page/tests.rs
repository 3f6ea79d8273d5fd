use robin_experiments::gallery::{Gallery, GalleryEntry, GalleryExample, Picture};
use robin_experiments::record::{Kind, Record};
use robin_experiments::{ClaimVerdict, Profile, Verdict, item};
use serde_json::json;

use super::html;
use crate::bundle::Bundle;
use crate::chart::tests::{figure, histogram_panel, line_panel, ordered_panel, regions_panel};
use crate::error::Error;
use robin_experiments::Item;

use crate::report::Report;
use crate::tests::table;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn record(key: &str) -> Record {
    let provenance = json!({ "label": "mnist <cnn2>", "commit": "abc", "seconds": 1.5 });
    Record {
        kind: Kind::Evaluation,
        key: serde_json::from_value(json!(key)).unwrap(),
        settings: json!({ "attack": { "name": "pgd", "steps": 10 }, "long": vec![1; 500] }),
        results: json!({ "worst": { "accuracy": 0.5 }, "robust_examples": "A".repeat(1000) }),
        provenance: provenance.as_object().unwrap().clone(),
    }
}

fn gallery() -> Gallery {
    let picture = |shift: u8| Picture {
        channels: 1,
        height: 4,
        width: 4,
        pixels: (0..16).map(|at| 10 * at + shift).collect(),
    };
    Gallery {
        title: "mnist/cnn2/linf".to_owned(),
        classifier: "robin".to_owned(),
        attack: "pgd20".to_owned(),
        norm: "linf".to_owned(),
        epsilon: "25/255".to_owned(),
        classes: vec!["zero".to_owned(), "one".to_owned()],
        examples: vec![GalleryExample {
            id: 17,
            label: 1,
            clean: picture(0),
            prediction: 1,
            scores: vec![-2.0, 4.0],
            entries: vec![GalleryEntry {
                strategy: "best-arm".to_owned(),
                perturbed: picture(12),
                prediction: 0,
                scores: vec![1.0, -0.5],
                size: 0.0471,
            }],
        }],
        records: vec![KEY.to_owned()],
    }
}

pub(crate) fn report() -> Report {
    let mut table = table(Profile::Smoke, 1);
    for cell in &mut table.cells {
        cell.records = vec![KEY.to_owned()];
    }
    table.run.notes = vec!["a note with <script>alert(1)</script>".to_owned()];
    Report {
        title: "Results & <more>".to_owned(),
        profile: Profile::Smoke,
        provenance: vec![("commit".to_owned(), "abc".to_owned())],
        items: vec![Item {
            name: "table-1".to_owned(),
            title: "Table 1".to_owned(),
            table: Some(table),
            figures: vec![figure(vec![line_panel(), histogram_panel(), regions_panel(), ordered_panel()])],
            values: vec![item::Value {
                name: "mean distance".to_owned(),
                row: "mnist/cnn2/linf".to_owned(),
                value: 0.25,
                error: 0.01,
                seeds: 3,
                records: vec![KEY.to_owned()],
            }],
            notes: Vec::new(),
        }],
        claims: vec![ClaimVerdict {
            id: "simpler-is-more-robust".to_owned(),
            text: "Simpler is more robust".to_owned(),
            seeds: 3,
            verdict: Verdict::Undecided,
            summary: "undecided; on one network <b>".to_owned(),
            needs: Some("3 seeds would decide it".to_owned()),
            readings: Vec::new(),
            numbers: vec!["0.5 against 0.4 (1 seed)".to_owned()],
            comparisons: Vec::new(),
            missing: 0,
            records: vec![KEY.to_owned()],
        }],
        galleries: vec![gallery()],
        records: vec![record(KEY), record(&"ab".repeat(32))],
    }
}

#[test]
fn text_is_escaped() {
    let page = html(&report()).unwrap();
    for text in ["Results & <more>", "<script>alert", "mnist <cnn2>", "best-arm <b>"] {
        assert!(!page.contains(text), "{text} is not escaped");
    }
    assert!(page.contains("Results &#38; &#60;more&#62;"));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = html(&report()).unwrap();
    // The name of the SVG language is no address that is fetched; drawings inside HTML do without it.
    for text in ["http:", "https:", "//cdn", "@import", "url("] {
        assert!(!page.contains(text), "{text}");
    }
    let sources: Vec<&str> = page.match_indices("src=\"").map(|(at, _)| &page[at + 5..at + 27]).collect();
    assert_eq!(sources, ["data:image/png;base64,"; 3], "clean, perturbed, difference");
}

#[test]
fn a_smoke_run_is_marked_everywhere() {
    let page = html(&report()).unwrap();
    // Above the page, the table, the figure.
    assert_eq!(page.matches("not comparable").count(), 3);
    let mut paper = report();
    paper.profile = Profile::Paper;
    paper.items[0].table.as_mut().unwrap().run.comparable = true;
    paper.items[0].figures[0].comparable = true;
    assert!(!html(&paper).unwrap().contains("not comparable"));
}

#[test]
fn numbers_lead_to_their_records() {
    let page = html(&report()).unwrap();
    for piece in [
        "<p>undecided; on one network &#60;b&#62;</p><p>To decide it: 3 seeds would decide it.</p>",
        "<a class=\"value\" href=\"#table-1-1\">0.900</a><span class=\"paper\">paper 0.959</span>",
        "id=\"table-1-1\" data-cell=\"1\"",
        &format!("<a href=\"#record-{KEY}\" title=\"{KEY}\">1</a>"),
        &format!("<div id=\"record-{KEY}\">"),
        &format!("href=\"../evaluations/{KEY}.json\""),
        "(500 values, in the file)",
        "(1000 letters, in the file)",
    ] {
        assert!(page.contains(piece), "{piece} is missing");
    }
    assert!(!page.contains(&"ab".repeat(32)), "a record that nothing names is left out");
}

#[test]
fn images_are_shown_with_what_the_classifier_says() {
    let page = html(&report()).unwrap();
    for piece in [
        "Test image 17: one",
        // 127 / 12, rounded down.
        "difference to the clean image, times 10",
        "<span class=\"key wrong\">zero</span> <span class=\"small\">size 0.0471, difference × 10</span>",
        // 4.0 is the largest score: half of the track.
        "left:50%;width:50%",
        // -2.0 ends in the middle.
        "left:25%;width:25%",
    ] {
        assert!(page.contains(piece), "{piece} is missing");
    }
    let mut broken = report();
    broken.galleries[0].examples[0].entries[0].scores.pop();
    let error = html(&broken).unwrap_err().to_string();
    assert_eq!(error, "image of example 17 in the gallery of mnist/cnn2/linf: 1 scores for 2 classes");
}

#[test]
fn what_cannot_be_linked_is_refused() {
    let mut missing = report();
    missing.records.remove(0);
    assert!(matches!(html(&missing), Err(Error::MissingRecord { records: 1, .. })));
    let mut twice = report();
    twice.items.push(twice.items[0].clone());
    assert!(matches!(html(&twice), Err(Error::Duplicate { what: "items", .. })));
    for name in ["", "../up", "Table 1", "a--b", "-a"] {
        let mut bad = report();
        bad.items[0].name = name.to_owned();
        assert!(matches!(html(&bad), Err(Error::Name { .. })), "{name:?}");
    }
}

#[test]
fn the_folder_has_every_table_and_figure_as_files() {
    let results = tempfile::tempdir().unwrap();
    let folder = results.path().join("report");
    let page = Bundle::open(results.path()).unwrap().write(&report()).unwrap();
    assert_eq!(std::fs::read_to_string(page).unwrap(), html(&report()).unwrap());
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    assert!(text("tables/table-1.md").contains("0.900 (0.959)"));
    assert!(text("tables/table-1.csv").starts_with("item,profile,comparable,"));
    assert!(text("figures/figure-5.svg").starts_with("<svg xmlns="));
    assert!(read("figures/figure-5.png").starts_with(b"\x89PNG"));
    let json: serde_json::Value = serde_json::from_slice(&read("report.json")).unwrap();
    assert_eq!(json["items"][0]["table"]["cells"][1]["accuracy"], json!(0.9));
    let claims: Vec<ClaimVerdict> = serde_json::from_slice(&read("claims.json")).unwrap();
    assert_eq!(claims, report().claims);
}

#[test]
fn nothing_of_an_older_report_is_left_and_nothing_elses_is_touched() {
    let results = tempfile::tempdir().unwrap();
    let folder = results.path().join("report");
    let write = |report: &Report| Bundle::open(results.path()).unwrap().write(report).unwrap();
    write(&report());
    std::fs::write(folder.join("tables/mine.md"), "mine").unwrap();
    std::fs::write(results.path().join("up.md"), "mine").unwrap();
    let mut other = report();
    other.items[0].name = "table-2".to_owned();
    write(&other);
    for (file, there) in [
        ("tables/table-1.md", false),
        ("tables/table-1.csv", false),
        ("tables/table-2.md", true),
        ("figures/figure-5.svg", true),
        ("tables/mine.md", true),
    ] {
        assert_eq!(folder.join(file).exists(), there, "{file}");
    }
    // A report from elsewhere may name anything.
    std::fs::write(folder.join("report.json"), json!({ "items": [{ "name": "../../up" }] }).to_string())
        .unwrap();
    write(&other);
    assert!(results.path().join("up.md").exists());
}

#[cfg(unix)]
#[test]
fn no_link_leads_a_report_elsewhere() {
    let (results, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = results.path().join("report");
    let link = |to: &std::path::Path, at: &std::path::Path| std::os::unix::fs::symlink(to, at).unwrap();
    link(outside.path(), &folder);
    assert!(Bundle::open(results.path()).unwrap_err().to_string().contains("report: is a link"));
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    link(outside.path(), &folder.join("tables"));
    assert!(Bundle::open(results.path()).unwrap_err().to_string().contains("tables: is a link"));
    std::fs::remove_file(folder.join("tables")).unwrap();
    let page = outside.path().join("page");
    std::fs::write(&page, "mine").unwrap();
    link(&page, &folder.join("report.html"));
    Bundle::open(results.path()).unwrap().write(&report()).unwrap();
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "mine");
}
