//! Everything that one report shows.

use robin_experiments::{ClaimVerdict, Figure, Gallery, Profile, Table};

/// The results of one profile.
#[derive(Debug, Clone)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// How much was done.
    pub profile: Profile,
    /// Where the numbers come from, as pairs of what and which: commit, machine, date.
    pub provenance: Vec<(String, String)>,
    /// Tables and figures, in the paper's order.
    pub items: Vec<Item>,
    /// What the paper's text claims.
    pub claims: Vec<ClaimVerdict>,
    /// Images under attack.
    pub galleries: Vec<Gallery>,
}

/// One table or figure of the paper, with what belongs to it.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its name on the command line: `table-1`.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// Its numbers as a table.
    pub table: Option<Table>,
    /// Its drawings.
    pub figures: Vec<Figure>,
    /// What else must be said.
    pub notes: Vec<String>,
}
