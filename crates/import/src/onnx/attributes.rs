//! What a node says about itself, and its name in messages.

use super::proto::{Attribute, Node};
use crate::error::clip;

/// A node's attributes, by name.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a Node);

impl<'a> Attributes<'a> {
    pub(super) fn find(&self, name: &str) -> Option<&'a Attribute> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.find(name).and_then(|attribute| attribute.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.find(name).map(|attribute| attribute.ints.as_slice())
    }

    /// Empty where there is none, or none of UTF-8.
    pub(super) fn text(&self, name: &str) -> &'a str {
        let bytes = self.find(name).and_then(|attribute| attribute.s.as_deref());
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// A node's name in messages.
pub(super) fn name_of(node: &Node) -> String {
    let output = node.output.first().map_or("", String::as_str);
    clip(if node.name.is_empty() { output } else { &node.name })
}
