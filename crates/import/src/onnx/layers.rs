//! Each operator as layers.

use std::rc::Rc;

use robin_nn::graph::BATCH_NORM_EPSILON;
use robin_nn::graph::Rounding;
use robin_nn::{Bias, Convolution};

use super::attributes::{Attributes, name_of};
use super::fold::Known;
use super::lower::{Flow, Lowering};
use super::proto::Node;
use super::tensor::Constant;
use super::window::{Window, dense, two};
use crate::Result;

/// What ends many exported models, and must not: attacks need logits.
const PROBABILITIES: &[&str] = &["Softmax", "LogSoftmax", "ArgMax", "TopK"];

impl<'a> Lowering<'a> {
    /// Adds what `node` becomes.
    ///
    /// # Errors
    /// [`crate::Error::Node`].
    pub(super) fn node(&mut self, node: &'a Node) -> Result<()> {
        let done = match node.op_type.as_str() {
            "Conv" => self.conv(node),
            "BatchNormalization" => self.batch_norm(node),
            "Relu" => self.flow(node, 0).and_then(|flow| self.layer(node, &flow, |graph| graph.relu())),
            "Clip" => self.clip(node),
            "Round" => self.round(node, Rounding::Nearest),
            "Floor" => self.round(node, Rounding::Down),
            "Ceil" => self.round(node, Rounding::Up),
            "Sigmoid" => self.sigmoid(node),
            "MaxPool" => self.max_pool(node),
            "AveragePool" => self.average_pool(node),
            "GlobalAveragePool" => {
                self.flow(node, 0).and_then(|flow| self.layer(node, &flow, |graph| graph.global_avg_pool2d()))
            }
            "GlobalMaxPool" => {
                self.flow(node, 0).and_then(|flow| self.layer(node, &flow, |graph| graph.global_max_pool2d()))
            }
            "ReduceMean" => self.reduce_mean(node),
            "Gemm" | "MatMul" => self.linear(node),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" => self.arithmetic(node),
            "Flatten" => match Attributes(node).int("axis", 1) {
                1 => self.flatten(node),
                axis => Err(format!("axis {axis}; allowed: 1")),
            },
            "Reshape" => self.reshape(node),
            "Squeeze" => self.squeeze(node),
            "Pad" => self.pad(node),
            "Cast" if Attributes(node).int("to", 1) != 1 => {
                Err("it changes the type of what comes from the images; allowed: FLOAT (32 bits)".to_owned())
            }
            "Identity" | "Cast" => self.flow_with_pads(node, 0).map(|flow| self.passes(node, flow)),
            "Dropout" => self.dropout(node),
            operator if PROBABILITIES.contains(&operator) => {
                Err("no executor here runs it: attacks need logits, export the network without it".to_owned())
            }
            _ => Err("no executor here runs this operator".to_owned()),
        };
        done.map_err(|reason| self.fault(node, reason))
    }

    /// One layer at a flow.
    fn layer(
        &mut self,
        node: &'a Node,
        flow: &Flow,
        layer: impl FnOnce(robin_nn::GraphBuilder) -> robin_nn::GraphBuilder,
    ) -> Result<(), String> {
        self.add(|graph| layer(graph.at(flow.point)))?;
        self.made(node);
        Ok(())
    }

    fn conv(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow_with_pads(node, 0)?;
        let [channels, height, width] = flow.image()?;
        let (weights, bias) = (self.floats(node, 1)?, self.constant(node, 2)?);
        let &[out, of_group, kernel_height, kernel_width] = &weights.shape[..] else {
            return Err(format!("weights {:?}; allowed: [out, in, rows, columns]", weights.shape));
        };
        let (attributes, kernel) = (Attributes(node), [kernel_height, kernel_width]);
        let groups = usize::try_from(attributes.int("group", 1)).unwrap_or(0);
        if groups == 0 || out % groups != 0 || out == 0 || of_group.checked_mul(groups) != Some(channels) {
            return Err(format!("weights {:?} in {groups} groups for {channels} channels", weights.shape));
        }
        let window = Window::of(&attributes, kernel, [height, width])?.padded(flow.pads);
        self.convolve(node, &flow, groups, out, &window, &weights, bias)
    }

