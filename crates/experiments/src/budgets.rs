//! The paper's budgets by data set and norm. Their one home is Table 1's spec.

use std::sync::OnceLock;

use robin_core::{Budget, Norm};
use robin_data::DatasetName;

use crate::{ITEMS, Spec};

/// The budget of Table 1's rows of `dataset` in `norm`; `None` for a data set that the paper does not have.
pub fn paper_budget(dataset: DatasetName, norm: Norm) -> Option<Budget> {
    static BUDGETS: OnceLock<Vec<(DatasetName, Budget)>> = OnceLock::new();
    let budgets = BUDGETS.get_or_init(|| {
        let (item, text) = ITEMS.iter().find(|(item, _)| *item == "table-1").expect("Table 1 is an item");
        let spec = Spec::parse(item, text).expect("the specs are checked by tests");
        spec.rows.iter().map(|row| (row.dataset, row.budget())).collect()
    });
    budgets.iter().find(|(set, budget)| (*set, budget.norm) == (dataset, norm)).map(|(_, budget)| *budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_has_the_budgets_that_the_paper_prints() {
        let budgets = |&set: &DatasetName| [Norm::L2, Norm::Linf].map(|norm| paper_budget(set, norm));
        let said = DatasetName::ALL.iter().flat_map(budgets).flatten();
        let said: Vec<String> = said.map(|budget| budget.epsilon.to_string()).collect();
        assert_eq!(said, ["2.0", "25/255", "0.5", "8/255"]);
    }
}
