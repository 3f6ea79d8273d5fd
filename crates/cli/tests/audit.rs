//! The program `robin` from weights in a file to a verdict, pages and exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use robin_core::Seed;
use robin_data::{Choice, DatasetName, Source, Split};
use robin_nn::Parameters;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

const IMAGES: usize = 8;

/// What the program did.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

fn robin(arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robin"));
    let Output { status, stdout, stderr } =
        command.args(arguments).stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program writes text");
    Done { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// A folder with weights of `cnn2-small`, none of them trained, and images that the network is right about.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write_weights("plain", 1.0);
        // The same decisions, and cross-entropy sees none of them.
        place.write_weights("loud", 1e4);
        place.write_images();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write_weights(&self, name: &str, factor: f32) {
        let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], 10).unwrap();
        let mut parameters = Parameters::initialise(&graph, Seed::new(1));
        for tensor in parameters.trained.iter_mut().filter(|tensor| tensor.name.starts_with("fc2.")) {
            // Fresh weights give small scores, which little would change.
            let enlarged = if tensor.name == "fc2.weight" { 20.0 } else { 1.0 };
            tensor.values.iter_mut().for_each(|value| *value *= enlarged * factor);
        }
        std::fs::write(self.path(name).with_extension("safetensors"), parameters.to_safetensors().unwrap())
            .unwrap();
    }

    /// Digits, each with the class that the network takes it for. The name is not taken for markup.
    fn write_images(&self) {
        let asked =
            robin(&self.on("predict", "plain", &["--dataset", "mnist", "--embedded", "--json"]).borrowed());
        let predictions = asked.json()["predictions"].as_array().unwrap().clone();
        let labels: Vec<u8> = predictions.iter().map(|class| class.as_u64().unwrap() as u8).collect();
        let digits =
            Choice::Published(DatasetName::Mnist).load(Split::Test, &Source::Embedded, None).unwrap();
        let digits = digits.take(IMAGES).unwrap();
        let pixels = digits.pixels().unwrap();
        let images = TensorView::new(Dtype::U8, vec![IMAGES, 1, 28, 28], &pixels).unwrap();
        let labels = TensorView::new(Dtype::U8, vec![IMAGES], &labels).unwrap();
        let file = safetensors::serialize([("images", images), ("labels", labels)], None).unwrap();
        std::fs::write(self.path(DATA), file).unwrap();
    }

    /// A command on the weights `name`.
    fn on(&self, command: &str, name: &str, options: &[&str]) -> Words {
        let weights = self.text(&format!("{name}.safetensors"));
        let limit = IMAGES.to_string();
        let fixed =
            [command, "--model", "cnn2-small", "--weights", &weights, "--limit", &limit, "--threads", "1"];
        Words(fixed.iter().chain(options).map(|word| (*word).to_owned()).collect())
    }

    /// A command on the images of this place, within a budget.
    fn within(&self, command: &str, name: &str, out: &str, options: &[&str]) -> Done {
        let (data, out) = (self.text(DATA), self.text(out));
        let fixed =
            ["--dataset", &data, "--classes", "10", "--norm", "linf", "--epsilon", "20/255", "--out", &out];
        robin(&self.on(command, name, &[&fixed[..], options].concat()).borrowed())
    }
}

const DATA: &str = "own & <b>.safetensors";

/// Words of a command.
struct Words(Vec<String>);