    #[allow(clippy::too_many_arguments, reason = "a convolution has many numbers")]
    fn convolve(
        &mut self,
        node: &'a Node,
        flow: &Flow,
        groups: usize,
        out: usize,
        window: &Window,
        weights: &Constant,
        bias: Option<Rc<Constant>>,
    ) -> Result<(), String> {
        let [channels, ..] = flow.image()?;
        let (stride, square) = (window.stride()?, window.square()?);
        self.reserve(&[out, channels, square.side, square.side])?;
        let values = weights.floats().unwrap_or_default();
        let layer = self.layer_name(node);
        self.give(&layer, "weight", dense(values, out, groups, window, &square));
        let bias = match bias {
            Some(bias) => match bias.floats() {
                Some(bias) if bias.len() == out => {
                    self.give(&layer, "bias", bias.to_vec());
                    Bias::Learned
                }
                _ => return Err(format!("its bias has shape {:?}, it makes {out} channels", bias.shape)),
            },
            None => Bias::None,
        };
        let (kernel, padding) = (square.side, square.padding);
        let settings = Convolution { channels: out, kernel, stride, padding, bias };
        self.layer(node, flow, |graph| graph.conv2d(&layer, settings))
    }

    fn batch_norm(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        let attributes = Attributes(node);
        if attributes.int("training_mode", 0) != 0 {
            return Err("it is in training mode; export the network in evaluation mode".to_owned());
        }
        let epsilon = f64::from(attributes.float("epsilon").unwrap_or(BATCH_NORM_EPSILON));
        let [weight, bias, mean, variance] =
            [self.floats(node, 1)?, self.floats(node, 2)?, self.floats(node, 3)?, self.floats(node, 4)?];
        let [weight, bias, mean, variance] =
            [&weight, &bias, &mean, &variance].map(|tensor| tensor.floats().unwrap_or_default());
        let channels = flow.shape.first().copied().unwrap_or(0);
        if [weight, bias, mean, variance].iter().any(|values| values.len() != channels) {
            return Err(format!("its tensors are not of {channels} channels, which it reads"));
        }
        if flow.shape.len() == 1 {
            let scale: Vec<f32> = weight
                .iter()
                .zip(variance)
                .map(|(weight, variance)| {
                    (f64::from(*weight) / (f64::from(*variance) + epsilon).sqrt()) as f32
                })
                .collect();
            let shift: Vec<f32> = (0..channels).map(|at| bias[at] - mean[at] * scale[at]).collect();
            return self.scale_linear(node, &flow, &scale, &shift);
        }
        let ours = f64::from(BATCH_NORM_EPSILON);
        let brought = |(weight, variance): (&f32, &f32)| {
            let variance = f64::from(*variance);
            match epsilon as f32 == BATCH_NORM_EPSILON {
                true => *weight,
                false => (f64::from(*weight) * ((variance + ours) / (variance + epsilon)).sqrt()) as f32,
            }
        };
        let weight: Vec<f32> = weight.iter().zip(variance).map(brought).collect();
        let layer = self.layer_name(node);
        self.give(&layer, "weight", weight);
        self.give(&layer, "bias", bias.to_vec());
        self.give(&layer, "running_mean", mean.to_vec());
        self.give(&layer, "running_var", variance.to_vec());
        self.normalizes |= flow.point == self.images;
        self.layer(node, &flow, |graph| graph.batch_norm2d(&layer))
    }

    fn round(&mut self, node: &'a Node, rounding: Rounding) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        self.layer(node, &flow, |graph| graph.round(rounding))
    }

    /// Half of `x * sigmoid(x)`, as which SiLU is exported: the product is the layer.
    fn sigmoid(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        if let Some(output) = node.output.first() {
            self.sigmoids.insert(output, flow.point);
        }
        Ok(())
    }

    /// What `node` multiplies by its own sigmoid, if it does.
    fn silu(&self, node: &Node) -> Option<Flow> {
        [(0, 1), (1, 0)].into_iter().find_map(|(value, gate)| {
            let flow = self.flow(node, value).ok()?;
            let of = self.sigmoids.get(node.input.get(gate)?.as_str())?;
            (*of == flow.point).then_some(flow)
        })
    }

