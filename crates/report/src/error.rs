//! What can go wrong when a report is made.

/// Of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A figure that cannot be drawn as it is.
    #[error("figure {figure}, panel {panel}: {problem}")]
    Figure {
        /// Its id.
        figure: String,
        /// Number of the panel, from 1.
        panel: usize,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// An image that cannot be shown as it is.
    #[error("image of example {example} in the gallery of {gallery}: {problem}")]
    Picture {
        /// The gallery's title.
        gallery: String,
        /// The example.
        example: u64,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// A number names a record that the report does not have.
    #[error("{place} names the record {key}, which is not among the report's {records} records")]
    MissingRecord {
        /// What names it.
        place: String,
        /// Its key.
        key: String,
        /// How many there are.
        records: usize,
    },
    /// A layout that cannot tell two numbers apart.
    #[error(
        "{item}: two numbers stand on line ({line}), column ({column}); its layout needs one more property"
    )]
    Layout {
        /// The item.
        item: String,
        /// Where.
        line: String,
        /// Where.
        column: String,
    },
    /// Two parts of the page would have the same name.
    #[error("two {what} of the report are called {name}; links and files need names of their own")]
    Duplicate {
        /// Items or figures.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An item or figure whose name cannot be that of a file.
    #[error("{name:?} cannot name a file or a link: write lower-case letters, digits and single hyphens")]
    Name {
        /// The name.
        name: String,
    },
    /// A figure could not be made an image of pixels.
    #[error("figure {figure} as PNG: {problem}")]
    Raster {
        /// Its id.
        figure: String,
        /// What the renderer says.
        problem: String,
    },
    /// The page could not be filled in.
    #[error("cannot fill in the page")]
    Template(#[from] askama::Error),
    /// The report as JSON.
    #[error("cannot write the report as JSON")]
    Json(#[from] serde_json::Error),
    /// A folder or file that cannot be written.
    #[error(transparent)]
    Out(#[from] robin_experiments::Error),
}

/// Of this crate.
pub type Result<T> = std::result::Result<T, Error>;
