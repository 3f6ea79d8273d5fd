//! Gaussian points in the unit square.

use robin_core::{ExampleId, Purpose};
use robin_data::{Dataset, Split};

use super::ToyWork;
use crate::{Error, Result};

impl ToyWork {
    /// Points of all clusters as images `[1, 1, 2]`: those that are trained on, or others that are shown.
    pub(super) fn points(&self, split: Split) -> Result<Dataset> {
        let spec = &self.spec;
        // Numbered on, so that no point is in both.
        let numbers = match split {
            Split::Train => 0..spec.train_points,
            Split::Test => spec.train_points..spec.train_points + spec.shown_points,
        };
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (at, cluster) in spec.clusters.iter().enumerate() {
            let seed = self.seed.derive(Purpose::ToyPoints, at as u64);
            for number in numbers.clone() {
                let mut stream = seed.stream(ExampleId::first(number as u32));
                for center in cluster.center {
                    let at = center + cluster.deviation * stream.gaussian();
                    pixels.push((255.0 * at.clamp(0.0, 1.0)).round() as u8);
                }
                labels.push(cluster.class as u8);
            }
        }
        Dataset::new("toy", spec.classes.len(), split, [1, 1, 2], pixels, labels)
            .map_err(Error::work("drawing the points"))
    }
}
