//! Architectures as data (graphs), parameters, initialisation, safetensors, and the executors that run a graph.
