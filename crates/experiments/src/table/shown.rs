//! Which numbers a table has.

use robin_core::Epsilon;

use super::number::{At, Found};
use crate::plan::{Place, PlannedItem};

/// The places of all numbers of `item`, in the table's order: those of the paper, and what is beyond it where its row,
/// classifier and column have any number each. What nobody asked for is neither shown nor missed.
pub(crate) fn places(item: &PlannedItem, results: &[Found]) -> Vec<At> {
    let any = |here: &dyn Fn(&Place) -> bool| results.iter().any(|found| here(&found.place));
    let row = |at: &usize| !item.rows[*at].waits || any(&|place| place.row == *at);
    let classifier = |at: &usize| !item.classifiers[*at].beyond || any(&|place| place.classifier == *at);
    let column = |at: &usize| !item.columns[*at].beyond || any(&|place| place.column == *at);
    let columns: Vec<usize> = (0..item.columns.len()).filter(column).collect();
    // A union is of the paper's attacks, and of those beyond it that its line has.
    let attacks = |row: usize, classifier: usize| -> Vec<usize> {
        let any = |column: usize| {
            any(&|place| (place.row, place.classifier, place.column) == (row, classifier, column))
        };
        let joins = |&column: &usize| {
            item.columns[column].attack.is_some() && (!item.columns[column].beyond || any(column))
        };
        columns.iter().copied().filter(joins).collect()
    };
    let mut places = Vec::new();
    for row in (0..item.rows.len()).filter(row) {
        for classifier in (0..item.classifiers.len()).filter(classifier) {
            for &column in &columns {
                let made_of =
                    if item.columns[column].union { attacks(row, classifier) } else { vec![column] };
                let at = At { row, classifier, column, made_of, test: None };
                places.extend(tests(item, &at).into_iter().map(|test| At { test, ..at.clone() }));
            }
        }
    }
    places
}

/// Test budgets of one column: those that the plan has places for, in the row's order.
fn tests(item: &PlannedItem, at: &At) -> Vec<Option<Epsilon>> {
    let mut found: Vec<Option<Epsilon>> = Vec::new();
    for (place, _) in &item.places {
        if at.holds(&Place { test: at.test, ..*place }) && !found.contains(&place.test) {
            found.push(place.test);
        }
    }
    found
}
