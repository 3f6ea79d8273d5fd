//! Pooling window row by window row, all channels of a position side by side.

use super::Geometry;

/// Writes the output of one image and the places of the maxima (one byte each).
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn forward(g: &Geometry, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    assert_eq!((x.len(), y.len(), places.len()), (g.input_len(), g.output_len(), g.output_len()), "{g:?}");
    let channels = g.channels;
    for_each_window(g, |at, start| {
        let y = &mut y[at..at + channels];
        let places = &mut places[at..at + channels];
        for place in 0..g.window * g.window {
            let from = start + (place / g.window * g.input[1] + place % g.window) * channels;
            let row = &x[from..from + channels];
            if place == 0 {
                y.copy_from_slice(row);
                places.fill(0);
                continue;
            }
            for ((y, p), &x) in y.iter_mut().zip(places.iter_mut()).zip(row) {
                let larger = x > *y;
                *y = if larger { x } else { *y };
                *p = if larger { place as u8 } else { *p };
            }
        }
    });
}

/// Writes the gradient on the image for the gradient `dy` on the output.
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn input_gradient(g: &Geometry, places: &[u8], dy: &[f32], dx: &mut [f32]) {
    assert_eq!((dx.len(), dy.len(), places.len()), (g.input_len(), g.output_len(), g.output_len()), "{g:?}");
    let channels = g.channels;
    dx.fill(0.0);
    for_each_window(g, |at, start| {
        for channel in 0..channels {
            let place = places[at + channel] as usize;
            let to = start + (place / g.window * g.input[1] + place % g.window) * channels + channel;
            dx[to] = dy[at + channel];
        }
    });
}

/// Calls `visit(first output value, first input value)` for every window.
fn for_each_window(g: &Geometry, mut visit: impl FnMut(usize, usize)) {
    let [height, width] = g.output();
    for i in 0..height {
        for j in 0..width {
            let start = (i * g.window * g.input[1] + j * g.window) * g.channels;
            visit((i * width + j) * g.channels, start);
        }
    }
}
