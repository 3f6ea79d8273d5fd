# shellcheck shell=bash
# Sourced by the other scripts, in the project's root: sets `program` to the command line, built unless PROGRAM names one.
program=${PROGRAM:-}
if [ -z "$program" ]; then
    cargo build --locked --quiet --release --package xtask
    program="${CARGO_TARGET_DIR:-target}/release/xtask"
fi
