//! Clean and robust accuracy by the counting rules, with intervals and the union over attacks.
