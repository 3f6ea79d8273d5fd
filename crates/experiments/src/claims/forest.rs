//! ROBIN's lead over the multiclass network, row by row: a forest plot as data.

use robin_evaluation::{Estimate, Verdict as Gap, verdict};
use serde::Serialize;

use super::asked::{Budgets, Select};
use super::contrast::{Shared, contrast};
use super::library::Library;
use crate::{Outcome, Plan, Result};

/// One row: the difference of what withstands everything, with its interval, and what the paper prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forest {
    /// The row's label.
    pub row: String,
    /// The column that is compared: `union` where there is one, else the strongest attack of the paper that every row has.
    pub attack: String,
    /// ROBIN's accuracy less that of the multiclass network, each under all strategies, image by image; mean over seeds.
    pub difference: f64,
    /// Lower end of its 95% interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// What it says.
    pub lead: LeadVerdict,
    /// Seeds behind it. With fewer than three the interval is one of images only.
    pub seeds: usize,
    /// Test images.
    pub images: usize,
    /// What both share.
    pub shared: Shared,
    /// The paper's difference, under PGD with 20 steps or, in its other tables, 10; by the strongest strategy.
    pub published: Option<f64>,
    /// What the row stands in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<String>,
    /// Keys of the records behind it.
    pub records: Vec<String>,
}

/// What a row's difference says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeadVerdict {
    /// ROBIN withstands more, beyond images and seeds.
    Ahead,
    /// The multiclass network does.
    Behind,
    /// Neither.
    WithinNoise,
    /// Fewer seeds than decide anything.
    TooFewSeeds,
    /// Some network has hardly learned, so that its robustness says nothing.
    NearChance,
}

impl LeadVerdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Behind => "behind",
            Self::WithinNoise => "within noise",
            Self::TooFewSeeds => "undecided",
            Self::NearChance => "near chance",
        }
    }

    fn of(estimate: &Estimate, learned: bool) -> Self {
        match (learned, verdict(estimate)) {
            (false, _) => Self::NearChance,
            (true, Gap::Gap) if estimate.effect > 0.0 => Self::Ahead,
            (true, Gap::Gap) => Self::Behind,
            (true, Gap::WithinNoise) => Self::WithinNoise,
            (true, Gap::Undecided { .. }) => Self::TooFewSeeds,
        }
    }
}

/// The rows of `item` that have numbers, in its order. Only the paper's own rows.
///
/// # Errors
/// [`crate::Error::Json`] if a record's results are not those of its kind.
pub fn forest(plan: &Plan, outcome: &Outcome, item: &str) -> Result<Vec<Forest>> {
    let library = Library::new(plan, outcome)?;
    let Some(planned) = plan.items.iter().find(|planned| planned.item == item) else { return Ok(Vec::new()) };
    let has = |name: &&&str| planned.columns.iter().any(|column| column.name == **name);
    let Some(attack) = ["union", "pgd20", "pgd10"].iter().find(has) else { return Ok(Vec::new()) };
    let select = Select::Lead {
        item: item.to_owned(),
        lead: ["robin".to_owned(), "multiclass".to_owned()],
        attack: (*attack).to_owned(),
        strategy: None,
        rows: None,
        at: Budgets::Training,
    };
    let mut rows = Vec::new();
    for side in library.sides(&select)? {
        let Some(found) = contrast(&side.terms, &[])? else { continue };
        let row = &planned.rows.iter().find(|row| row.row.label() == side.row);
        let at = row.and_then(|row| row.row.tests().iter().position(|test| *test == row.row.epsilon));
        let printed = |classifier: &str| {
            let columns = row.as_ref()?.row.published.get(classifier)?;
            ["pgd20", "pgd10"].iter().find_map(|column| columns.get(*column)?.at(at?))
        };
        let seeds = side.terms.iter().flat_map(|term| &term.seeds);
        let counted: Vec<_> =
            seeds.filter(|(who, _)| found.who.contains(who)).map(|(_, observed)| observed).collect();
        let learned =
            counted.iter().all(|observed| observed.clean.iter().all(super::CleanAccuracy::has_learned));
        rows.push(Forest {
            row: side.row,
            attack: (*attack).to_owned(),
            difference: found.estimate.effect,
            low: found.estimate.low,
            high: found.estimate.high,
            lead: LeadVerdict::of(&found.estimate, learned),
            seeds: found.estimate.seeds,
            images: found.estimate.images,
            shared: found.shared,
            published: printed("robin")
                .zip(printed("multiclass"))
                .map(|(robin, multiclass)| robin - multiclass),
            stand_in: side.other_data.or(side.in_place_of),
            records: counted.iter().flat_map(|observed| observed.records.clone()).collect(),
        });
    }
    Ok(rows)
}
