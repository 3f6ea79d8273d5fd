//! The nearest point of a hyperplane within the box.

use robin_core::Norm;

/// The smallest change `d` of `point` with `slope . d = rise` that keeps `point + d` in `[0, 1]`; where the box
/// does not reach the hyperplane, the change that comes nearest to it. Smallest in `norm`. In f64.
///
/// Let `room_i` be how far pixel i can go in the direction that serves `rise`. Then pixel i changes by
/// `min(reach * rate_i, room_i)` with rate 1 in linf and `|slope_i|` in l2, for the one `reach` that rises
/// enough; the rise is piecewise linear in `reach` and bends where a pixel meets the box, so the bends are
/// sorted.
pub(crate) fn step_to(norm: Norm, point: &[f64], slope: &[f64], rise: f64) -> Vec<f64> {
    let sign = if rise < 0.0 { -1.0 } else { 1.0 };
    let rate = |slope: f64| match norm {
        Norm::L2 => slope.abs(),
        Norm::Linf => 1.0,
    };
    let room = |at: usize| if sign * slope[at] > 0.0 { 1.0 - point[at] } else { point[at] };
    let mut bends: Vec<(f64, usize)> =
        (0..point.len()).filter(|&at| slope[at] != 0.0).map(|at| (room(at) / rate(slope[at]), at)).collect();
    bends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let goal = rise.abs();
    // Rise of the pixels that have met the box, and how fast the others rise.
    let mut stopped = 0.0;
    let mut speed: f64 = bends.iter().map(|&(_, at)| slope[at].abs() * rate(slope[at])).sum();
    let mut reach = f64::INFINITY;
    for &(bend, at) in &bends {
        if stopped + bend * speed >= goal {
            reach = ((goal - stopped) / speed).max(0.0);
            break;
        }
        stopped += slope[at].abs() * room(at);
        speed -= slope[at].abs() * rate(slope[at]);
    }
    let mut change = vec![0.0; point.len()];
    for &(_, at) in &bends {
        change[at] = sign * slope[at].signum() * room(at).min(reach * rate(slope[at]));
    }
    change
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::{Purpose, Seed};

    use super::*;

    fn draw(index: u64, count: usize) -> (Vec<f64>, Vec<f64>, f64) {
        let mut stream = Seed::new(5).derive(Purpose::Test, index).root_stream();
        let point = (0..count).map(|_| f64::from(stream.uniform())).collect();
        let slope = (0..count).map(|_| stream.gaussian()).collect();
        (point, slope, 1.5 * stream.gaussian())
    }

    fn rise(slope: &[f64], change: &[f64]) -> f64 {
        slope.iter().zip(change).map(|(s, d)| s * d).sum()
    }

    fn size(norm: Norm, change: &[f64]) -> f64 {
        match norm {
            Norm::L2 => crate::vector::l2(change),
            Norm::Linf => change.iter().fold(0.0, |largest: f64, d| largest.max(d.abs())),
        }
    }

    #[test]
    fn the_hyperplane_is_met_within_the_box_or_the_box_is_used_up() {
        let (mut met, mut short) = (0, 0);
        for norm in [Norm::L2, Norm::Linf] {
            for index in 0..400 {
                let (point, slope, goal) = draw(index, 6);
                let change = step_to(norm, &point, &slope, goal);
                assert!(point.iter().zip(&change).all(|(x, d)| (-1e-12..=1.0 + 1e-12).contains(&(x + d))));
                let most: f64 = slope
                    .iter()
                    .zip(&point)
                    .map(|(s, x)| s.abs() * if s * goal > 0.0 { 1.0 - x } else { *x })
                    .sum();
                let expected = goal.signum() * goal.abs().min(most);
                assert_abs_diff_eq!(rise(&slope, &change), expected, epsilon = 1e-9);
                if goal.abs() < most { met += 1 } else { short += 1 }
            }
        }
        assert!(met > 100 && short > 10, "{met} {short}");
    }

    /// No change along the hyperplane that keeps to the box makes it smaller.
    #[test]
    fn no_other_point_of_the_hyperplane_in_the_box_is_nearer() {
        for norm in [Norm::L2, Norm::Linf] {
            for index in 0..200 {
                let (point, slope, goal) = draw(index, 5);
                let change = step_to(norm, &point, &slope, goal);
                if (rise(&slope, &change) - goal).abs() > 1e-9 {
                    continue;
                }
                for (a, b) in (0..5).flat_map(|a| (0..5).map(move |b| (a, b))).filter(|(a, b)| a != b) {
                    let mut other = change.clone();
                    other[a] += 1e-4;
                    other[b] -= 1e-4 * slope[a] / slope[b];
                    let legal = point.iter().zip(&other).all(|(x, d)| (0.0..=1.0).contains(&(x + d)));
                    assert!(!legal || size(norm, &other) >= size(norm, &change) - 1e-12, "{norm} {index}");
                }
            }
        }
    }
}
