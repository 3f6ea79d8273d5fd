//! The fast implementation against the reference, and the conventions by hand.

use super::{Geometry, direct, reference};

fn geometries() -> Vec<Geometry> {
    let g = |input, channels, window| Geometry { input, channels, window };
    vec![
        g([4, 4], 3, 2),
        g([28, 28], 8, 2),
        g([7, 9], 2, 2),
        g([7, 7], 1, 3),
        g([3, 2], 5, 1),
        g([9, 6], 11, 3),
        g([6, 7], 16, 2),
        g([1, 1], 2, 2),
    ]
}

#[test]
fn direct_agrees_with_the_reference_also_at_ties() {
    for g in geometries() {
        // Few distinct values, so that most windows have ties.
        let x: Vec<f32> = (0..g.input_len()).map(|i| ((i * 7919) % 5) as f32 - 2.0).collect();
        let dy: Vec<f32> = (0..g.output_len()).map(|i| i as f32 + 1.0).collect();
        let (mut y, mut places) = (vec![f32::NAN; g.output_len()], vec![u8::MAX; g.output_len()]);
        let mut dx = vec![f32::NAN; g.input_len()];
        direct::forward(&g, &x, &mut y, &mut places);
        direct::input_gradient(&g, &places, &dy, &mut dx);

        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (expected_y, expected_places) = reference::forward(&g, &wide(&x));
        let expected_dx = reference::input_gradient(&g, &expected_places, &wide(&dy));
        assert_eq!(wide(&y), expected_y, "{g:?}");
        assert_eq!(places.iter().map(|&p| p as usize).collect::<Vec<_>>(), expected_places, "{g:?}");
        assert_eq!(wide(&dx), expected_dx, "{g:?}");
    }
}

#[test]
fn the_first_largest_value_takes_the_whole_gradient() {
    let g = Geometry { input: [2, 2], channels: 1, window: 2 };
    let gradient = |x: [f32; 4]| {
        let (mut y, mut places, mut dx) = ([0.0], [0], [0.0; 4]);
        direct::forward(&g, &x, &mut y, &mut places);
        direct::input_gradient(&g, &places, &[1.0], &mut dx);
        dx
    };
    assert_eq!(gradient([1.0, 2.0, 3.0, 4.0]), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(gradient([1.0, 1.0, 1.0, 1.0]), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(gradient([0.0, 2.0, 2.0, 1.0]), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn nan_wins_wherever_it_stands() {
    let g = Geometry { input: [2, 2], channels: 1, window: 2 };
    for at in 0..4 {
        let (mut x, mut y, mut places) = ([1.0, 2.0, 3.0, 4.0], [0.0], [0]);
        x[at] = f32::NAN;
        direct::forward(&g, &x, &mut y, &mut places);
        assert!(y[0].is_nan() && usize::from(places[0]) == at, "{x:?}");
    }
}
