//! Windows of convolutions and poolings: ONNX has a number for every side, our layers one for all.

use super::attributes::Attributes;

/// No setting of a window is larger; so sizes stay far from overflow.
const LARGEST: i64 = 4096;

/// A window over images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub(super) pads: [usize; 4],
}

impl Window {
    /// The window that `attributes` describe, over images of `sides`.
    pub(super) fn of(
        attributes: &Attributes<'_>,
        kernel: [usize; 2],
        sides: [usize; 2],
    ) -> Result<Self, String> {
        let strides = two(attributes, "strides", 1)?;
        let dilations = two(attributes, "dilations", 1)?;
        let mut window = Self { kernel, strides, dilations, pads: [0; 4] };
        if kernel.iter().any(|&side| side == 0 || side > LARGEST as usize) {
            return Err(format!("its window is {kernel:?}"));
        }
        match attributes.text("auto_pad") {
            "" | "NOTSET" => {
                if let Some(pads) = attributes.ints("pads") {
                    let number = |&pad: &i64| usize::try_from(pad).ok().filter(|_| pad <= LARGEST);
                    let numbers: Option<Vec<usize>> = pads.iter().map(number).collect();
                    window.pads = numbers
                        .and_then(|numbers| numbers.try_into().ok())
                        .ok_or_else(|| format!("pads {pads:?}; allowed: four of 0 to {LARGEST}"))?;
                }
            }
            "VALID" => {}
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                for axis in 0..2 {
                    let reach =
                        (sides[axis].div_ceil(strides[axis]) - 1) * strides[axis] + window.reach()[axis];
                    let total = reach.saturating_sub(sides[axis]);
                    let (less, more) = (total / 2, total.div_ceil(2));
                    [window.pads[axis], window.pads[axis + 2]] =
                        if same == "SAME_UPPER" { [less, more] } else { [more, less] };
                }
            }
            other => return Err(format!("auto_pad {other:?} is unknown")),
        }
        Ok(window)
    }

    /// Sides of the window with the gaps of its dilation.
    pub(super) fn reach(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1) * self.dilations[axis] + 1)
    }

    /// With zeros from a node before.
    pub(super) fn padded(mut self, more: [usize; 4]) -> Self {
        self.pads.iter_mut().zip(more).for_each(|(pad, more)| *pad += more);
        self
    }

    /// The one stride.
    pub(super) fn stride(&self) -> Result<usize, String> {
        match self.strides {
            [one, other] if one == other => Ok(one),
            strides => Err(format!("strides {strides:?}; allowed: one for both sides")),
        }
    }

    /// As a square window with one padding, in which this one stands: sides without dilation, gaps and what is missing of
    /// the square filled by zeros.
    pub(super) fn square(&self) -> Result<Square, String> {
        let padding = self.pads.into_iter().max().unwrap_or(0);
        let reach = self.reach();
        let sides = [0, 1].map(|axis| reach[axis] + 2 * padding - self.pads[axis] - self.pads[axis + 2]);
        let [side, other] = sides;
        if side != other {
            let Self { kernel, dilations, pads, .. } = self;
            return Err(format!(
                "a window {kernel:?} with dilations {dilations:?} and pads {pads:?}; allowed: what fits a square \
                 window with one padding"
            ));
        }
        Ok(Square { side, padding, first: [padding - self.pads[0], padding - self.pads[1]] })
    }
}

/// A square window, and where in it the first tap of another one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Square {
    pub(super) side: usize,
    pub(super) padding: usize,
    pub(super) first: [usize; 2],
}

/// `weights` `[out, of_group, kernel...]` of `groups` groups as those of one dense square convolution,
/// `[out, of_group * groups, side, side]`: zeros stand wherever the other has no weight.
pub(super) fn dense(
    weights: &[f32],
    out: usize,
    groups: usize,
    window: &Window,
    square: &Square,
) -> Vec<f32> {
    let [height, width] = window.kernel;
    let of_group = weights.len() / (out * height * width).max(1);
    let (side, channels) = (square.side, of_group * groups);
    if groups == 1 && square.first == [0, 0] && window.kernel == [side, side] {
        return weights.to_vec();
    }
    let mut dense = vec![0.0; out * channels * side * side];
    for (at, weight) in weights.iter().enumerate() {
        let (column, row) = (at % width, at / width % height);
        let (channel, o) = (at / (width * height) % of_group, at / (width * height * of_group));
        let channel = o / (out / groups) * of_group + channel;
        let row = square.first[0] + row * window.dilations[0];
        let column = square.first[1] + column * window.dilations[1];
        dense[((o * channels + channel) * side + row) * side + column] = *weight;
    }
    dense
}

/// Two positive numbers of an attribute, or `default` twice.
pub(super) fn two(attributes: &Attributes<'_>, name: &str, default: usize) -> Result<[usize; 2], String> {
    let Some(given) = attributes.ints(name) else { return Ok([default; 2]) };
    match given {
        &[one, other] if (1..=LARGEST).contains(&one) && (1..=LARGEST).contains(&other) => {
            Ok([one as usize, other as usize])
        }
        _ => Err(format!("{name} {given:?}; allowed: two of 1 to {LARGEST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stand_in_squares() {
        let window = |kernel, dilations, pads| Window { kernel, strides: [1, 1], dilations, pads };
        let square = |w: Window| w.square().unwrap();
        assert_eq!(square(window([3, 3], [1, 1], [1; 4])), Square { side: 3, padding: 1, first: [0, 0] });
        assert_eq!(square(window([3, 3], [2, 2], [2; 4])), Square { side: 5, padding: 2, first: [0, 0] });
        // TensorFlow's way to halve a side, and a row.
        assert_eq!(
            square(window([3, 3], [1, 1], [0, 0, 1, 1])),
            Square { side: 4, padding: 1, first: [1, 1] }
        );
        assert_eq!(
            square(window([1, 3], [1, 1], [0, 1, 0, 1])),
            Square { side: 3, padding: 1, first: [1, 0] }
        );
        assert!(window([1, 3], [1, 1], [0; 4]).square().unwrap_err().contains("[1, 3]"));
    }

    #[test]
    fn groups_dilations_and_rows_become_dense_by_hand() {
        let window = Window { kernel: [1, 2], strides: [1, 1], dilations: [1, 2], pads: [0; 4] };
        let square = Square { side: 3, padding: 1, first: [1, 0] };
        // Two groups of one channel each.
        let dense = dense(&[1.0, 2.0, 3.0, 4.0], 2, 2, &window, &square);
        let row = |a: f32, b: f32| [0.0, 0.0, 0.0, a, 0.0, b, 0.0, 0.0, 0.0];
        assert_eq!(dense, [row(1.0, 2.0), [0.0; 9], [0.0; 9], row(3.0, 4.0)].concat());
    }
}
