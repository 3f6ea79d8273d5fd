#!/usr/bin/env bash
# Opens a report in headless Chromium and checks it: see crates/report/tests/browser/README.md.
#
#   scripts/check-report.sh results/report [folder for screenshots]
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 PATH/TO/report [FOLDER-FOR-SCREENSHOTS]" >&2; exit 2; }
report=$(realpath "$1")
shots=${2:+$(realpath -m "$2")}
cd "$(dirname "${BASH_SOURCE[0]}")/../crates/report/tests/browser"
npm ci --silent --no-audit --no-fund --ignore-scripts
exec node check.mjs "$report" ${shots:+"$shots"}