    /// `clip(x, a, b)` by rectifiers: `a + relu(x - a)` from below, `b - relu(b - x)` from above.
    fn clip(&mut self, node: &'a Node) -> Result<(), String> {
        let mut flow = self.flow(node, 0)?;
        let attributes = Attributes(node);
        let bound = |at: usize, name: &str| -> Result<Option<f32>, String> {
            let constant = self.constant(node, at)?;
            let given = constant.and_then(|constant| constant.floats()?.first().copied());
            Ok(given.or(attributes.float(name)).filter(|bound| bound.is_finite() && bound.abs() < f32::MAX))
        };
        let (low, high) = (bound(1, "min")?, bound(2, "max")?);
        if low.zip(high).is_some_and(|(low, high)| low > high) {
            return Err(format!("it clips between {low:?} and {high:?}"));
        }
        if let Some(low) = low {
            if low == 0.0 {
                flow = self.at(&flow, |graph| graph.relu())?;
            } else {
                flow = self.affine(node, &flow, &[low], &[1.0])?;
                flow = self.at(&flow, |graph| graph.relu())?;
                flow = self.affine(node, &flow, &[-low], &[1.0])?;
            }
        }
        if let Some(high) = high {
            flow = self.affine(node, &flow, &[high], &[-1.0])?;
            flow = self.at(&flow, |graph| graph.relu())?;
            flow = self.affine(node, &flow, &[high], &[-1.0])?;
        }
        self.passes(node, flow);
        Ok(())
    }

    fn at(
        &mut self,
        flow: &Flow,
        layer: impl FnOnce(robin_nn::GraphBuilder) -> robin_nn::GraphBuilder,
    ) -> Result<Flow, String> {
        self.add(|graph| layer(graph.at(flow.point)))?;
        Ok(Flow { point: self.here(), ..flow.clone() })
    }

    /// `(x - mean) / std` per channel; each one number, or one per channel.
    fn affine(&mut self, node: &Node, flow: &Flow, mean: &[f32], std: &[f32]) -> Result<Flow, String> {
        let [channels, ..] = flow.image()?;
        let spread = |numbers: &[f32]| match numbers {
            &[one] => vec![one; channels],
            all => all.to_vec(),
        };
        let layer = self.name(&name_of(node));
        self.give(&layer, "mean", spread(mean));
        self.give(&layer, "std", spread(std));
        self.at(flow, |graph| graph.normalize(&layer))
    }

    fn max_pool(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        let [_, height, width] = flow.image()?;
        let attributes = Attributes(node);
        let window = Window::of(&attributes, two(&attributes, "kernel_shape", 0)?, [height, width])?;
        refuse_ceiling(&attributes, &window, [height, width])?;
        let (kernel, stride, pads) = (window.kernel, window.stride()?, window.pads);
        let uneven = kernel[0] != kernel[1] || pads.iter().any(|&pad| pad != pads[0]);
        if uneven || window.dilations != [1, 1] {
            let Window { dilations, .. } = window;
            return Err(format!(
                "kernel_shape {kernel:?}, pads {pads:?}, dilations {dilations:?}; allowed: square, even, none"
            ));
        }
        self.layer(node, &flow, |graph| graph.max_pool2d_with(kernel[0], stride, pads[0]))
    }

    fn average_pool(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        let [channels, height, width] = flow.image()?;
        let attributes = Attributes(node);
        let window = Window::of(&attributes, two(&attributes, "kernel_shape", 0)?, [height, width])?;
        refuse_ceiling(&attributes, &window, [height, width])?;
        let padded = window.pads != [0; 4];
        if padded && attributes.int("count_include_pad", 0) == 0 {
            return Err("it leaves its padding out of its means; allowed: no padding, or counted".to_owned());
        }
        let [rows, columns] = window.kernel;
        let tiles = window.strides == window.kernel && rows == columns && window.dilations == [1, 1];
        if tiles && !padded && height % rows == 0 && width % rows == 0 {
            return self.layer(node, &flow, |graph| graph.avg_pool2d(rows));
        }
        // A mean is a convolution of each channel by itself.
        let taps = rows * columns;
        self.reserve(&[channels, taps])?;
        let values = super::tensor::Values::Floats(vec![1.0 / taps as f32; channels * taps]);
        let weights = Constant { shape: vec![channels, 1, rows, columns], values };
        self.convolve(node, &flow, channels, channels, &window, &weights, None)
    }

