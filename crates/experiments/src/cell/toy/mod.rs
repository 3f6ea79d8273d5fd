//! Small networks on points in the plane: what the paper's Figure 2 draws.
//!
//! A point is an image of two pixels. A binary network is told which points are of the first class, another one all
//! classes; both are trained adversarially on the same points. Attacks then take test points to the nearest point
//! with a wrong decision, for the binary network (a), for the other one (b), and for the other one where only the
//! border of the first class counts (c).

mod points;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};
use robin_attacks::{Loss, MinimalAttack};
use robin_core::{
    CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, OneClass, Purpose, Seed, Strategy,
    SuccessCriterion, Target, host,
};
use robin_data::{Dataset, LabelMap, Split};
use robin_evaluation::OneClassStrategy;
use robin_nn::{Executor, Parameters};
use robin_training::Silent;
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::measure::{OwnLoss, to_json};
use super::{Computed, Context, TrainedNetwork, Work};
use crate::figure::{Arrow, Dot, Regions};
use crate::record::Record;
use crate::spec::{AttackSpec, Normalize, ToySpec};
use crate::{Error, Result};

/// Everything that decides the drawing.
#[derive(Debug)]
pub struct ToyWork {
    /// Points, networks and attack.
    pub spec: ToySpec,
    /// Of both networks.
    pub config: robin_training::Config,
    /// What their first layer does.
    pub normalize: Option<Normalize>,
    /// The attack that [`ToySpec::attack`] names.
    pub attack: AttackSpec,
    /// Of points, weights, training and attack.
    pub seed: Seed,
}

/// One of the three drawings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToyPanel {
    /// What it shows.
    pub title: String,
    /// Regions, test points and arrows.
    pub regions: Regions,
    /// Share of test points with the right decision.
    pub clean_accuracy: f64,
    /// Mean l2 length of the arrows: distance of the points that are right to a wrong decision.
    pub mean_distance: Option<f64>,
    /// Test points.
    pub n: usize,
    /// Points that are right and for which the attack found nothing.
    pub censored: usize,
}

impl Work for ToyWork {
    fn run(&self, _networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed> {
        let _span = tracing::info_span!("study", cell = context.watched.label).entered();
        let panels = self.panels(context.executor, context.cancel)?;
        to_json("the toy's panels", &panels).map(Computed::from)
    }

    /// It has no network of the list, and is seconds.
    fn amount(&self, _networks: f64) -> Amount {
        Amount::default()
    }
}

impl ToyWork {
    /// The three panels.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Work`] for settings that do not fit together.
    pub fn panels(&self, executor: &dyn Executor, cancel: &CancelToken) -> Result<Vec<ToyPanel>> {
        let all = self.spec.classes.len();
        let train = self.points(Split::Train)?;
        let test = self.points(Split::Test)?;
        let order: Vec<u32> = (0..all as u32).collect();
        let binary = LabelMap::Other { classes: 2, order };
        let two = self.network(&train, &binary, executor, cancel)?;
        let many = self.network(&train, &LabelMap::Identity, executor, cancel)?;
        let asked = test.relabelled(&binary).map_err(Error::work("relabelling the points"))?;
        let loss = self.attack.loss;
        let (first, others) = (&self.spec.classes[0], &self.spec.classes[1..]);
        let names = [first.clone(), others.join(" or ")];
        let draw =
            |title: &str, model: &dyn Classifier, data: &Dataset, names: &[String], rules: Rules<'_>| {
                self.panel(title, model, data, names, rules, cancel)
            };
        let own = Rules { criterion: &Misclassified, strategy: &OwnLoss(loss) };
        let one_class =
            Rules { criterion: &OneClass { class: 0 }, strategy: &OneClassStrategy { class: 0, loss } };
        Ok(vec![
            draw("(a) binary", two.as_ref(), &asked, &names, own)?,
            draw(&format!("(b) {all} classes"), many.as_ref(), &test, &self.spec.classes, own)?,
            draw(
                &format!("(c) {all} classes, only the border of {first} counts"),
                many.as_ref(),
                &test,
                &self.spec.classes,
                one_class,
            )?,
        ])
    }

    /// A network trained on `data` as `labels` map it.
    fn network(
        &self,
        data: &Dataset,
        labels: &LabelMap,
        executor: &dyn Executor,
        cancel: &CancelToken,
    ) -> Result<Box<dyn Classifier>> {
        let outputs = labels.num_classes(data.num_classes());
        let graph = robin_models::build("mlp", Some(self.spec.width), data.shape(), outputs)
            .map_err(Error::work("building the model"))?;
        let seed = self.seed.derive(Purpose::Network, outputs as u64);
        let mut parameters = Parameters::initialise(&graph, seed);
        if let Some(normalize) = &self.normalize {
            normalize.fill(&mut parameters);
        }
        let mut network =
            executor.network(&graph, parameters).map_err(Error::work("preparing the network"))?;
        robin_training::train(network.as_mut(), data, labels, &self.config, seed, &mut Silent, cancel)
            .map_err(Error::work("training"))?;
        network.freeze().map_err(Error::work("preparing the network"))
    }

