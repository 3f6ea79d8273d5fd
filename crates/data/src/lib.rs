//! MNIST and CIFAR-10: reading, fetching with checksums, label maps, seeded batches, augmentation.
