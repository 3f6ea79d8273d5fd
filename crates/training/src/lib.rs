//! Training loops, losses, the optimiser and schedules.
