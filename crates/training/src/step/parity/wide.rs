//! A training in f64: the graph's definition by the reference executor, the losses' own rows, and PGD and SGD written
//! out here, since everything that is made for use holds values in f32.

use candle_core::{DType, Device, Tensor, Var};
use robin_core::Norm;
use robin_nn::candle::{Activations, Mode, Weights, activations, batch_statistics, forward};
use robin_nn::graph::{BATCH_NORM_MOMENTUM, Layer};
use robin_nn::{Graph, NamedTensor, Parameters};

use crate::losses::{LogSoftmax, cross_entropy, trades};
use crate::{AttackMode, Config, Method};

/// A tensor's name, shape and values.
type Wide = (String, Vec<usize>, Vec<f64>);

pub(super) struct Training {
    graph: Graph,
    method: Method,
    /// Of batch norm during the attack.
    mode: Mode,
    trained: Vec<Wide>,
    buffers: Vec<Wide>,
    velocities: Vec<Vec<f64>>,
}

/// Images `[n, c, h, w]`, their labels, and where their attack begins.
pub(super) struct Examples<'a> {
    pub(super) images: &'a Tensor,
    pub(super) labels: &'a [u32],
    pub(super) starts: &'a Tensor,
}

impl Training {
    pub(super) fn new(graph: &Graph, config: &Config, parameters: &Parameters) -> Self {
        let wide = |tensors: &[NamedTensor]| -> Vec<Wide> {
            let values = |t: &NamedTensor| t.values.iter().map(|&value| f64::from(value)).collect();
            tensors.iter().map(|t| (t.name.clone(), t.shape.clone(), values(t))).collect()
        };
        let trained = wide(&parameters.trained);
        let velocities = trained.iter().map(|(_, _, values)| vec![0.0; values.len()]).collect();
        let buffers = wide(&parameters.buffers);
        let mode = match config.attack_mode {
            AttackMode::Eval => Mode::Evaluation,
            AttackMode::Train => Mode::Training,
        };
        Self { graph: graph.clone(), method: config.method.clone(), mode, trained, buffers, velocities }
    }

    /// Present weights and statistics, rounded to f32.
    pub(super) fn rounded(&self) -> Parameters {
        let tensors = |tensors: &[Wide]| -> Vec<NamedTensor> {
            let named = |(name, shape, values): &Wide| NamedTensor {
                name: name.clone(),
                shape: shape.clone(),
                values: values.iter().map(|&value| value as f32).collect(),
            };
            tensors.iter().map(named).collect()
        };
        Parameters { trained: tensors(&self.trained), buffers: tensors(&self.buffers) }
    }