    fn reduce_mean(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        let attributes = Attributes(node);
        let given = self.constant(node, 1)?;
        let axes = given.as_deref().and_then(Constant::as_integers).or(attributes.ints("axes"));
        let mut axes = axes.unwrap_or_default().to_vec();
        axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis += 4);
        axes.sort_unstable();
        if axes != [2, 3] {
            return Err(format!("axes {axes:?}; allowed: 2 and 3, an image's rows and columns"));
        }
        let pooled = self.flow_of(&flow, |graph| graph.global_avg_pool2d())?;
        if attributes.int("keepdims", 1) == 0 {
            return self.layer(node, &pooled, |graph| graph.flatten());
        }
        self.passes(node, pooled);
        Ok(())
    }

    fn flow_of(
        &mut self,
        flow: &Flow,
        layer: impl FnOnce(robin_nn::GraphBuilder) -> robin_nn::GraphBuilder,
    ) -> Result<Flow, String> {
        let [channels, ..] = flow.image()?;
        let pooled = self.at(flow, layer)?;
        Ok(Flow { shape: vec![channels, 1, 1], ..pooled })
    }

    fn linear(&mut self, node: &'a Node) -> Result<(), String> {
        let (flow, weights) = (self.flow(node, 0)?, self.floats(node, 1)?);
        let attributes = Attributes(node);
        let gemm = node.op_type == "Gemm";
        let turned = gemm && attributes.int("transB", 0) != 0;
        if gemm && attributes.int("transA", 0) != 0 {
            return Err("transA; allowed: rows of features".to_owned());
        }
        let (&[rows, columns], &[features]) = (&weights.shape[..], &flow.shape[..]) else {
            return Err(format!(
                "it multiplies {:?} by {:?}; allowed: rows by a matrix",
                flow.shape, weights.shape
            ));
        };
        let (inputs, outputs) = if turned { (columns, rows) } else { (rows, columns) };
        if inputs != features || outputs == 0 {
            return Err(format!("it takes {inputs} features and makes {outputs}, it reads {features}"));
        }
        self.reserve(&[inputs, outputs])?;
        let values = weights.floats().unwrap_or_default();
        let alpha = attributes.float("alpha").filter(|_| gemm).unwrap_or(1.0);
        let weight = (0..inputs * outputs).map(|at| {
            let (output, input) = (at / inputs, at % inputs);
            alpha * if turned { values[at] } else { values[input * outputs + output] }
        });
        let weight: Vec<f32> = weight.collect();
        let bias = if gemm { self.constant(node, 2)? } else { None };
        let beta = attributes.float("beta").unwrap_or(1.0);
        let bias = match &bias {
            Some(bias) => row(bias, outputs)?.into_iter().map(|value| beta * value).collect(),
            None => vec![0.0; outputs],
        };
        let layer = self.layer_name(node);
        self.give(&layer, "weight", weight);
        self.give(&layer, "bias", bias);
        self.layer(node, &flow, |graph| graph.linear(&layer, outputs))?;
        if let Some(output) = node.output.first() {
            self.linears.insert(output, layer);
        }
        Ok(())
    }

    /// Multiplies and shifts the outputs of the fully connected layer that `node` alone reads.
    fn scale_linear(
        &mut self,
        node: &'a Node,
        flow: &Flow,
        scale: &[f32],
        shift: &[f32],
    ) -> Result<(), String> {
        let at = node.input.iter().position(|name| self.linears.contains_key(name.as_str()));
        let known = at.filter(|&at| self.reads_alone(node, at));
        let Some(layer) = known.and_then(|at| self.linears.get(node.input[at].as_str()).cloned()) else {
            return Err(
                "it computes with constants per feature; allowed right after a fully connected layer \
                        that nothing else reads"
                    .to_owned(),
            );
        };
        for part in ["weight", "bias"] {
            let Some(values) = self.values.get_mut(&format!("{layer}.{part}")) else { continue };
            let each = values.len() / scale.len().max(1);
            values.chunks_mut(each.max(1)).zip(scale).for_each(|(row, scale)| {
                row.iter_mut().for_each(|value| *value *= scale);
            });
        }
        if let Some(bias) = self.values.get_mut(&format!("{layer}.bias")) {
            bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
        }
        if let Some(output) = node.output.first() {
            self.linears.insert(output, layer);
        }
        self.passes(node, flow.clone());
        Ok(())
    }

    /// Sums of flows, and flows with constants.
    fn arithmetic(&mut self, node: &'a Node) -> Result<(), String> {
        let operator = node.op_type.as_str();
        let [one, other] = &node.input[..] else {
            return Err(format!("{} inputs; allowed: two", node.input.len()));
        };
        if operator == "Mul"
            && let Some(flow) = self.silu(node)
        {
            return self.layer(node, &flow, |graph| graph.silu());
        }
        let at = match (self.is_known(one), self.is_known(other)) {
            (false, true) => 0,
            (true, false) => 1,
            (true, true) => return Err("it computes with constants alone".to_owned()),
            (false, false) if matches!(operator, "Add" | "Sum") => {
                let (a, b) = (self.flow(node, 0)?, self.flow(node, 1)?);
                if a.shape != b.shape {
                    return Err(format!("it adds {:?} and {:?}; allowed: equal shapes", a.shape, b.shape));
                }
                return self.layer(node, &a, |graph| graph.add(b.point));
            }
            _ => return Err("no executor here runs it on two values that come from the images".to_owned()),
        };
        let (flow, constant) = (self.flow(node, at)?, self.floats(node, 1 - at)?);
        let channels = flow.shape.first().copied().unwrap_or(0);
        let numbers = match flow.shape.len() {
            1 => row(&constant, channels)?,
            _ => per_channel(&constant, channels)?,
        };
        // As (x - mean) / std.
        let (mean, std): (Vec<f32>, Vec<f32>) = match (operator, at) {
            ("Add" | "Sum", _) => (numbers.iter().map(|v| -v).collect(), vec![1.0; channels]),
            ("Sub", 0) => (numbers, vec![1.0; channels]),
            ("Sub", _) => (numbers, vec![-1.0; channels]),
            ("Mul", _) => (vec![0.0; channels], numbers.iter().map(|v| 1.0 / v).collect()),
            ("Div", 0) => (vec![0.0; channels], numbers),
            _ => return Err("it divides by what comes from the images".to_owned()),
        };
        if std.iter().any(|std| !std.is_finite() || *std == 0.0) {
            return Err("it multiplies by 0 or divides by it".to_owned());
        }
        if flow.shape.len() == 1 {
            let scale: Vec<f32> = std.iter().map(|std| 1.0 / std).collect();
            let shift: Vec<f32> = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
            return self.scale_linear(node, &flow, &scale, &shift);
        }
        self.normalizes |= flow.point == self.images;
        let made = self.affine(node, &flow, &mean, &std)?;
        self.passes(node, made);
        Ok(())
    }

    fn flatten(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        if flow.shape.len() == 1 {
            self.passes(node, flow);
            return Ok(());
        }
        self.layer(node, &flow, |graph| graph.flatten())
    }

    fn reshape(&mut self, node: &'a Node) -> Result<(), String> {
        let (flow, target) = (self.flow(node, 0)?, self.constant(node, 1)?);
        let target = target.as_deref().and_then(Constant::as_integers).unwrap_or_default();
        let features: usize = flow.shape.iter().product();
        let same = target.len() == flow.shape.len() + 1
            && target[1..].iter().zip(&flow.shape).all(|(to, side)| *to == *side as i64);
        match target {
            _ if same => {
                self.passes(node, flow);
                Ok(())
            }
            [_, -1] => self.flatten(node),
            [_, to] if *to == features as i64 => self.flatten(node),
            _ => {
                let shape = &flow.shape;
                Err(format!("it makes {target:?} of images {shape:?}; allowed: [n, {features}]"))
            }
        }
    }

    fn squeeze(&mut self, node: &'a Node) -> Result<(), String> {
        let flow = self.flow(node, 0)?;
        match flow.shape[..] {
            [_, 1, 1] => self.flatten(node),
            _ => Err(format!("it reads {:?}; allowed: images of one pixel", flow.shape)),
        }
    }

    fn pad(&mut self, node: &'a Node) -> Result<(), String> {
        let mut flow = self.flow_with_pads(node, 0)?;
        flow.image()?;
        let attributes = Attributes(node);
        let mode = attributes.text("mode");
        let (given, value) = (self.constant(node, 1)?, self.constant(node, 2)?);
        let value = value.and_then(|value| value.floats()?.first().copied());
        let value = value.or(attributes.float("value")).unwrap_or(0.0);
        let pads = given.as_deref().and_then(Constant::as_integers).or(attributes.ints("pads"));
        let pads = pads.unwrap_or_default();
        let axes = node.input.get(3).is_some_and(|name| !name.is_empty());
        let sides = match pads {
            &[0, 0, top, left, 0, 0, bottom, right] if !axes => [top, left, bottom, right],
            _ => return Err(format!("pads {pads:?}; allowed: of rows and columns, without axes")),
        };
        if !matches!(mode, "" | "constant") || value != 0.0 {
            return Err(format!("mode {mode:?}, value {value}; allowed: zeros"));
        }
        for (pad, more) in flow.pads.iter_mut().zip(sides) {
            match usize::try_from(more) {
                Ok(more) if *pad + more <= 4096 => *pad += more,
                _ => return Err(format!("pads {pads:?}; allowed: 0 to 4096")),
            }
        }
        self.passes(node, flow);
        Ok(())
    }

    fn dropout(&mut self, node: &'a Node) -> Result<(), String> {
        let training = self.constant(node, 2)?;
        let training = training.as_deref().and_then(Constant::as_integers).is_some_and(|on| on != [0]);
        if training {
            return Err("it is in training mode; export the network in evaluation mode".to_owned());
        }
        let flow = self.flow_with_pads(node, 0)?;
        self.passes(node, flow);
        Ok(())
    }
}

