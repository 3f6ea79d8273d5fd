//! The paper's budgets by data set and norm. Their one home is Table 1's spec.

use std::sync::OnceLock;

use robin_core::{Budget, Norm};
use robin_data::DatasetName;

use crate::{ITEMS, Spec};

/// The budget of Table 1's rows of `dataset` in `norm`.
///
/// # Panics
/// If the spec has no such row; a test asks for each.
pub fn paper_budget(dataset: DatasetName, norm: Norm) -> Budget {
    static BUDGETS: OnceLock<Vec<(DatasetName, Budget)>> = OnceLock::new();
    let budgets = BUDGETS.get_or_init(|| {
        let (item, text) = ITEMS.iter().find(|(item, _)| *item == "table-1").expect("Table 1 is an item");
        let spec = Spec::parse(item, text).expect("the specs are checked by tests");
        spec.rows.iter().map(|row| (row.dataset, row.budget())).collect()
    });
    let found = budgets.iter().find(|(set, budget)| (*set, budget.norm) == (dataset, norm));
    found.expect("Table 1 has every data set in both norms").1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_has_the_budgets_that_the_paper_prints() {
        let said: Vec<String> = DatasetName::ALL
            .iter()
            .flat_map(|&set| [Norm::L2, Norm::Linf].map(|norm| paper_budget(set, norm).epsilon.to_string()))
            .collect();
        assert_eq!(said, ["2.0", "25/255", "0.5", "8/255"]);
    }
}
