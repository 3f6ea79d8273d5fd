//! Ctrl-C and SIGTERM: once to stop between two steps, twice to stop at once.

use anyhow::Context;
use robin_core::CancelToken;

/// A token that the first signal cancels; the second ends the process.
pub(crate) fn token() -> anyhow::Result<CancelToken> {
    let token = CancelToken::new();
    let handled = token.clone();
    ctrlc::set_handler(move || {
        if handled.is_cancelled() {
            std::process::exit(130);
        }
        handled.cancel();
        eprintln!("stopping (again to stop at once)...");
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(token)
}
