//! What the numbers come to, in a sentence and in one figure: the same for the page, the terminal and the README.

use robin_experiments::claims::{Compared, Forest, LeadVerdict, Test};
use robin_experiments::{ClaimVerdict, Profile, Verdict};

use crate::Result;
use crate::chart::Drawing;
use crate::chart::intervals::{self, Form, Intervals, Mark, Row, Sign};

/// Intervals of one claim that are drawn; all of them are listed in numbers.
const MOST_ROWS: usize = 20;

/// Verdicts in the order in which they are counted.
pub(crate) const VERDICTS: [Verdict; 5] =
    [Verdict::Refuted, Verdict::DependsOnReading, Verdict::Held, Verdict::Undecided, Verdict::NotTestable];

/// Whether ROBIN withstands more, over all rows.
pub(crate) fn sentence(rows: &[Forest]) -> Option<String> {
    let count = |wanted: &[LeadVerdict]| rows.iter().filter(|row| wanted.contains(&row.lead)).count();
    let [ahead, behind] = [LeadVerdict::Ahead, LeadVerdict::Behind].map(|lead| count(&[lead]));
    let open = count(&[LeadVerdict::WithinNoise, LeadVerdict::TooFewSeeds]);
    let chance = count(&[LeadVerdict::NearChance]);
    let all = match rows.len() {
        0 => return None,
        1 => "On 1 row".to_owned(),
        rows => format!("On {rows} rows"),
    };
    let mut said = Vec::new();
    for (count, what) in [(ahead, "on which ROBIN withstands more"), (behind, "on which it withstands less")]
    {
        if count > 0 {
            said.push(format!("{count} {what} than the single network"));
        }
    }
    if open > 0 {
        let why = match rows.iter().all(|row| row.lead != LeadVerdict::WithinNoise) {
            true => "too few seeds",
            false => "too few seeds, or within noise",
        };
        said.push(format!("{open} undecided ({why})"));
    }
    if chance > 0 {
        said.push(format!("{chance} of networks near chance, which say nothing"));
    }
    Some(format!("{all}: {}.", said.join(", ")))
}

/// The row whose difference is the largest of those that say anything, in numbers.
pub(crate) fn largest(rows: &[Forest]) -> Option<String> {
    let told = rows.iter().filter(|row| row.lead != LeadVerdict::NearChance);
    let row = told.max_by(|one, other| one.difference.abs().total_cmp(&other.difference.abs()))?;
    let published = row.published.map_or(String::new(), |value| format!("; the paper has {value:+.3}"));
    Some(format!("Largest difference: {}, {}{published}.", row.row.replace('/', " "), numbers(row)))
}

/// How many claims got which verdict, without those that these numbers do not speak to.
pub(crate) fn claims(claims: &[ClaimVerdict]) -> Option<String> {
    let testable: Vec<&ClaimVerdict> =
        claims.iter().filter(|claim| claim.verdict != Verdict::NotTestable).collect();
    let counts = VERDICTS.iter().filter_map(|verdict| {
        let claims: Vec<_> = testable.iter().filter(|claim| claim.verdict == *verdict).collect();
        let first = claims.first()?;
        let which = if *verdict == Verdict::Refuted { format!(" ({})", first.id) } else { String::new() };
        Some(format!("{} {}{which}", claims.len(), verdict.name()))
    });
    let counts: Vec<String> = counts.collect();
    (!counts.is_empty()).then(|| format!("Claims of the paper: {}.", counts.join(", ")))
}

/// Whether the numbers can be held against the published ones, in one sentence.
pub(crate) fn comparability(profile: Profile) -> String {
    match profile {
        Profile::Paper => "Profile paper: the paper's settings.".to_owned(),
        other => format!(
            "Profile {other} did less than the paper, so its numbers are not comparable with the published ones (†): hold \
             classifiers against each other."
        ),
    }
}

