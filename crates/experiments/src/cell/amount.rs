//! How much work a cell is, in passes of its networks.

use serde_json::Value;

/// Work for networks of one architecture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Amount {
    /// Forward passes with the gradient on the images, for one example.
    pub(crate) attack: f64,
    /// Forward passes with the gradient on the weights, for one example.
    pub(crate) training: f64,
    /// Networks prepared for an attack.
    pub(crate) freeze: f64,
}

impl Amount {
    /// Nothing but passes of an attack.
    pub(crate) fn attack(passes: f64) -> Self {
        Self { attack: passes, ..Self::default() }
    }
}

/// A forward pass alone is about half as much work as one with the gradient on the images.
pub(crate) const FORWARD: f64 = 0.5;

/// Gradient steps of an attack, read from its settings so that a new attack needs no edit here.
pub(crate) fn steps(attack: &robin_attacks::Config) -> f64 {
    let settings = serde_json::to_value(attack).unwrap_or(Value::Null);
    let number = |name: &str| settings[name].as_f64().unwrap_or(1.0);
    // CW in linf runs through its constants, and again when its bound falls: on robust networks hardly more than once.
    let constants =
        (number("largest_constant") / number("first_constant")).ln() / number("constant_factor").ln();
    let rounds = if settings["constant_factor"].is_null() { 1.0 } else { constants.ceil().max(1.0) };
    ["steps", "restarts", "candidates", "searches", "queries"].map(number).iter().product::<f64>() * rounds
}
