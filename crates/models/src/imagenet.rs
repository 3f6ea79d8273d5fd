//! ResNets with the stem that He et al. (2016a) gave them for ImageNet, as torchvision has them: a 7x7 convolution of stride
//! 2 and max pooling whose windows overlap. All that follows is that of the networks for CIFAR.
//!
//! They are for weights from elsewhere and stand on no list: nothing here trains on such images.

use robin_nn::{Bias, Convolution, Graph, GraphBuilder};

use crate::{Error, resnet18, resnet50};

/// All that comes after a stem, for a width and a number of classes.
type Body = fn(GraphBuilder, usize, usize) -> GraphBuilder;

const BODIES: &[(&str, Body)] = &[("resnet18", resnet18::body), ("resnet50", resnet50::body)];

/// Builds `name` with ImageNet's stem, for images `input` `[c, h, w]`, `num_classes` outputs and `width` channels in the
/// first convolution (64 in the original). Tensors have the names of [`crate::build`]. Input normalisation is the first
/// layer.
///
/// # Errors
/// [`Error::Unknown`] for a model that has no such stem, or [`Error::Network`] if the images are too small.
pub fn imagenet(name: &str, width: usize, input: [usize; 3], num_classes: usize) -> Result<Graph, Error> {
    let Some((name, body)) = BODIES.iter().find(|(known, _)| *known == name) else {
        let valid = BODIES.iter().map(|(name, _)| *name).collect();
        return Err(Error::Unknown { name: name.to_owned(), valid });
    };
    let stem = Convolution { channels: width, kernel: 7, stride: 2, padding: 3, bias: Bias::None };
    let graph = Graph::builder(format!("{name}-imagenet"), input).normalize("normalize");
    let graph = graph.conv2d("conv1", stem).batch_norm2d("bn1").relu().max_pool2d_with(3, 2, 1);
    Ok(body(graph, width, num_classes).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use robin_nn::graph::Initial;

    #[test]
    fn they_have_as_many_parameters_as_torchvision_says() {
        for (name, count) in [("resnet18", 11_689_512), ("resnet50", 25_557_032)] {
            let graph = imagenet(name, 64, [3, 224, 224], 1000).unwrap();
            let trained = graph.tensors().into_iter().filter(|t| !matches!(t.initial, Initial::Buffer(_)));
            assert_eq!(trained.map(|t| t.shape.iter().product::<usize>()).sum::<usize>(), count, "{name}");
        }
        let message = imagenet("mlp", 64, [3, 224, 224], 1000).unwrap_err().to_string();
        assert!(message.contains("resnet18, resnet50"), "{message}");
    }
}
