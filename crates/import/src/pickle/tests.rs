//! Pickles by hand: what is hostile by design.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// A file as `torch.save` lays it out, with `pickle` and one storage.
fn file(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("net/data.pkl", pickle), ("net/data/0", storage)] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn tuple(numbers: &[u8]) -> Vec<u8> {
    let items = numbers.iter().flat_map(|number| [b'K', *number]);
    [vec![b'('], items.collect(), vec![b't']].concat()
}

/// A tensor of the storage.
fn tensor(storage: &str, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let name = [b"ctorch\n", storage.as_bytes(), b"\n"].concat();
    let kept =
        [vec![b'('], text("storage"), name, text("0"), text("cpu"), vec![b'K', 6, b't', b'Q']].concat();
    let arguments =
        [kept, vec![b'K', offset], tuple(shape), tuple(strides), vec![0x89, b'N', b't', b'R']].concat();
    [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), arguments].concat()
}

/// A dictionary of one tensor.
fn pickle(tensor: &[u8]) -> Vec<u8> {
    [&[0x80, 2, b'}'][..], &text("w"), tensor, b"s."].concat()
}

fn storage() -> Vec<u8> {
    (0..6).flat_map(|at: u8| f32::from(at).to_le_bytes()).collect()
}

#[test]
fn views_are_read_in_their_own_order() {
    let read = |offset, shape: &[u8], strides: &[u8]| {
        let bytes = file(&pickle(&tensor("FloatStorage", offset, shape, strides)), &storage());
        parse(&bytes, "net.pt").map(|mut tensors| tensors.remove("w").unwrap().values)
    };
    assert_eq!(read(0, &[2, 3], &[3, 1]).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(read(0, &[3, 2], &[1, 3]).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(read(1, &[2, 2], &[2, 0]).unwrap(), [1.0, 1.0, 3.0, 3.0]);
    assert_eq!(read(5, &[], &[]).unwrap(), [5.0]);
    for (offset, shape, strides) in
        [(1, &[2, 3][..], &[3, 1][..]), (6, &[], &[]), (0, &[2], &[]), (0, &[2, 2], &[200, 1])]
    {
        let error = read(offset, shape, strides).unwrap_err().to_string();
        assert!(error.contains("does not fit its 6 values"), "{error}");
    }
    let error = read(0, &[200, 200, 200], &[0, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("more values than the file"), "{error}");
}

#[test]
fn what_is_no_tensor_of_floats_is_left_out_or_refused() {
    let bytes = file(&pickle(&tensor("LongStorage", 0, &[2], &[1])), &storage());
    assert!(parse(&bytes, "net.pt").unwrap_err().to_string().contains("no tensor of floats"));
    let other = [&[0x80, 2, b'}'][..], &text("epoch"), b"K\x03s."].concat();
    let error = parse(&file(&other, &[]), "net.pt").unwrap_err().to_string();
    assert!(error.contains("its keys: epoch") && error.contains("state_dict"), "{error}");
    let error = parse(b"\x80\x02}q\x00.", "old.pth").unwrap_err().to_string();
    assert!(error.contains("before 1.6"), "{error}");
    let error = parse(b"PK no archive", "net.pt").unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error}");
}

#[test]
fn code_is_refused_by_name_however_it_is_named() {
    for (pickle, name) in [
        (&b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."[..], "os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
        (b"\x80\x02(ios\nsystem\n.", "old instruction"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
    ] {
        let error = parse(&file(pickle, &[]), "net.pt").unwrap_err();
        assert!(matches!(&error, Error::Code { name: found, .. } if found.contains(name)), "{error}");
    }
}

#[test]
fn small_pickles_stay_small_and_deep_ones_are_no_depth() {
    // Each line holds the one before twice: 2^60 values where they are copied.
    let mut laughs = vec![0x80, 2, b']'];
    for _ in 0..60 {
        laughs.extend(b"q\x00h\x00\x86");
    }
    laughs.push(b'.');
    assert!(parse(&file(&laughs, &[]), "net.pt").unwrap_err().to_string().contains("no dictionary"));
    let mut deep = vec![0x80, 2, b'N'];
    deep.extend(std::iter::repeat_n(0x85, 1_000_000));
    deep.push(b'.');
    assert!(parse(&file(&deep, &[]), "net.pt").unwrap_err().to_string().contains("no dictionary"));
    // A text of 4 GB, of which there is nothing.
    let claims = b"\x80\x02X\xFF\xFF\xFF\xFF.";
    assert!(
        parse(&file(claims, &[]), "net.pt").unwrap_err().to_string().contains("middle of an instruction")
    );
    // A dictionary in itself, under a key that is looked into.
    let itself = [&[0x80, 2, b'}', b'q', 0][..], &text("model"), b"h\x00s."].concat();
    assert!(parse(&file(&itself, &[]), "net.pt").unwrap_err().to_string().contains("too deep"));
}
