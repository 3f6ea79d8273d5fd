use robin_core::{Budget, Norm};
use robin_evaluation::Interval;
use robin_experiments::external_model::verdict::{Belief, Deny, Gate, Reason, Status, Verdict};

use super::*;

fn verdict(denies: Option<Deny>) -> Verdict {
    let reason = |title: &str, status, found: &str| Reason {
        title: title.to_owned(),
        status,
        found: found.to_owned(),
        means: "It means <this>.",
        todo: "Do & that.",
    };
    let gate =
        Gate { gate: "--min-union 0.45".to_owned(), met: false, found: "union 0.42".to_owned(), denies };
    Verdict {
        union: 0.42,
        interval: Interval { low: 0.35, high: 0.49 },
        clean: 0.93,
        n: 200,
        budget: Budget { norm: Norm::Linf, epsilon: "8/255".parse().unwrap() },
        belief: Belief::No,
        reasons: vec![
            reason("gradients-vanish (T13)", Status::Fail, "50% <script>alert(1)</script>"),
            reason("attack-blind", Status::Warn, "a | b \u{1b}[2J"),
        ],
        passed: 1,
        skipped: 1,
        gates: vec![gate],
    }
}

fn view(verdict: &Verdict) -> View<'_> {
    let test = |title: &str, word, note: &'static str| TestView {
        title: title.to_owned(),
        word,
        asks: "asks",
        note,
        means: "It means this.",
        todo: "Do that.",
        numbers: vec![("a <number>", "1".to_owned())],
    };
    View {
        question: QUESTION,
        belief: "no",
        lines: verdict.lines(),
        verdict,
        reasons: verdict
            .reasons
            .iter()
            .map(|reason| ReasonView { word: word(reason.status), reason })
            .collect(),
        accuracies: vec![AccuracyView {
            what: "pgd".to_owned(),
            accuracy: "0.4200".to_owned(),
            interval: String::new(),
            more: "<b>".to_owned(),
        }],
        tests: vec![
            test("gradients-vanish (T13)", word(Status::Fail), "half \"quoted\""),
            test("close-calls-flip (T16)", word(Status::Skipped), "not in f64"),
            test("steps-too-few (T4)", word(Status::Warn), "a little"),
            test("noise-beats-gradients (T7)", word(Status::Pass), "nothing"),
        ],
        classes: vec![ClassView { class: 3, n: 20, right: 19, robust: 8 }],
        facts: vec![("model".to_owned(), "<img src=x>|*net*.onnx".to_owned())],
        files: FILES,
    }
}

#[test]
fn both_pages_begin_with_the_verdict_and_take_no_text_for_markup() {
    let verdict = verdict(None);
    let view = view(&verdict);
    let html = view.render().unwrap();
    let body = html.split("<body>").nth(1).unwrap();
    let at = |part: &str| body.find(part).unwrap_or_else(|| panic!("{part} is not there: {body}"));
    assert!(at("How robust is it, and can the number be believed?") < at("42.0% of 200 images"));
    assert!(
        at("42.0% of 200 images") < at("Can it be believed: NO") && at("Let through: NO") < at("Accuracy")
    );
    for forbidden in ["<script", "<img", "<b>", "<this>", "http://", "https://", " onload"] {
        assert!(!body.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("prefers-color-scheme: dark"));

    let page = markdown::page(&view);
    assert!(
        page.starts_with("# How robust is it, and can the number be believed?\n\n- How robust: 42.0%"),
        "{page}"
    );
    assert!(page.contains("\\<script\\>") && page.contains("\\<img src=x\\>\\|\\*net\\*.onnx"), "{page}");
    assert!(
        !page.contains('\u{1b}') && page.contains("| close-calls-flip (T16) | does not apply |"),
        "{page}"
    );
}

#[test]
fn junit_fails_what_failed_and_what_the_gates_deny() {
    let failures = |denies| {
        let verdict = verdict(denies);
        let xml = junit::suite(&view(&verdict));
        assert_eq!(xml.matches("<testcase ").count(), 6, "{xml}");
        assert!(xml.contains("tests=\"6\"") && xml.contains("skipped=\"1\""), "{xml}");
        assert!(
            xml.contains("<failure message=\"half &quot;quoted&quot;\">It means this. Do that.</failure>")
        );
        assert!(!xml.contains('\u{1b}') && !xml.contains("<script"), "{xml}");
        let said = xml.split("failures=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert_eq!(said, xml.matches("<failure ").count().to_string());
        said
    };
    assert_eq!(failures(None), "2", "gradients-vanish, and the gate");
    assert_eq!(failures(Some(Deny::Fail)), "2");
    assert_eq!(failures(Some(Deny::Warn)), "4", "steps-too-few and attack-blind too");
}
