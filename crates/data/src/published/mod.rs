//! Data sets that are known by name, one file each. The list of them is in [`crate::name`].

pub(crate) mod cifar10;
pub(crate) mod cifar100;
pub(crate) mod fashion_mnist;
pub(crate) mod mnist;
pub(crate) mod svhn;
