#!/usr/bin/env bash
# Networks that no one here wrote (torchvision's ResNet-18, VGG-11 and MobileNetV2, a WideResNet-28-10 with RobustBench's names),
# as ONNX and as state_dicts, beside PyTorch's logits and input gradients.
#
#   [PYTHON=python3] scripts/import-table.sh FOLDER
#
# Makes the networks in FOLDER (3 GB; those that stand there are kept), prints a table, keeps it as FOLDER/foreign-models.md and
# .json, and exits with 1 if a network is neither refused nor PyTorch's. Needs jq and what fixtures/pytorch/README.md says of
# export_models.py.
set -euo pipefail

folder=${1:?usage: scripts/import-table.sh FOLDER}
python=${PYTHON:-python3}
mkdir -p "$folder/models"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."

# The last file of the last network.
if [ ! -e "$folder/models/mobilenet-v2.safetensors" ]; then
    "$python" -W ignore fixtures/pytorch/export_models.py "$folder/models" >"$folder/export.log" 2>&1
fi
cargo build --locked --quiet --release --package robin-ml-import --example beside_pytorch
compare=$(realpath "${CARGO_TARGET_DIR:-target}")/release/examples/beside_pytorch
# From inside the folder, so that messages name files as anybody has them.
(cd "$folder/models" && "$compare" .) | tee "$folder/foreign-models.md"
jq -R -s '
    split("\n") | map(select(startswith("| ")) | split(" | ") | map(ltrimstr("| ") | rtrimstr(" |"))) | .[1:] | map(
        (.[0] | split(".")) as [$stem, $format]
        | {
            model: ($stem | rtrimstr("-apart") | rtrimstr("-dynamo")),
            format: $format,
            exporter: (if $format == "pt" then "state_dict"
                elif $stem | endswith("-apart") then "torchscript, opset 11, batch norms apart"
                elif $stem | endswith("-dynamo") then "dynamo" else "torchscript, opset 13" end)
        } + (if .[1] | startswith("refused: ") then { refused: (.[1] | ltrimstr("refused: ")) } else {
            logits: (.[1] | tonumber), logits_by_largest: (.[2] | tonumber), gradient: (.[3] | tonumber),
            whole_gradient: (.[4] | tonumber), logits_in_f64: (.[5] | tonumber), gradient_in_f64: (.[6] | tonumber),
            pytorchs_own_gradient: (.[7] | tonumber), seconds: (.[8] | tonumber) } end))
    ' "$folder/foreign-models.md" >"$folder/foreign-models.json"
# Rounding alone may move a logit by so much; a gradient in f64 by what an exporter rounds into its weights.
jq -e 'length > 0 and all(has("refused") or (.logits_by_largest < 1e-4 and .logits_in_f64 < 1e-3 and .whole_gradient < 0.02
    and (.format == "pt" and .gradient_in_f64 > 1e-6 | not)))' \
    "$folder/foreign-models.json" >/dev/null