    fn panel(
        &self,
        title: &str,
        model: &dyn Classifier,
        data: &Dataset,
        names: &[String],
        Rules { criterion, strategy }: Rules<'_>,
        cancel: &CancelToken,
    ) -> Result<ToyPanel> {
        let doing = "attacking the points";
        let ids: Vec<ExampleId> = (0..data.len() as u32).map(ExampleId::first).collect();
        let batch = data.batch(&ids, &LabelMap::Identity).map_err(Error::work(doing))?;
        let target = Target { model, criterion, cancel };
        let clean = target.verdicts(&batch.images, &batch.labels).map_err(Error::work(doing))?;
        let scores = model.scores(&batch.images, &Columns::All).map_err(Error::work(doing))?;
        let objectives = strategy.prepare(&scores, &batch).map_err(Error::work(doing))?;
        let attack: Box<dyn MinimalAttack> =
            self.attack.attack.minimal(Norm::L2).map_err(Error::work("preparing the attack"))?;
        let seed = self.seed.derive(Purpose::Evaluation, 0);
        let found = attack.smallest(&target, &objectives, &batch, seed, None).map_err(Error::work(doing))?;
        let plane = |images: &Tensor| -> Result<Vec<[f64; 2]>> {
            let values = host::to_vec(images).map_err(Error::work(doing))?;
            Ok(values.chunks_exact(2).map(|point| [f64::from(point[0]), f64::from(point[1])]).collect())
        };
        let (from, to) = (plane(&batch.images)?, plane(&found.images)?);
        let right: Vec<usize> = (0..batch.len()).filter(|&row| !clean[row].misclassified).collect();
        let reached: Vec<usize> =
            right.iter().copied().filter(|&row| found.distances[row].is_finite()).collect();
        let sum: f64 = reached.iter().map(|&row| found.distances[row]).sum();
        let arrow = |&row: &usize| Arrow {
            from: from[row],
            to: to[row],
            misclassified: found.verdicts[row].misclassified,
        };
        Ok(ToyPanel {
            title: title.to_owned(),
            regions: Regions {
                classes: names.to_vec(),
                width: self.spec.grid,
                grid: self.decisions(model)?,
                x: [0.0, 1.0],
                y: [0.0, 1.0],
                points: from
                    .iter()
                    .zip(&batch.labels)
                    .map(|(&at, &class)| Dot { at, class: class as usize })
                    .collect(),
                arrows: reached.iter().map(arrow).collect(),
                records: Vec::new(),
            },
            clean_accuracy: right.len() as f64 / batch.len() as f64,
            mean_distance: (!reached.is_empty()).then(|| sum / reached.len() as f64),
            n: batch.len(),
            censored: right.len() - reached.len(),
        })
    }

    /// The decision in the middle of each cell of the grid, the lowest row first.
    fn decisions(&self, model: &dyn Classifier) -> Result<Vec<usize>> {
        let side = self.spec.grid;
        let middle = |at: usize| (at as f32 + 0.5) / side as f32;
        let pixels: Vec<f32> =
            (0..side * side).flat_map(|cell| [middle(cell % side), middle(cell / side)]).collect();
        let doing = "asking for the regions";
        let images = Tensor::from_vec(pixels, (side * side, 1, 1, 2), &Device::Cpu);
        let images = images.map_err(Error::work(doing))?;
        let decisions = model.predict(&images).map_err(Error::work(doing))?;
        Ok(decisions.into_iter().map(|class| class as usize).collect())
    }
}

/// Who decides, and what is maximised.
#[derive(Clone, Copy)]
struct Rules<'a> {
    criterion: &'a dyn SuccessCriterion,
    strategy: &'a dyn Strategy,
}

/// The panels of a record.
///
/// # Errors
/// [`Error::Results`] if it has none.
pub fn read(record: &Record) -> Result<Vec<ToyPanel>> {
    serde_json::from_value(record.results.clone()).map_err(|error| record.lacks("panels", error.to_string()))
}

/// What is wrong with `spec`, in words.
pub(crate) fn fault(spec: &ToySpec, attack: &AttackSpec) -> Option<String> {
    let classes = spec.classes.len();
    let covered = |class| spec.clusters.iter().any(|cluster| cluster.class == class);
    let inside = |cluster: &crate::spec::Cluster| {
        cluster.class < classes
            && cluster.center.iter().all(|at| (0.0..=1.0).contains(at))
            && (0.0..=1.0).contains(&cluster.deviation)
    };
    if !(3..=256).contains(&classes) {
        return Some(format!("{classes} classes, allowed: 3 to 256"));
    }
    if let Some(class) = (0..classes).find(|&class| !covered(class)) {
        return Some(format!("class {} has no cluster", spec.classes[class]));
    }
    if let Some(cluster) = spec.clusters.iter().find(|cluster| !inside(cluster)) {
        return Some(format!("{cluster:?}: a class that there is, a center and a deviation in [0, 1]"));
    }
    for (name, value) in
        [("train_points", spec.train_points), ("shown_points", spec.shown_points), ("grid", spec.grid)]
    {
        if value == 0 || value > 10_000 {
            return Some(format!("{name} is {value}, allowed: 1 to 10000"));
        }
    }
    if !matches!(attack.loss, Loss::Ce | Loss::Margin) {
        return Some(format!("loss {}, allowed: ce, margin", attack.loss));
    }
    attack.attack.minimal(Norm::L2).err().map(|error| error.to_string())
}
