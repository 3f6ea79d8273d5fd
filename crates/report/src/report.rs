//! Everything that one report shows.

use std::collections::BTreeSet;

use robin_experiments::claims::Forest;
use robin_experiments::record::Record;
use robin_experiments::{ClaimVerdict, Gallery, Item, Profile};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::live::Live;

/// The results of one profile.
#[derive(Debug, Clone)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// How much was done.
    pub profile: Profile,
    /// Where the numbers come from, as pairs of what and which: commit, machine, date.
    pub provenance: Vec<(String, String)>,
    /// The finding: ROBIN's lead over the single network, row by row. Empty where nothing was measured of it.
    pub forest: Vec<Forest>,
    /// Tables and figures, in the paper's order.
    pub items: Vec<Item>,
    /// Titles of items that could be added: they were not asked for, or have no number.
    pub more: Vec<String>,
    /// What the paper's text claims.
    pub claims: Vec<ClaimVerdict>,
    /// Images under attack.
    pub galleries: Vec<Gallery>,
    /// Every record that a number, claim or gallery names; all others are left out of the page.
    pub records: Vec<Record>,
    /// How far the work is, while it goes on: the page then loads itself again.
    pub live: Option<Live>,
}

impl Report {
    /// All that is shown but the images, as programs read it.
    pub fn json(&self) -> Value {
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                json!({
                    "name": item.name,
                    "title": item.title,
                    "table": item.table,
                    "figures": item.figures,
                    "values": item.values,
                    "notes": item.notes,
                })
            })
            .collect();
        json!({
            "title": self.title,
            "profile": self.profile.to_string(),
            "provenance": self.provenance.iter().map(|(what, which)| json!([what, which])).collect::<Vec<_>>(),
            "forest": self.forest,
            "items": items,
            "claims": self.claims,
            "galleries": self.galleries.iter().map(|gallery| &gallery.title).collect::<Vec<_>>(),
        })
    }

    /// Whether names can be those of files and links, and every record that is named is there.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Duplicate`], [`Error::MissingRecord`].
    pub(crate) fn check(&self) -> Result<()> {
        let figures = self.items.iter().flat_map(|item| &item.figures);
        unique("items", self.items.iter().map(|item| item.name.as_str()))?;
        unique("figures", figures.clone().map(|figure| figure.id.as_str()))?;
        unique("claims", self.claims.iter().map(|claim| claim.id.as_str()))?;
        let have: BTreeSet<&str> = self.records.iter().map(|record| record.key.as_str()).collect();
        for (place, key) in self.named() {
            if !have.contains(key) {
                return Err(Error::MissingRecord { place, key: key.to_owned(), records: have.len() });
            }
        }
        Ok(())
    }

    /// Every record that something names, with who names it.
    fn named(&self) -> Vec<(String, &str)> {
        let mut named: Vec<(String, &str)> = Vec::new();
        for row in &self.forest {
            named.extend(row.records.iter().map(|key| (format!("row {}", row.row), key.as_str())));
        }
        for item in &self.items {
            for cell in item.table.iter().flat_map(|table| &table.cells) {
                named.extend(cell.records.iter().map(|key| (item.name.clone(), key.as_str())));
            }
            for value in &item.values {
                named.extend(value.records.iter().map(|key| (item.name.clone(), key.as_str())));
            }
            for figure in &item.figures {
                named.extend(figure.records().map(|key| (figure.id.clone(), key)));
            }
        }
        for claim in &self.claims {
            named.extend(claim.records.iter().map(|key| (format!("claim {}", claim.id), key.as_str())));
        }
        for gallery in &self.galleries {
            named.extend(
                gallery.records.iter().map(|key| (format!("gallery {}", gallery.title), key.as_str())),
            );
        }
        named
    }

    /// The records that something names, in the report's order.
    pub(crate) fn named_records(&self) -> impl Iterator<Item = &Record> {
        let named: BTreeSet<&str> = self.named().into_iter().map(|(_, key)| key).collect();
        self.records.iter().filter(move |record| named.contains(record.key.as_str()))
    }
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !can_name(name) {
            return Err(Error::Name { name: name.to_owned() });
        }
        if !seen.insert(name) {
            return Err(Error::Duplicate { what, name: name.to_owned() });
        }
    }
    Ok(())
}

/// Whether `name` can name a file or a link: lower-case letters, digits and single hyphens.
pub(crate) fn can_name(name: &str) -> bool {
    name.split('-')
        .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}
