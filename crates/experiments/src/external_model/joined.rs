//! Networks become the classifier that is attacked.

use robin_aggregation::Aggregation;
use robin_core::Classifier;
use robin_nn::{Graph, Parameters};

use crate::{Device, Error, Result};

/// `networks` as one classifier.
pub(super) fn joined(
    networks: &[(Graph, Parameters)],
    aggregate: Option<Aggregation>,
    device: Device,
) -> Result<Box<dyn Classifier>> {
    let mut networks = classifiers(networks, device)?;
    match aggregate {
        Some(aggregate) => aggregate.build(networks).map_err(Error::work("joining the networks")),
        None => Ok(networks.pop().expect("there is one file")),
    }
}

/// The networks as an attacker meets them.
pub(super) fn classifiers(
    networks: &[(Graph, Parameters)],
    device: Device,
) -> Result<Vec<Box<dyn Classifier>>> {
    let prepare = |(graph, parameters): &(Graph, Parameters)| {
        device.executor().classifier(graph, parameters).map_err(Error::work("preparing the network"))
    };
    networks.iter().map(prepare).collect()
}
