//! Pooling window by window, channels side by side in registers.

use super::Geometry;

/// Channels that are compared together; what is left over goes one by one.
const LANES: usize = 8;

/// Writes the output of one image and the places of the maxima (one byte each).
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn forward(g: &Geometry, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    assert_eq!((x.len(), y.len(), places.len()), (g.input_len(), g.output_len(), g.output_len()), "{g:?}");
    let whole = g.channels - g.channels % LANES;
    for_each_window(g, |at, start| {
        for channel in (0..whole).step_by(LANES) {
            maxima::<LANES>(g, &x[start + channel..], &mut y[at + channel..], &mut places[at + channel..]);
        }
        for channel in whole..g.channels {
            maxima::<1>(g, &x[start + channel..], &mut y[at + channel..], &mut places[at + channel..]);
        }
    });
}

/// The maxima of `L` channels of one window, and their places. The slices begin at the window's first channel.
#[inline(always)]
fn maxima<const L: usize>(g: &Geometry, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    let mut best = *x.first_chunk::<L>().expect("a window lies in its image");
    // As wide as the values, so that both are selected by one mask.
    let mut best_place = [0_u32; L];
    for place in 1..g.window * g.window {
        let values = x[g.offset(place)..].first_chunk::<L>().expect("a window lies in its image");
        for lane in 0..L {
            // NaN wins, as in PyTorch: a broken network must not look like a quiet one.
            let larger = values[lane] > best[lane] || values[lane].is_nan();
            best[lane] = if larger { values[lane] } else { best[lane] };
            best_place[lane] = if larger { place as u32 } else { best_place[lane] };
        }
    }
    y[..L].copy_from_slice(&best);
    places[..L].copy_from_slice(&best_place.map(|place| place as u8));
}

/// Writes the gradient on the image for the gradient `dy` on the output.
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn input_gradient(g: &Geometry, places: &[u8], dy: &[f32], dx: &mut [f32]) {
    assert_eq!((dx.len(), dy.len(), places.len()), (g.input_len(), g.output_len(), g.output_len()), "{g:?}");
    let whole = g.channels - g.channels % LANES;
    if g.output().map(|side| side * g.window) != g.input {
        // Rows and columns that fill no window.
        dx.fill(0.0);
    }
    for_each_window(g, |at, start| {
        for channel in (0..whole).step_by(LANES) {
            spread::<LANES>(g, &places[at + channel..], &dy[at + channel..], &mut dx[start + channel..]);
        }
        for channel in whole..g.channels {
            spread::<1>(g, &places[at + channel..], &dy[at + channel..], &mut dx[start + channel..]);
        }
    });
}

/// Writes `L` channels of one window: the gradient at the maximum's place, 0 at the others.
#[inline(always)]
fn spread<const L: usize>(g: &Geometry, places: &[u8], dy: &[f32], dx: &mut [f32]) {
    let places = places.first_chunk::<L>().expect("an output for each window").map(u32::from);
    let dy = dy.first_chunk::<L>().expect("an output for each window");
    for place in 0..g.window * g.window {
        let dx = dx[g.offset(place)..].first_chunk_mut::<L>().expect("a window lies in its image");
        for lane in 0..L {
            dx[lane] = if places[lane] == place as u32 { dy[lane] } else { 0.0 };
        }
    }
}

/// Calls `visit(first output value, first input value)` for every window.
#[inline(always)]
fn for_each_window(g: &Geometry, mut visit: impl FnMut(usize, usize)) {
    let [height, width] = g.output();
    for i in 0..height {
        for j in 0..width {
            let start = (i * g.window * g.input[1] + j * g.window) * g.channels;
            visit((i * width + j) * g.channels, start);
        }
    }
}
