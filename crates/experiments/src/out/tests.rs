use serde_json::json;

use super::*;

fn other((field, found, expected): Difference) -> Error {
    Error::OtherSettings { path: "run.json".into(), field, found, expected }
}

/// Claims `folder` for `settings`.
fn claim(folder: &Path, settings: &Value) -> Result<()> {
    Out::open(folder, 0).unwrap().claim("run.json", settings, anything, other)
}

#[test]
fn a_folder_belongs_to_one_runs_settings_and_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({ "attack": { "name": "pgd", "steps": 20 }, "seed": 0, "rate": 0.1 });
    claim(folder.path(), &settings).unwrap();
    let written = fs::read(folder.path().join("run.json")).unwrap();
    // The same run in another order of its settings.
    claim(folder.path(), &json!({ "rate": 0.1, "seed": 0, "attack": { "steps": 20, "name": "pgd" } }))
        .unwrap();
    for (changed, field, was, now) in [
        (
            json!({ "attack": { "name": "pgd", "steps": 21 }, "seed": 0, "rate": 0.1 }),
            "attack.steps",
            "20",
            "21",
        ),
        (json!({ "attack": { "name": "pgd", "steps": 20 }, "seed": 0 }), "rate", "0.1", "nothing"),
        (
            json!({ "attack": { "name": "pgd", "steps": 20 }, "seed": 0, "rate": 0.1, "x": 1 }),
            "x",
            "nothing",
            "1",
        ),
    ] {
        let error = claim(folder.path(), &changed).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("made with {field} {was}, now {now}; choose another --out")),
            "{text}"
        );
        assert_eq!(fs::read(folder.path().join("run.json")).unwrap(), written);
    }
}

#[test]
fn results_without_settings_are_nobodys_to_replace() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("found.png"), "somebody's").unwrap();
    let text = claim(folder.path(), &json!({})).unwrap_err().to_string();
    assert!(text.contains("holds found.png and no run.json"), "{text}");
    fs::remove_file(folder.path().join("found.png")).unwrap();
    fs::write(folder.path().join("run.json"), "{").unwrap();
    let text = claim(folder.path(), &json!({})).unwrap_err().to_string();
    assert!(text.contains("run.json: content: expected JSON"), "{text}");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let (free, taken) = (folder.path().join("a.json"), folder.path().join("b.json"));
    check_targets([free.clone(), taken.clone()]).unwrap();
    fs::create_dir(&taken).unwrap();
    let text = check_targets([free, taken]).unwrap_err().chain();
    assert!(text.contains("b.json: cannot write: is a directory"), "{text}");
}

#[cfg(unix)]
#[test]
fn no_link_in_a_folder_leads_out_of_it() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let link = |from: &Path, name: &str| {
        std::os::unix::fs::symlink(from, folder.path().join(name)).unwrap();
        folder.path().join(name)
    };
    let secret = outside.path().join("secret");
    fs::write(&secret, "mine").unwrap();
    // In the place of the lock, of a folder, and of a file.
    let lock = link(&secret, ".lock");
    let text = Out::open(folder.path(), 0).unwrap_err().to_string();
    assert!(text.contains(".lock: is a link"), "{text}");
    fs::remove_file(lock).unwrap();
    let out = Out::open(folder.path(), 0).unwrap();
    for target in [outside.path().to_owned(), outside.path().join("nowhere")] {
        let path = link(&target, "networks");
        let text = out.folder("networks").unwrap_err().to_string();
        assert!(text.contains("networks: is a link"), "{text}");
        fs::remove_file(path).unwrap();
    }
    write(&link(&secret, "a.json"), b"ours").unwrap();
    let names: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((fs::read_to_string(&secret).unwrap(), names), ("mine".to_owned(), vec!["secret".into()]));
    // The folder that was named may be one.
    let named = outside.path().join("results");
    std::os::unix::fs::symlink(folder.path(), &named).unwrap();
    drop(out);
    Out::open(&named, 0).unwrap();
}
