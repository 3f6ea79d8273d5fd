//! Files under construction: written beside their target, so that renaming them is one step.

use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A new file `.NAME.XXXXXX.part` in `folder`, gone when dropped.
pub(crate) fn create(folder: &Path, name: &str) -> Result<NamedTempFile> {
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // Temporary files are private by default, but data folders and checkouts may be shared.
    #[cfg(unix)]
    let shared = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    #[cfg(unix)]
    builder.permissions(shared);
    builder.tempfile_in(folder).map_err(Error::io("create a file in", folder))
}
