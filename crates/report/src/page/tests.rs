use robin_experiments::claims::Forest;
use robin_experiments::gallery::{Gallery, GalleryEntry, GalleryExample, Picture};
use robin_experiments::record::{Kind, Record};
use robin_experiments::{ClaimVerdict, Profile, Verdict, item};
use serde_json::json;

use super::html;
use crate::bundle::Bundle;
use crate::chart::tests::{figure, histogram_panel, line_panel, ordered_panel, regions_panel};
use crate::error::Error;
use robin_experiments::Item;

use crate::finding::tests::rows;
use crate::live::{Live, LiveItem, LiveNetwork};
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
        rival: Some("multiclass".to_owned()),
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
            rival: Some(GalleryEntry {
                strategy: "softmax".to_owned(),
                perturbed: picture(6),
                prediction: 1,
                scores: vec![10.0, 40.0],
                size: 0.0236,
            }),
            only: Some("multiclass".to_owned()),
        }],
        records: vec![KEY.to_owned()],
    }
}

pub(crate) fn claim() -> ClaimVerdict {
    ClaimVerdict {
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
    }
}

fn forest() -> Vec<Forest> {
    let mut rows = rows();
    rows[0].records = vec![KEY.to_owned()];
    rows
}

/// A claim that nothing was measured of.
fn silent() -> ClaimVerdict {
    ClaimVerdict {
        id: "silent".to_owned(),
        verdict: Verdict::NotTestable,
        needs: None,
        numbers: vec!["figure-1: no such number in this profile".to_owned()],
        records: Vec::new(),
        ..claim()
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
        forest: forest(),
        more: vec!["Figure 9".to_owned()],
        live: None,
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
        claims: vec![claim(), silent()],
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
    assert_eq!(
        sources, ["data:image/png;base64,"; 5],
        "clean, and perturbed and difference of both classifiers"
    );
}

/// The names of all sections of the page, in order.
fn sections(page: &str) -> Vec<&str> {
    let starts = page.match_indices("<section ").map(|(at, _)| &page[at..at + page[at..].find('>').unwrap()]);
    starts.filter_map(|tag| tag.split_once("id=\"")?.1.split('"').next()).collect()
}

#[test]
fn the_finding_stands_first_and_every_claim_has_a_section() {
    let page = html(&report()).unwrap();
    assert_eq!(
        sections(&page),
        ["finding", "claims", "claim-simpler-is-more-robust", "claim-silent", "table-1", "images", "records"]
    );
    let before = &page[..page.find("id=\"claims\"").unwrap()];
    for piece in [
        "On 4 rows: 1 on which ROBIN withstands more",
        // The strip of counts, each with its sign.
        "href=\"#claim-simpler-is-more-robust\"><strong>1</strong> <span aria-hidden=\"true\">●</span> undecided",
        "href=\"#claim-silent\"><strong>1</strong> <span aria-hidden=\"true\">✕</span> not testable",
        "<div class=\"panel wide\"><svg role=\"img\"",
        "<div class=\"panel narrow\"><svg role=\"img\"",
        "download=\"forest.svg\"",
    ] {
        assert!(before.contains(piece), "{piece} is missing before the claims");
    }
    // What nothing was measured of is folded away.
    let folded = page.find("1 claims that these numbers say nothing of").unwrap();
    assert!(page.find("id=\"claim-silent\"").unwrap() > folded);
    assert!(page.contains("1 items of the paper could be added") && page.contains("<p>Figure 9.</p>"));
}

#[test]
fn a_claim_is_drawn_as_far_as_it_was_measured() {
    let one = json!({
        "place": "mnist/cnn2/l2", "asked": { "below": 0.05 }, "verdict": "refuted", "row": "mnist/cnn2/l2", "left": [],
        "estimate": { "effect": 0.09, "low": 0.07, "high": 0.11, "of_images": 0.02, "deviation": null, "seeds": 1,
                      "images": 200 },
    });
    let mut report = report();
    assert_eq!(html(&report).unwrap().matches("differences with 95% intervals; the numbers").count(), 0);
    report.claims[0].comparisons = vec![serde_json::from_value(one).unwrap()];
    let page = html(&report).unwrap();
    assert!(page.contains(
        "aria-label=\"Simpler is more robust: differences with 95% intervals; the numbers stand below\""
    ));
    assert!(page.contains("mnist cnn2 l2\n+0.090 [+0.070, +0.110], refuted"), "said where it is pointed at");
    assert!(page.contains("stroke-dasharray=\"32 24\""), "the margin that is asked for");
}

#[test]
fn a_smoke_run_is_said_once_and_marked_where_it_matters() {
    let page = html(&report()).unwrap();
    assert_eq!(page.matches("not comparable").count(), 1, "one sentence at the top");
    let top = page.find("not comparable").unwrap();
    assert!(top < page.find("<main").unwrap());
    assert!(page.contains("paper 0.959<span class=\"mark\">†</span>"), "a mark at what is printed");
    let mut paper = report();
    paper.profile = Profile::Paper;
    paper.items[0].table.as_mut().unwrap().run.comparable = true;
    paper.items[0].figures[0].comparable = true;
    let page = html(&paper).unwrap();
    assert!(!page.contains("not comparable") && !page.contains('†'));
}

#[test]
fn columns_without_anything_are_not_drawn() {
    let page = html(&report()).unwrap();
    // Under PGD with 20 steps nothing is printed.
    let cell = page.split("href=\"#table-1-2\">").nth(1).unwrap().split("</td>").next().unwrap();
    assert!(cell.starts_with("0.880</a>") && !cell.contains("paper"), "{cell}");
    for heading in ["<th scope=\"col\">published</th>", "<th scope=\"col\">strategies</th>"] {
        assert!(page.contains(heading), "{heading}");
    }
    let mut bare = report();
    bare.forest.clear();
    for cell in &mut bare.items[0].table.as_mut().unwrap().cells {
        cell.published = None;
        cell.strategies.clear();
    }
    let page = html(&bare).unwrap();
    for heading in ["<th scope=\"col\">published</th>", "<th scope=\"col\">strategies</th>"] {
        assert!(!page.contains(heading), "{heading}");
    }
}

#[test]
fn files_stand_beside_what_they_are_of() {
    let page = html(&report()).unwrap();
    for piece in [
        "download=\"table-1.csv\" href=\"data:text/csv;base64,",
        "download=\"figure-5.svg\" href=\"data:image/svg+xml;base64,",
        "note = {Table 1, profile smoke, commit abc}",
        "eprint = {2002.09422}",
    ] {
        assert!(page.contains(piece), "{piece} is missing");
    }
}

#[test]
fn work_in_progress_is_shown_and_loads_itself_again() {
    assert!(!html(&report()).unwrap().contains("http-equiv"));
    let mut live = report();
    let network = LiveNetwork {
        label: "mnist <arm 3>".to_owned(),
        epochs: 5,
        losses: vec![2.0, 1.0, 0.5],
        accuracy: Some(0.625),
        robust: None,
    };
    let items = vec![LiveItem { title: "Table 1".to_owned(), done: 3, cells: 12 }];
    live.live = Some(Live { every: 7, items, networks: vec![network] });
    let page = html(&live).unwrap();
    for piece in [
        "<meta http-equiv=\"refresh\" content=\"7\">",
        "Table 1: 3 of 12 cells",
        "mnist &#60;arm 3&#62;</th><td>3/5</td><td>0.5000</td>",
        "points=\"0.0,1.0 25.0,10.0 50.0,14.5\"",
        "<td>0.625</td><td>–</td>",
    ] {
        assert!(page.contains(piece), "{piece} is missing");
    }
}

#[test]
fn numbers_lead_to_their_records() {
    let page = html(&report()).unwrap();
    for piece in [
        "<p>undecided; on one network &#60;b&#62;</p>\n<p>To decide it: 3 seeds would decide it.</p>",
        "<a class=\"value\" href=\"#table-1-1\">0.900</a><span class=\"paper\">paper 0.959",
        "id=\"table-1-1\" data-cell=\"1\"",
        &format!("<a href=\"#record-{KEY}\">00112233</a>"),
        "<summary><code>00112233</code> evaluation mnist &#60;cnn2&#62;</summary>",
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
        "Test image 17: one <span class=\"only\">multiclass withstands pgd20, robin does not</span>",
        "<h5>multiclass</h5>",
        "<h5>robin, best-arm</h5>",
        // 127 / 12, rounded down.
        "difference to the clean image, times 10",
        "<span class=\"key wrong\">zero</span> <span class=\"small\">size 0.0471, difference × 10</span>",
        // 4.0 is the largest score: half of the track.
        "left:50%;width:50%",
        // -2.0 ends in the middle.
        "left:25%;width:25%",
        // The rival's logits have their own scale: 10 of 40.
        "left:50%;width:12.5%",
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
    assert!(text("forest.svg").contains("withstand every attack, with 95% intervals (profile smoke)"));
    assert!(read("forest.png").starts_with(b"\x89PNG"));
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
    other.forest.clear();
    write(&other);
    for (file, there) in [
        ("forest.svg", false),
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
