//! For tests only: gradient checks, golden files, tolerances, toy classifiers.