/// Refuses what would make windows that hang over the end.
fn refuse_ceiling(attributes: &Attributes<'_>, window: &Window, sides: [usize; 2]) -> Result<(), String> {
    let whole = |axis: usize| {
        let side = sides[axis] + window.pads[axis] + window.pads[axis + 2];
        side.checked_sub(window.reach()[axis]).is_some_and(|room| room % window.strides[axis] == 0)
    };
    if attributes.int("ceil_mode", 0) != 0 && !(whole(0) && whole(1)) {
        return Err("ceil_mode, where windows do not fill the image; allowed: floor".to_owned());
    }
    Ok(())
}

/// `count` numbers of a constant that is one number, or a row of them.
fn row(constant: &Constant, count: usize) -> Result<Vec<f32>, String> {
    let leading = constant.shape.iter().rev().skip(1).all(|&side| side == 1);
    match constant.floats() {
        Some(&[one]) => Ok(vec![one; count]),
        Some(values) if values.len() == count && leading => Ok(values.to_vec()),
        _ => Err(format!("a constant of shape {:?} for {count} features", constant.shape)),
    }
}

/// `channels` numbers of a constant that is one number, or one per channel of images.
fn per_channel(constant: &Constant, channels: usize) -> Result<Vec<f32>, String> {
    let shape = match &constant.shape[..] {
        [1, shape @ ..] if shape.len() == 3 => shape,
        shape => shape,
    };
    match (constant.floats(), shape) {
        (Some(&[one]), _) => Ok(vec![one; channels]),
        (Some(values), [_, 1, 1]) if values.len() == channels => Ok(values.to_vec()),
        _ => Err(format!(
            "a constant of shape {:?}; allowed: one number, or [{channels}, 1, 1]",
            constant.shape
        )),
    }
}
