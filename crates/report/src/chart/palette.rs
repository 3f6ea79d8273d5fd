//! Colours: drawn as fixed ones, for files; on the page each is a CSS variable, so that light and dark both work.

use plotters::style::RGBColor;

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(0x1c, 0x1d, 0x21);
/// Inside of hollow markers: what is behind the drawing.
pub(super) const PAPER: RGBColor = RGBColor(0xfe, 0xff, 0xfe);

/// Okabe and Ito's colours, told apart with every kind of colour vision; without the yellow, too weak for lines.
const SERIES: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x77, 0x77, 0x7a),
];

/// Viridis from dark to light, its lightest end left out: for many lines that have an order.
const ORDERED: [RGBColor; 10] = [
    RGBColor(0x44, 0x01, 0x54),
    RGBColor(0x48, 0x25, 0x76),
    RGBColor(0x41, 0x44, 0x87),
    RGBColor(0x35, 0x5f, 0x8d),
    RGBColor(0x2a, 0x78, 0x8e),
    RGBColor(0x21, 0x91, 0x8c),
    RGBColor(0x22, 0xa8, 0x84),
    RGBColor(0x44, 0xbf, 0x70),
    RGBColor(0x7a, 0xd1, 0x51),
    RGBColor(0xa8, 0xc9, 0x2a),
];

/// Areas behind points of the colours in [`SERIES`].
const TINTS: [RGBColor; 7] = [
    RGBColor(0xcf, 0xe3, 0xf0),
    RGBColor(0xf7, 0xdd, 0xc9),
    RGBColor(0xcc, 0xec, 0xe2),
    RGBColor(0xf4, 0xe2, 0xec),
    RGBColor(0xfa, 0xec, 0xcb),
    RGBColor(0xdd, 0xf0, 0xfb),
    RGBColor(0xe4, 0xe4, 0xe5),
];

/// Colour of line `index` of `of`.
pub(super) fn line(index: usize, of: usize) -> RGBColor {
    if of <= SERIES.len() {
        return SERIES[index];
    }
    // Spread over the whole range; beyond its length neighbours share a colour and differ by marker.
    ORDERED[index * (ORDERED.len() - 1) / (of - 1)]
}

/// Colour of the points of class `index`.
pub(super) fn class(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

/// Colour of the area of class `index`.
pub(super) fn tint(index: usize) -> RGBColor {
    TINTS[index % TINTS.len()]
}

/// `svg` with variables in place of the fixed colours: `--ink`, `--paper`, `--series-0`, `--ordered-0`, `--tint-0`.
pub(super) fn themed(svg: &str) -> String {
    let mut svg = svg.to_owned();
    let lists: [(&str, &[RGBColor]); 3] = [("series", &SERIES), ("ordered", &ORDERED), ("tint", &TINTS)];
    let mut replace = |colour: RGBColor, name: &str| {
        svg = svg.replace(&format!("\"{}\"", hex(colour)), &format!("\"var(--{name})\""));
    };
    replace(INK, "ink");
    replace(PAPER, "paper");
    for (list, colours) in lists {
        for (at, colour) in colours.iter().enumerate() {
            replace(*colour, &format!("{list}-{at}"));
        }
    }
    svg
}

/// As plotters writes it.
pub(super) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
