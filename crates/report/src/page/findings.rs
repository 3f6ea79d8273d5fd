//! The finding and the claims on the page: what came out, each with its figure.

use robin_experiments::claims::Forest;
use robin_experiments::{ClaimVerdict, Verdict};

use super::links::RecordLink;
use crate::chart::intervals::{self, Form, Mark};
use crate::error::Result;
use crate::finding;
use crate::report::Report;

/// Width in pixels of a figure on a phone.
const PHONE: u16 = 360;

/// Width of a claim's figure: half of a wide page, and all of a phone.
const CLAIM: u16 = 440;

/// What stands first.
pub(super) struct FindingView<'a> {
    pub(super) sentence: String,
    pub(super) counts: Vec<CountView<'a>>,
    /// The forest plot, for a wide screen and for a phone; they escape their own text.
    pub(super) drawings: Option<[String; 2]>,
    pub(super) lines: Vec<LineView<'a>>,
}

/// How many claims have one verdict.
pub(super) struct CountView<'a> {
    pub(super) count: usize,
    pub(super) verdict: &'static str,
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    /// The first of them.
    pub(super) first: &'a str,
}

/// One row of the forest plot in numbers.
pub(super) struct LineView<'a> {
    pub(super) row: &'a Forest,
    pub(super) difference: String,
    pub(super) interval: String,
    pub(super) published: String,
    pub(super) lead: &'static str,
    pub(super) records: Vec<RecordLink<'a>>,
}

impl<'a> FindingView<'a> {
    pub(super) fn new(report: &'a Report) -> Result<Self> {
        let Report { forest: rows, claims, .. } = report;
        let drawings = match rows.is_empty() {
            true => None,
            false => {
                let plot = finding::forest(rows);
                let label = format!(
                    "{}; the numbers stand in the table below",
                    finding::heading(rows, report.profile)
                );
                let draw = |form| Ok::<_, crate::Error>(intervals::draw(&plot, form)?.inline(&label));
                Some([draw(Form::Wide)?, draw(Form::Narrow(PHONE))?])
            }
        };
        let line = |row: &'a Forest| LineView {
            row,
            difference: format!("{:+.4}", row.difference),
            interval: format!("{:+.4} to {:+.4}", row.low, row.high),
            published: row.published.map_or_else(|| "–".to_owned(), |value| format!("{value:+.3}")),
            lead: row.lead.name(),
            records: RecordLink::all(&row.records),
        };
        let sentence = finding::sentence(rows).or_else(|| finding::claims(claims));
        Ok(Self {
            sentence: sentence
                .unwrap_or_else(|| "No claim of the paper can be tested on these numbers.".to_owned()),
            counts: finding::VERDICTS.iter().filter_map(|verdict| count(claims, *verdict)).collect(),
            drawings,
            lines: rows.iter().map(line).collect(),
        })
    }
}

fn count(claims: &[ClaimVerdict], verdict: Verdict) -> Option<CountView<'_>> {
    let of: Vec<&ClaimVerdict> = claims.iter().filter(|claim| claim.verdict == verdict).collect();
    let first = &of.first()?.id;
    Some(CountView {
        count: of.len(),
        verdict: verdict.name(),
        class: class(verdict),
        sign: sign(verdict),
        first,
    })
}

fn class(verdict: Verdict) -> &'static str {
    match finding::mark(verdict) {
        Mark::For => "held",
        Mark::Against => "refuted",
        Mark::Open | Mark::Nothing => "open",
    }
}

/// As the figures draw it.
fn sign(verdict: Verdict) -> &'static str {
    match finding::mark(verdict) {
        Mark::For => "▲",
        Mark::Against => "▼",
        Mark::Open => "●",
        Mark::Nothing => "✕",
    }
}

/// A claim with its figure.
pub(super) struct ClaimView<'a> {
    pub(super) id: &'a str,
    pub(super) text: &'a str,
    pub(super) verdict: &'static str,
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    /// The verdict with what must be said beside it.
    pub(super) summary: &'a str,
    /// What would decide it.
    pub(super) needs: Option<&'a str>,
    /// Its differences; none for a claim that nothing was measured of.
    pub(super) drawing: Option<String>,
    pub(super) numbers: &'a [String],
    pub(super) records: Vec<RecordLink<'a>>,
}

impl<'a> ClaimView<'a> {
    pub(super) fn new(claim: &'a ClaimVerdict) -> Result<Self> {
        let label = format!("{}: differences with 95% intervals; the numbers stand below", claim.text);
        let draw = |plot| Ok::<_, crate::Error>(intervals::draw(&plot, Form::Narrow(CLAIM))?.inline(&label));
        Ok(Self {
            id: &claim.id,
            text: &claim.text,
            verdict: claim.verdict.name(),
            class: class(claim.verdict),
            sign: sign(claim.verdict),
            summary: &claim.summary,
            needs: claim.needs.as_deref(),
            drawing: finding::comparisons(claim).map(draw).transpose()?,
            numbers: &claim.numbers,
            records: RecordLink::all(&claim.records),
        })
    }
}
