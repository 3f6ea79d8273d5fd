//! A note in a weight file: text that says what its network is for, beside the tensors and not among them.
//!
//! It is the only entry of the file's metadata, because a file with one entry has one form, and the order of several is
//! nobody's. A file without its note is, byte for byte, what [`crate::Parameters::to_safetensors`] wrote: so a hash of weights
//! does not depend on what is said about them.

use std::collections::HashMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{SafeTensors, TensorView, serialize};

use crate::{Error, Result};

/// Name of the entry.
const ENTRY: &str = "robin";

/// The note in a safetensors file's `bytes`, if it has one; `file` names it in messages.
///
/// # Errors
/// [`Error::Safetensors`] if the bytes are no such file.
pub fn note(bytes: &[u8], file: &str) -> Result<Option<String>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(fault(file))?;
    Ok(metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY)).cloned())
}

/// A file with the tensors of `bytes` and `note`, in place of whatever its metadata said.
///
/// # Errors
/// As [`note`].
pub fn with_note(bytes: &[u8], note: &str, file: &str) -> Result<Vec<u8>> {
    let found = SafeTensors::deserialize(bytes).map_err(fault(file))?;
    write(&found, Some(note)).map_err(fault(file))
}

/// The bytes that [`with_note`] was given, if `bytes` are, to the last one, what it writes for the tensors of
/// [`crate::Parameters::to_safetensors`]; `None` for any other file.
pub fn without_note(bytes: &[u8]) -> Option<Vec<u8>> {
    let note = note(bytes, "").ok()??;
    let found = SafeTensors::deserialize(bytes).ok()?;
    (write(&found, Some(&note)).ok()? == bytes).then(|| write(&found, None).ok())?
}

fn write(found: &SafeTensors<'_>, note: Option<&str>) -> Result<Vec<u8>, SafeTensorError> {
    let views: Vec<(&str, TensorView<'_>)> = found.iter().collect();
    serialize(views, note.map(|note| HashMap::from([(ENTRY.to_owned(), note.to_owned())])))
}

fn fault(file: &str) -> impl FnOnce(SafeTensorError) -> Error {
    let file = file.to_owned();
    move |source| Error::Safetensors { file, source }
}

#[cfg(test)]
mod tests {
    use robin_core::Seed;

    use super::*;
    use crate::{Graph, Parameters};

    fn plain() -> (Graph, Vec<u8>) {
        let graph = Graph::builder("toy", [1, 2, 2]).batch_norm2d("bn").flatten().linear("fc", 2);
        let graph = graph.build().unwrap();
        let bytes = Parameters::initialise(&graph, Seed::new(1)).to_safetensors().unwrap();
        (graph, bytes)
    }

    #[test]
    fn a_note_is_beside_the_tensors_and_leaves_no_trace() {
        let (graph, plain) = plain();
        assert_eq!(note(&plain, "w").unwrap(), None);
        assert_eq!(without_note(&plain), None, "there is none to take out");
        let noted = with_note(&plain, "{\"class\":3}", "w").unwrap();
        assert_eq!(note(&noted, "w").unwrap().as_deref(), Some("{\"class\":3}"));
        assert_eq!(noted, with_note(&plain, "{\"class\":3}", "w").unwrap(), "one note, one file");
        assert_eq!(without_note(&noted).unwrap(), plain);
        let read = |bytes| Parameters::from_safetensors(&graph, bytes, "w").unwrap();
        assert_eq!(read(&noted), read(&plain));
        assert_eq!(without_note(&with_note(&noted, "another", "w").unwrap()).unwrap(), plain);
    }

    #[test]
    fn a_file_that_was_touched_is_another_file() {
        let (_, plain) = plain();
        let noted = with_note(&plain, "a note", "w").unwrap();
        for at in 0..noted.len() {
            let mut touched = noted.clone();
            touched[at] ^= 1;
            // Either nothing of it is left out when it is hashed, or what is left differs; a changed note is its reader's to find.
            let changed_note = note(&touched, "w").is_ok_and(|note| note.as_deref() != Some("a note"));
            assert!(changed_note || without_note(&touched).as_deref() != Some(&plain[..]), "byte {at}");
        }
        assert!(note(&noted[..20], "cut.safetensors").unwrap_err().to_string().contains("cut.safetensors"));
    }
}
