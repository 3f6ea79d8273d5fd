#!/usr/bin/env bash
# NVIDIA's libraries from the Python package index, in a folder of your own; no root, no CUDA toolkit, no GPU.
#
#   eval "$(scripts/cuda-toolchain.sh target/cuda)"           # compile: NVRTC and ptxas, 0.4 GB
#   eval "$(scripts/cuda-toolchain.sh target/cuda run)"       # also cuBLAS and cuDNN, about 3 GB: to run on a GPU
#
# Building with `--features cuda,cudnn` needs none of it: libraries are loaded when a CUDA device is asked for. With NVRTC
# the tests compile our kernels as for a GPU, and `ptxas` assembles what it makes. Needs python3 with pip.
# Standard output is the environment to set; everything else goes to standard error.
set -euo pipefail

fail() {
    printf 'cuda-toolchain: %s\n' "$1" >&2
    exit 2
}

[[ $# -ge 1 && $# -le 2 ]] || fail "usage: cuda-toolchain.sh FOLDER [compile|run]"
mode=${2:-compile}
case $mode in compile | run) ;; *) fail "mode is $mode, it must be compile or run" ;; esac
command -v python3 >/dev/null || fail "python3 is missing"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing: python3 -m ensurepip --user"

mkdir -p "$1"
folder=$(cd "$1" && pwd)

# CUDA 13.0, as PyTorch 2.11 for cu130 has it; drivers from 580 on.
compile=(nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88)
run=(nvidia-cublas==13.1.0.3 nvidia-cudnn-cu13==9.19.0.56)

install() {
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary=:all: \
        --upgrade --target "$folder" "$@" >&2
}

[[ -e $folder/nvidia/cu13/lib/libnvrtc.so.13 && -x $folder/nvidia/cu13/bin/ptxas ]] || install "${compile[@]}"
if [[ $mode == run ]]; then
    [[ -e $folder/nvidia/cu13/lib/libcublas.so.13 && -e $folder/nvidia/cudnn/lib/libcudnn.so.9 ]] || install "${run[@]}"
fi

printf 'export LD_LIBRARY_PATH=%q${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n' \
    "$folder/nvidia/cu13/lib:$folder/nvidia/cudnn/lib"
printf 'export PATH=%q:$PATH\n' "$folder/nvidia/cu13/bin"