impl Words {
    fn borrowed(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

#[test]
fn an_audit_ends_with_its_verdict_and_gates_decide_the_exit_code() {
    let place = Place::new();
    let first = place.within("audit", "plain", "audit", &[]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let lines: Vec<&str> = first.out.lines().collect();
    let [.., page, robust, believable, passage] = &lines[..] else { panic!("{}", first.out) };
    assert!(page.ends_with("audit.html") && robust.starts_with("How robust: "), "{}", first.out);
    assert!(believable.starts_with("Can it be believed: "), "{believable}");
    assert_eq!(*passage, "Let through: no gate was set (--min-union, --deny).");
    for part in ["autoattack apgd-ce", "autoattack square", "pgd softmax ce steps=20", "union of all attacks"]
    {
        assert!(first.out.contains(part), "{part}: {}", first.out);
    }
    assert!(first.out.contains("gradients-vanish (T13): "), "{}", first.out);

    // The same folder again: nothing is attacked twice, so gates cost nothing.
    let whole = place.within("audit", "plain", "audit", &["--json"]).json();
    let report: Value = serde_json::from_str(&place.read("audit/report.json")).unwrap();
    assert_eq!(whole["report"], report);
    let union = report["summary"]["union"].as_f64().unwrap();
    assert_eq!(whole["verdict"]["union"], report["summary"]["union"]);
    let vanished = |verdict: &Value| {
        let reasons = verdict["reasons"].as_array().unwrap();
        reasons.iter().any(|reason| reason["title"] == "gradients-vanish (T13)" && reason["status"] == "fail")
    };
    assert!(!vanished(&whole["verdict"]), "{whole:#}");
    assert!(union < 1.0, "the attacks have something to do");
    let (met, more) = (union.to_string(), (union + 0.01).to_string());
    for (share, code) in [(&met, 0), (&more, 3)] {
        let done = place.within("audit", "plain", "audit", &["--min-union", share]);
        assert_eq!(done.code, Some(code), "{}{}", done.out, done.err);
        let last = done.out.lines().last().unwrap();
        assert_eq!(last.contains("NOT MET"), code == 3, "{last}");
        assert_eq!(done.err.contains("error: not let through: --min-union"), code == 3, "{}", done.err);
    }
    let believed = whole["verdict"]["belief"] != "no";
    let denied = place.within("audit", "plain", "audit", &["--deny", "fail"]);
    assert_eq!(denied.code, Some(if believed { 0 } else { 3 }), "{}", denied.out);

    // A page that needs nothing else, and takes no text for markup.
    let html = place.read("audit/audit.html");
    let body = html.split("<body>").nth(1).unwrap();
    assert!(body.contains("own &#38; &#60;b&#62;.safetensors"), "{body}");
    assert!(!body.contains("<b>") && !html.contains("<script") && !html.contains("http"), "{html}");
    let place_of = |part: &str| body.find(part).unwrap_or_else(|| panic!("{part}: {body}"));
    assert!(place_of("How robust is it, and can the number be believed?") < place_of("How robust: "));
    assert!(place_of("How robust: ") < place_of("What was audited"));
    assert!(
        place
            .read("audit/audit.md")
            .starts_with("# How robust is it, and can the number be believed?\n\n- How robust: ")
    );
}

#[test]
fn a_masked_model_is_failed_by_name() {
    let place = Place::new();
    let junit = place.text("junit.xml");
    let done = place.within("audit", "loud", "audit", &["--deny", "fail", "--junit", &junit]);
    assert_eq!(done.code, Some(3), "{}{}", done.out, done.err);
    let lines: Vec<&str> = done.out.lines().collect();
    let [.., believable, passage] = &lines[..] else { panic!("{}", done.out) };
    assert!(
        believable.starts_with("Can it be believed: NO; ") && believable.contains("gradients-vanish (T13)")
    );
    assert!(passage.starts_with("Let through: NO; --deny fail NOT MET (failures: "), "{passage}");
    let page = place.read("audit/audit.md");
    assert!(page.contains("**FAIL gradients-vanish (T13)**") && page.contains("What to do: "), "{page}");
    let xml = place.read("junit.xml");
    let case = xml.lines().find(|line| line.contains("name=\"gradients-vanish (T13)\"")).unwrap();
    assert!(case.contains("<failure message="), "{case}");
    assert!(xml.contains("classname=\"gates\" name=\"--deny fail\"><failure"), "{xml}");
}

#[test]
fn an_evaluation_has_the_same_gates() {
    let place = Place::new();
    let evaluate = |gates: &[&str]| {
        place.within("evaluate", "plain", "evaluation", &[&["--steps", "3"], gates].concat())
    };
    let free = evaluate(&[]);
    assert_eq!(free.code, Some(0), "{}", free.err);
    assert!(!free.out.contains("Let through"), "{}", free.out);
    let denied = evaluate(&["--min-union", "1"]);
    assert_eq!(denied.code, Some(3), "{}{}", denied.out, denied.err);
    assert!(denied.out.lines().last().unwrap().starts_with("Let through: NO; --min-union 1 NOT MET"));
    assert_eq!(evaluate(&["--min-union", "0"]).code, Some(0));
}

#[test]
fn nothing_to_verify_is_no_success() {
    let place = Place::new();
    let (data, out) = (place.text(DATA), place.text("found"));
    let images = ["--dataset", &data, "--classes", "10"];
    let attack =
        ["--norm", "linf", "--epsilon", "0,50/255", "--steps", "5", "--loss", "margin", "--out", &out];
    let done = robin(&place.on("attack", "plain", &[&images[..], &attack].concat()).borrowed());
    assert_eq!(done.code, Some(0), "{}", done.err);
    for (folder, code, said) in
        [("linf-0.0", 1, "holds no witness, so nothing was verified"), ("linf-50-255", 0, "hold")]
    {
        let file = Path::new(&out).join(folder).join("adversarial.safetensors").display().to_string();
        let done =
            robin(&place.on("verify-witnesses", "plain", &[&images[..], &[&file]].concat()).borrowed());
        assert_eq!(done.code, Some(code), "{folder}: {}{}", done.out, done.err);
        assert!(done.out.contains(said) || done.err.contains(said), "{}{}", done.out, done.err);
    }
}

#[test]
fn the_program_speaks_of_itself_and_its_lists_by_name() {
    let place = tempfile::tempdir().unwrap();
    let nowhere = place.path().display().to_string();
    let missing = robin(&["data", "verify", "mnist", "--data-dir", &nowhere]);
    let unread = robin(&[
        "export",
        "--model",
        "cnn2-small",
        "--weights",
        "none",
        "--out",
        "o.safetensors",
        "--logits",
        "l.safetensors",
        "--data-dir",
        &nowhere,
    ]);
    assert!(missing.code == Some(1) && unread.code == Some(1), "{}{}", missing.err, unread.err);
    assert!(unread.err.contains("`robin data fetch mnist`"), "{}", unread.err);
    assert!(!unread.err.contains("cargo xtask"), "{}", unread.err);

    let help = robin(&["audit", "--help"]);
    assert!(help.code == Some(0) && help.out.contains("robin audit --model net.onnx"), "{}", help.out);
    assert!(!help.out.contains("cargo xtask"), "{}", help.out);
    for (what, name) in [
        ("attacks", "square"),
        ("models", "resnet18"),
        ("datasets", "mnist"),
        ("strategies", "best-arm"),
        ("items", "table-1"),
    ] {
        let plain = robin(&["list", what]);
        assert!(
            plain.code == Some(0) && plain.out.lines().any(|line| line.starts_with(name)),
            "{}",
            plain.out
        );
        let json = robin(&["list", what, "--json"]).json();
        assert_eq!(json.as_array().unwrap().len(), plain.out.lines().count());
    }
    let named = robin(&["explain", "gradients-vanish"]);
    assert!(named.code == Some(0) && named.out.contains("What to do: "), "{}{}", named.out, named.err);
    assert_eq!(robin(&["explain", "T13"]).out, named.out);
    assert!(robin(&["explain"]).out.contains("attack-blind"));
    let unknown = robin(&["explain", "gradients-vanished"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("gradients-vanish,"), "{}", unknown.err);

    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = robin(&["completions", shell]);
        assert!(script.code == Some(0) && script.out.contains("min-union"), "{shell}: {}", script.err);
    }
    let pages = place.path().join("man");
    let written = robin(&["man", "--out", &pages.display().to_string()]);
    assert!(written.code == Some(0) && pages.join("robin-audit.1").is_file(), "{}", written.err);
    assert_eq!(robin(&["man", "audit"]).out, std::fs::read_to_string(pages.join("robin-audit.1")).unwrap());
    assert_eq!(robin(&["man", "reproduce"]).code, Some(2));
}
