//! Fast channels-last f32 kernels with exact gradients, each beside a slow reference; plain buffers, no autograd.
