#!/usr/bin/env bash
# What a stranger does in the first minutes, from README alone and in an empty folder: clone, reproduce, read the verdict, open
# the report, train an aggregate on a folder of images, audit it. Prints a transcript with times, as in
# docs/first-ten-minutes.md, and ends with 1 if a step does not end as it should.
#
#   [REPOSITORY=.] [PHOTOS=FOLDER] scripts/first-ten-minutes.sh FOLDER >docs/first-ten-minutes.md
#
# FOLDER must not exist. PHOTOS has folders `train` and `test` with one folder of PNG or JPEG images per class; without it
# they are made from CIFAR-10's files, which needs python3 with Pillow and `cargo xtask data fetch cifar10`.
set -euo pipefail

folder=${1:?usage: scripts/first-ten-minutes.sh FOLDER}
[ ! -e "$folder" ] || { echo "$folder is there already" >&2; exit 2; }
repository=$(cd "${REPOSITORY:-$(dirname "$0")/..}" && pwd)
mkdir -p "$folder"
cd "$folder"
unset CARGO_TARGET_DIR

photos() {
    [ -z "${PHOTOS:-}" ] || { cp -r "$PHOTOS" photos; return; }
    python3 - photos "${ROBIN_DATA:-$HOME/.cache/robin}/cifar-10-batches-bin" <<'PYTHON'
import pathlib, sys
from PIL import Image
out, data = map(pathlib.Path, sys.argv[1:])
names = {3: "cat", 5: "dog", 8: "ship", 9: "truck"}
for split, batch, each in [("train", "data_batch_1.bin", 500), ("test", "test_batch.bin", 25)]:
    content, seen = (data / batch).read_bytes(), dict.fromkeys(names, 0)
    for at in range(0, len(content), 3073):
        label = content[at]
        if label in names and seen[label] < each:
            seen[label] += 1
            planes = [Image.frombytes("L", (32, 32), content[at + 1 + 1024 * c:at + 1 + 1024 * (c + 1)]) for c in range(3)]
            place = out / split / names[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.merge("RGB", planes).save(place / f"{seen[label]:03}.png")
PYTHON
}

failed=0
# step LINES COMMAND: what was typed, the last LINES of what was seen, how it ended and how long it took.
step() {
    local lines=$1 command=$2 begun ended code=0
    begun=$(date +%s.%N)
    NO_COLOR=1 bash -c "$command" >"$seen" 2>&1 || code=$?
    ended=$(date +%s.%N)
    printf '```\n$ %s\n' "${command//"file://$repository"/REPOSITORY}"
    [ "$(wc -l <"$seen")" -le "$lines" ] || echo "..."
    tail -n "$lines" "$seen" | cut -c1-130 | sed "s|$here|.|g; s|$repository|REPOSITORY|g"
    printf '```\n\n%s\n\n' "$(awk -v a="$begun" -v b="$ended" -v code="$code" 'BEGIN { printf "%.0f s, exit code %d.", b - a, code }')"
    [ "$code" = "${expected:-0}" ] || { failed=1; echo "**It should have ended with ${expected:-0}.**"; echo; }
    total=$(awk -v t="${total:-0}" -v a="$begun" -v b="$ended" 'BEGIN { print t + b - a }')
}
seen=$(mktemp)
trap 'rm -f "$seen"' EXIT
here=$(pwd)

echo "# A stranger's first minutes"
echo
echo "Made by \`scripts/first-ten-minutes.sh\`, in an empty folder, from what README says; $(nproc) cores$(grep -q avx512f /proc/cpuinfo && echo ' with AVX-512' || true), commit $(git -C "$repository" rev-parse --short HEAD). Packages of other people had been downloaded before, and were compiled here."
echo
echo "## Reproduce"
echo
step 3 "git clone -q file://$repository robin && du -sh robin/.git robin"
cd robin
step 3 "cargo build --quiet --locked --release --package xtask"
step 28 "cargo xtask reproduce table-1"
echo "## The page"
echo
step 4 "cargo xtask report"
echo "## One's own images"
echo
echo "\`photos\` has two folders, \`train\` (500 small pictures each of cats, dogs, ships and trucks) and \`test\` (25 each)."
echo
photos
step 3 "cargo install --quiet --path crates/cli --locked --profile dist --root ../program && ls ../program/bin && du -m ../program/bin/robin"
export PATH="$here/program/bin:$PATH"
step 12 "robin train --dataset photos/train --model myrtle --width 8 --classifier one-vs-all --recipe fast --norm linf --epsilon 4/255 --epochs 8 --out pictures"
echo "## An audit"
echo
step 40 "robin audit --model myrtle --weights pictures/*.safetensors --aggregate one-vs-all --dataset photos/test --norm linf --epsilon 4/255 --out first"
echo "With a gate that it does not pass:"
echo
expected=3 step 6 "robin audit --model myrtle --weights pictures/*.safetensors --aggregate one-vs-all --dataset photos/test --norm linf --epsilon 4/255 --min-union 0.9 --out second"
awk -v t="$total" 'BEGIN { printf "All together %.1f minutes.\n", t / 60 }'
exit "$failed"
