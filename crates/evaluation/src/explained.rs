//! What the name of a test or warning means, and what to do about it.

/// The text behind a name; it stands beside whatever finds the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// What is wrong, in a word or two: `gradients-vanish`.
    pub name: &'static str,
    /// What it means if it is found.
    pub means: &'static str,
    /// What to do then.
    pub todo: &'static str,
}
