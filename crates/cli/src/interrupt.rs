//! Ctrl-C and SIGTERM: once to stop between two steps, twice to stop at once. SIGUSR1: save and go on.

use std::sync::OnceLock;

use anyhow::Context;
use robin_core::CancelToken;
use robin_training::SaveToken;

use crate::terminal::say;

/// A token that the first signal cancels; the second ends the process.
pub fn token() -> anyhow::Result<CancelToken> {
    let token = CancelToken::new();
    let handled = token.clone();
    ctrlc::set_handler(move || {
        if handled.is_cancelled() {
            std::process::exit(130);
        }
        handled.cancel();
        say!("stopping (again to stop at once)...");
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(token)
}

/// The token that asks every training of this process for a checkpoint whenever SIGUSR1 comes, as batch systems send it
/// before a job's time is over. Once this was called the signal ends no work, whatever the work is. Elsewhere than on Unix
/// nothing asks.
pub fn save_token() -> anyhow::Result<SaveToken> {
    static TOKEN: OnceLock<SaveToken> = OnceLock::new();
    if let Some(token) = TOKEN.get() {
        return Ok(token.clone());
    }
    let token = TOKEN.get_or_init(SaveToken::new).clone();
    #[cfg(unix)]
    {
        let signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGUSR1]);
        let mut signals = signals.context("cannot watch for SIGUSR1")?;
        let asked = token.clone();
        let watch = move || signals.forever().for_each(|_| asked.ask());
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(watch)
            .context("cannot start a thread")?;
    }
    Ok(token)
}
