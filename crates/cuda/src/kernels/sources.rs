//! The kernels' sources, and their names.

use super::Storage;

/// In the order in which they are compiled.
const PARTS: [&str; 9] = [
    include_str!("sources/common.cu"),
    include_str!("sources/layers.cu"),
    include_str!("sources/norms.cu"),
    include_str!("sources/products.cu"),
    include_str!("sources/attack.cu"),
    include_str!("sources/batches.cu"),
    include_str!("sources/learning.cu"),
    include_str!("sources/pairs.cu"),
    include_str!("sources/objectives.cu"),
];

/// What makes C++ of them.
pub(super) const HOST: &str = include_str!("sources/host.h");

/// Everything that is compiled for `storage`.
pub(super) fn source(storage: Storage) -> String {
    let define = match storage {
        Storage::F32 => "",
        Storage::Bf16 => "#define ROBIN_BF16\n",
    };
    define.to_owned() + &PARTS.join("\n")
}

/// The names of all kernels, from the sources.
pub(super) fn names() -> Vec<&'static str> {
    let lines = PARTS.iter().flat_map(|part| part.lines());
    lines.filter_map(|line| Some(line.strip_prefix("KERNEL ")?.split_once('(')?.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_found_once() {
        let mut names = names();
        assert!(names.contains(&"conv_forward") && names.contains(&"step_linf"));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(count == names.len() && count > 30, "{names:?}");
    }
}