fn numbers(row: &Forest) -> String {
    let seeds = if row.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", row.seeds) };
    format!("{:+.3} [{:+.3}, {:+.3}], {seeds}, {}", row.difference, row.low, row.high, row.lead.name())
}

/// The forest plot as a file shows it, with its heading; `None` where there is no row.
///
/// # Errors
/// [`crate::Error::Figure`] for a value that is not finite.
pub(crate) fn file(rows: &[Forest], profile: Profile) -> Result<Option<(Drawing, String)>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let heading = heading(rows, profile);
    let drawing = intervals::draw(&forest(rows), Form::File(&heading))?;
    Ok(Some((drawing, heading)))
}

/// ROBIN's lead, row by row.
pub(crate) fn forest(rows: &[Forest]) -> Intervals {
    let mark = |lead| match lead {
        LeadVerdict::Ahead => Mark::For,
        LeadVerdict::Behind => Mark::Against,
        LeadVerdict::WithinNoise | LeadVerdict::TooFewSeeds => Mark::Open,
        LeadVerdict::NearChance => Mark::Nothing,
    };
    let row = |row: &Forest| Row {
        label: row.row.replace('/', " "),
        said: numbers(row),
        value: row.difference,
        low: row.low,
        high: row.high,
        published: row.published,
        mark: mark(row.lead),
        record: row.records.first().cloned(),
    };
    Intervals {
        id: "forest".to_owned(),
        ends: ["single network better".to_owned(), "ROBIN better".to_owned()],
        rows: rows.iter().map(row).collect(),
        margins: Vec::new(),
        legend: [
            (Sign::Measured(Mark::For), "ahead"),
            (Sign::Measured(Mark::Against), "behind"),
            (Sign::Measured(Mark::Open), "undecided"),
            (Sign::Measured(Mark::Nothing), "near chance"),
            (Sign::Published, "published difference"),
        ]
        .map(|(sign, text)| (sign, text.to_owned()))
        .to_vec(),
    }
}

/// The heading of the forest plot as a file.
pub(crate) fn heading(rows: &[Forest], profile: Profile) -> String {
    let attack = match rows.first().map(|row| row.attack.as_str()) {
        Some("union") | None => "every attack".to_owned(),
        Some(attack) => attack.to_owned(),
    };
    format!(
        "ROBIN less the single network: share of test images that withstand {attack}, with 95% intervals (profile {profile})"
    )
}

/// The sign of a claim's verdict.
pub(crate) fn mark(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Held => Mark::For,
        Verdict::Refuted => Mark::Against,
        Verdict::Undecided | Verdict::DependsOnReading => Mark::Open,
        Verdict::NotTestable => Mark::Nothing,
    }
}

/// The comparisons of a claim; `None` if none has numbers.
pub(crate) fn comparisons(claim: &ClaimVerdict) -> Option<Intervals> {
    let measured = claim.comparisons.iter().filter_map(|one| {
        let found = one
            .estimate
            .filter(|found| [found.effect, found.low, found.high].iter().all(|end| end.is_finite()))?;
        Some((one, found))
    });
    let row = |(one, found): (&Compared, robin_experiments::claims::Estimate)| {
        let reading = one.reading.as_ref().map_or(String::new(), |reading| format!("{reading}: "));
        Row {
            label: one.place.replace('/', " "),
            said: format!(
                "{reading}{:+.3} [{:+.3}, {:+.3}], {}",
                found.effect,
                found.low,
                found.high,
                one.verdict.name()
            ),
            value: found.effect,
            low: found.low,
            high: found.high,
            published: None,
            mark: mark(one.verdict),
            record: one.terms().flat_map(|term| &term.seeds).flat_map(|seed| &seed.records).next().cloned(),
        }
    };
    let rows: Vec<Row> = measured.map(row).take(MOST_ROWS).collect();
    let mut margins: Vec<f64> = claim.comparisons.iter().flat_map(|one| margins(one.asked)).collect();
    margins.sort_by(f64::total_cmp);
    margins.dedup();
    (!rows.is_empty()).then(|| Intervals {
        id: format!("claim {}", claim.id),
        ends: ["below".to_owned(), "above".to_owned()],
        rows,
        margins,
        legend: Vec::new(),
    })
}