    /// One step of SGD (momentum 0.9, weight decay 5e-4); returns the perturbed images and the mean loss.
    pub(super) fn step(&mut self, examples: &Examples<'_>, rate: f64) -> (Tensor, f64) {
        let clean = examples.images.to_dtype(DType::F64).unwrap();
        let perturbed = self.attack(&clean, examples);
        let batches = match self.method {
            Method::Trades { .. } => vec![&clean, &perturbed],
            _ => vec![&perturbed],
        };
        let variables: Vec<Var> =
            self.trained.iter().map(|wide| Var::from_tensor(&tensor(wide)).unwrap()).collect();
        let tracked = variables.iter().map(|variable| variable.as_tensor().clone());
        let weights = self.weights(tracked.collect());
        let passes: Vec<Activations> = batches
            .iter()
            .map(|images| activations(&self.graph, &weights, images, Mode::Training).unwrap())
            .collect();
        let logits: Vec<Vec<Vec<f64>>> =
            passes.iter().map(|pass| pass.outputs().detach().to_vec2().unwrap()).collect();
        let (losses, gradients) = self.losses(&logits, examples.labels);
        let n = examples.labels.len() as f64;
        let mut total = Tensor::zeros((), DType::F64, &Device::Cpu).unwrap();
        for (pass, gradient) in passes.iter().zip(&gradients) {
            let mean = (rows(gradient) / n).unwrap();
            total = (total + (pass.outputs() * mean).unwrap().sum_all().unwrap()).unwrap();
        }
        let found = total.backward().unwrap();
        for (((_, _, w), velocity), variable) in
            self.trained.iter_mut().zip(&mut self.velocities).zip(&variables)
        {
            let gradient: Vec<f64> = found.get(variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            for ((w, v), g) in w.iter_mut().zip(velocity).zip(gradient) {
                *v = 0.9 * *v + (g + 5e-4 * *w);
                *w -= rate * *v;
            }
        }
        passes.iter().for_each(|pass| self.move_statistics(pass));
        (perturbed, losses.iter().sum::<f64>() / n)
    }

    /// Values, and gradients on each batch's logits, per example.
    fn losses(&self, logits: &[Vec<Vec<f64>>], labels: &[u32]) -> (Vec<f64>, Vec<Vec<Vec<f64>>>) {
        let mut gradients: Vec<Vec<Vec<f64>>> =
            logits.iter().map(|batch| batch.iter().map(|row| vec![0.0; row.len()]).collect()).collect();
        let mut losses = Vec::new();
        for (at, &label) in labels.iter().enumerate() {
            let p = LogSoftmax::of(&logits[0][at]);
            losses.push(match (&self.method, &mut gradients[..]) {
                (Method::Trades { lambda, .. }, [clean, perturbed]) => {
                    let q = LogSoftmax::of(&logits[1][at]);
                    let label = (label as usize, 0.0);
                    trades::row(&p, &q, label, *lambda, &mut clean[at], &mut perturbed[at])
                }
                (_, gradients) => cross_entropy::row(&p, label as usize, 0.0, &mut gradients[0][at]),
            });
        }
        (losses, gradients)
    }

    /// The final images of the training attack.
    fn attack(&self, clean: &Tensor, examples: &Examples<'_>) -> Tensor {
        let (Method::PgdAt { budget, steps, step_size, .. }
        | Method::Trades { budget, steps, step_size, .. }) = self.method
        else {
            panic!("{:?} has no attack here", self.method)
        };
        let (norm, epsilon) = (budget.norm, budget.epsilon.get());
        let step_size = step_size.pixels(budget.epsilon, steps).unwrap();
        let weights = self.weights(self.trained.iter().map(tensor).collect());
        let logits = |images: &Tensor| forward(&self.graph, &weights, images, self.mode).unwrap();
        let of_clean: Vec<Vec<f64>> = logits(clean).to_vec2().unwrap();
        let clean_rows = image_rows(clean);
        let mut images = image_rows(&examples.starts.to_dtype(DType::F64).unwrap());
        project(norm, epsilon, &clean_rows, &mut images);
        for _ in 0..steps {
            let variable = Var::from_tensor(&rows(&images).reshape(clean.shape()).unwrap()).unwrap();
            let outputs = logits(variable.as_tensor());
            let perturbed: Vec<Vec<f64>> = outputs.detach().to_vec2().unwrap();
            let upstream: Vec<Vec<f64>> = (0..perturbed.len())
                .map(|at| {
                    let q = LogSoftmax::of(&perturbed[at]);
                    let mut gradient = vec![0.0; perturbed[at].len()];
                    if let Method::Trades { .. } = self.method {
                        let p = LogSoftmax::of(&of_clean[at]);
                        (0..gradient.len()).for_each(|j| gradient[j] = p.excess_of(&q, j));
                    } else {
                        cross_entropy::row(&q, examples.labels[at] as usize, 0.0, &mut gradient);
                    }
                    gradient
                })
                .collect();
            let total = (outputs * rows(&upstream)).unwrap().sum_all().unwrap();
            let gradient = image_rows(total.backward().unwrap().get(&variable).unwrap());
            for (image, gradient) in images.iter_mut().zip(&gradient) {
                let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                for (x, g) in image.iter_mut().zip(gradient) {
                    *x += step_size
                        * match norm {
                            Norm::L2 => g / length,
                            Norm::Linf if *g == 0.0 => 0.0,
                            Norm::Linf => g.signum(),
                        };
                }
            }
            project(norm, epsilon, &clean_rows, &mut images);
        }
        rows(&images).reshape(clean.shape()).unwrap()
    }

    /// All tensors, with `trained` for those that are.
    fn weights(&self, trained: Vec<Tensor>) -> Weights {
        let names = self.trained.iter().map(|(name, _, _)| name.clone());
        let buffers = self.buffers.iter().map(|wide| (wide.0.clone(), tensor(wide)));
        Weights::of(&self.graph, names.zip(trained).chain(buffers).collect()).unwrap()
    }

    /// As PyTorch moves running statistics in f64, whose momentum is not rounded to f32.
    fn move_statistics(&mut self, pass: &Activations) {
        let momentum = 0.1_f64;
        assert_eq!(momentum as f32, BATCH_NORM_MOMENTUM);
        for node in self.graph.nodes() {
            let Layer::BatchNorm2d { name, shape } = &node.layer else { continue };
            let x = pass.at(node.inputs[0]);
            let count = (x.elem_count() / shape[0]) as f64;
            let (mean, variance) = batch_statistics(x).unwrap();
            for (part, found, factor) in
                [("running_mean", mean, 1.0), ("running_var", variance, count / (count - 1.0))]
            {
                let name = format!("{name}.{part}");
                let (_, _, running) = self.buffers.iter_mut().find(|buffer| buffer.0 == name).unwrap();
                let found: Vec<f64> = found.detach().to_vec1().unwrap();
                for (running, found) in running.iter_mut().zip(found) {
                    *running = (1.0 - momentum) * *running + momentum * factor * found;
                }
            }
        }
    }
}

/// The nearest points of the ball, then of the box.
fn project(norm: Norm, epsilon: f64, clean: &[Vec<f64>], images: &mut [Vec<f64>]) {
    for (clean, image) in clean.iter().zip(images) {
        let length = clean.iter().zip(&*image).map(|(c, x)| (x - c) * (x - c)).sum::<f64>().sqrt();
        for (c, x) in clean.iter().zip(image) {
            let moved = match norm {
                Norm::L2 => c + (*x - c) * (epsilon / length).min(1.0),
                Norm::Linf => x.clamp(c - epsilon, c + epsilon),
            };
            *x = moved.clamp(0.0, 1.0);
        }
    }
}

fn tensor((_, shape, values): &Wide) -> Tensor {
    Tensor::from_slice(values, shape.as_slice(), &Device::Cpu).unwrap()
}

fn rows(rows: &[Vec<f64>]) -> Tensor {
    Tensor::from_vec(rows.concat(), (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

fn image_rows(images: &Tensor) -> Vec<Vec<f64>> {
    images.flatten_from(1).unwrap().to_vec2().unwrap()
}
