//! How to cite what a report shows: the paper, and the run that made the numbers.

use crate::report::Report;

/// The paper and this program, as BibTeX; `what` of it is cited: `Table 1`.
pub(crate) fn bibtex(report: &Report, what: &str) -> String {
    let from =
        |name: &str| report.provenance.iter().find(|(what, _)| what == name).map(|(_, which)| which.as_str());
    let commit = from("commit").unwrap_or("unknown");
    // Braces and backslashes would end the field early.
    let plain = |text: &str| text.replace(['{', '}', '\\'], "");
    format!(
        "@misc{{qian2020robustness,\n  title = {{Robustness from Simple Classifiers}},\n  \
         author = {{Qian, Sharon and Kalimeris, Dimitris and Kaplun, Gal and Singer, Yaron}},\n  \
         year = {{2020}},\n  eprint = {{2002.09422}},\n  archivePrefix = {{arXiv}}\n}}\n\
         @software{{robin,\n  title = {{ROBIN}},\n  author = {{{{The ROBIN developers}}}},\n  version = {{{}}},\n  \
         note = {{{}, profile {}, commit {}}}\n}}\n",
        env!("CARGO_PKG_VERSION"),
        plain(what),
        report.profile,
        plain(commit),
    )
}
