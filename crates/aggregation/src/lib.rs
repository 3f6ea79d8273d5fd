//! Several small classifiers as one, and the strategies that attack them.
