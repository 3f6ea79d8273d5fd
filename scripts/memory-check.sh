#!/usr/bin/env bash
# Runs the border test of the kernels (crates/kernels/tests/borders) where a memory checker sees every slice: reads beyond a
# slice, which canaries alone may miss, and writes wherever they land. Takes what the machine has, and says what it lacks:
#
#   Miri               the portable path, a few draws (the component of a nightly toolchain)
#   AddressSanitizer   every instruction set of the machine, release build (a nightly toolchain)
#   valgrind           AVX2 and portable, release build, fewer draws (a package of the system; it knows no AVX-512)
#
#   scripts/memory-check.sh [miri] [asan] [valgrind]     all three without an argument
#
# Ends with 0 if at least one ran and none found anything, with 1 if one did, with 2 if none could run.
set -euo pipefail
cd "$(dirname "$0")/.."

# Without canaries a slice is an allocation of its own, whose borders the checker knows.
export ROBIN_BORDERS_MARGIN=0
# What is found is told by function and line.
export CARGO_PROFILE_RELEASE_STRIP=false CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
package=(--package robin-ml-kernels --test borders)
ran=()
lacking=()

has_nightly() {
    cargo +nightly --version >/dev/null 2>&1
}

miri() {
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        lacking+=("Miri: 'cargo +nightly miri' does not run; rustup +nightly component add miri")
        return
    fi
    echo "== Miri"
    # Sizes beyond the machine are asked for on purpose, and refused by the system, which Miri does not imitate.
    PROPTEST_CASES=3 MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test "${package[@]}" -- nothing_is_read
    ran+=(Miri)
}

asan() {
    if ! has_nightly; then
        lacking+=("AddressSanitizer: 'cargo +nightly' does not run; rustup toolchain install nightly")
        return
    fi
    echo "== AddressSanitizer"
    local host
    host=$(rustc +nightly -vV | sed -n 's/^host: //p')
    # What no machine has is asked for on purpose; the allocator is to say no, as others do.
    ASAN_OPTIONS=allocator_may_return_null=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/asan \
        cargo +nightly test --release --target "$host" "${package[@]}"
    ran+=(AddressSanitizer)
}

valgrind_() {
    if ! command -v valgrind >/dev/null; then
        lacking+=("valgrind: it is not installed")
        return
    fi
    echo "== valgrind"
    local binary
    binary=$(cargo test --release --no-run "${package[@]}" 2>&1 | sed -n 's/.*(\(.*borders-[^)]*\))$/\1/p')
    PROPTEST_CASES=${PROPTEST_CASES:-20} valgrind --quiet --error-exitcode=9 "$binary" nothing_is_read
    ran+=(valgrind)
}

[ $# -gt 0 ] || set -- miri asan valgrind
for checker; do
    case $checker in
        miri | asan) "$checker" ;;
        valgrind) valgrind_ ;;
        *) echo "unknown checker '$checker' (one of: miri, asan, valgrind)" >&2 && exit 2 ;;
    esac
done
for what in "${lacking[@]}"; do echo "not run: $what"; done
[ ${#ran[@]} -gt 0 ] || exit 2
echo "nothing found by: ${ran[*]}"
