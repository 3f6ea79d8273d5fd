//! The paper's tables as data: plans, runs and records them.