/// Values other than 0 that a difference is held against.
fn margins(asked: Test) -> Vec<f64> {
    let all = match asked {
        Test::Above(margin) | Test::Below(margin) => vec![margin],
        Test::Within(margin) => vec![-margin, margin],
        Test::Inside => Vec::new(),
    };
    all.into_iter().filter(|margin| *margin != 0.0).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use robin_experiments::claims::Shared;

    use super::*;
    use crate::chart::intervals::{Form, draw};

    /// A row of each kind: ahead, behind, undecided, near chance.
    pub(crate) fn rows() -> Vec<Forest> {
        let row = |row: &str, difference: f64, lead, seeds, published| Forest {
            row: row.to_owned(),
            attack: "union".to_owned(),
            difference,
            low: difference - 0.02,
            high: difference + 0.02,
            lead,
            seeds,
            images: 1000,
            shared: Shared::Images,
            published,
            stand_in: None,
            records: Vec::new(),
        };
        vec![
            row("cifar10/myrtle/l2", 0.041, LeadVerdict::Ahead, 3, Some(0.08)),
            row("mnist/cnn2/l2", -0.051, LeadVerdict::Behind, 3, Some(0.019)),
            row("mnist/cnn2/linf", 0.012, LeadVerdict::TooFewSeeds, 1, Some(0.002)),
            row("cifar10/resnet18/l2", 0.3, LeadVerdict::NearChance, 1, None),
        ]
    }

    #[test]
    fn every_row_is_counted_once_and_the_largest_difference_is_one_that_says_something() {
        assert_eq!(
            sentence(&rows()).unwrap(),
            "On 4 rows: 1 on which ROBIN withstands more than the single network, 1 on which it withstands less than the \
             single network, 1 undecided (too few seeds), 1 of networks near chance, which say nothing."
        );
        assert_eq!(sentence(&[]), None);
        assert_eq!(
            largest(&rows()).unwrap(),
            "Largest difference: mnist cnn2 l2, -0.051 [-0.071, -0.031], 3 seeds, behind; the paper has +0.019."
        );
        assert_eq!(largest(&rows()[3..]), None);
    }

    #[test]
    fn a_forest_tells_verdicts_apart_without_colour_and_stands_where_its_axis_says() {
        let plot = forest(&rows());
        for form in [Form::Wide, Form::Narrow(360), Form::File("heading <&>")] {
            let drawing = draw(&plot, form).unwrap();
            let svg = drawing.file("title");
            // Three published differences and one in the legend, each with four corners; two kinds of triangles, twice each.
            let corners = |count: usize| {
                svg.match_indices("points=\"")
                    .filter(|(at, found)| {
                        let rest = &svg[at + found.len()..];
                        rest[..rest.find('"').unwrap()].split(' ').count() == count
                    })
                    .count()
            };
            assert_eq!((corners(4), corners(3)), (4, 4), "{form:?}");
            assert_eq!(
                svg.matches("<circle cx").count() - 4,
                2,
                "one row and the legend, beside four values"
            );
            assert_eq!(svg.contains("heading &#60;&#38;&#62;"), matches!(form, Form::File(_)));
            assert!(drawing.png(1).unwrap().starts_with(b"\x89PNG"));
            let inline = drawing.inline("a label");
            assert!(!inline.contains("\"#0") && inline.contains("var(--series-2)"), "{form:?}");
        }
        assert!(
            draw(&Intervals { rows: Vec::new(), ..plot }, Form::Wide)
                .unwrap_err()
                .to_string()
                .contains("no row")
        );
    }
}
