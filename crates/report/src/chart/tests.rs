use robin_experiments::figure::{
    Apart, Arrow, Axis, Bins, Dot, Figure, LineStyle, Panel, Point, Regions, Series, Shape, Side, Source,
};

use super::{panels, whole};

pub(crate) fn line_panel() -> Panel {
    let series = |name: &str, style, source, offset: f64| Series {
        name: name.to_owned(),
        style,
        source,
        side: Side::Left,
        points: [0.0, 0.25, 0.5, 0.75, 1.0]
            .into_iter()
            .map(|x| {
                let y = 0.9 - 0.6 * x - offset;
                let measured = source == Source::Measured;
                Point {
                    x,
                    y,
                    band: measured.then_some([y - 0.03, y + 0.03]),
                    n: measured.then_some(1000),
                    records: Vec::new(),
                }
            })
            .collect(),
    };
    Panel {
        title: "ResNet-18, CIFAR-10".to_owned(),
        x: Axis::new("test budget (l2)"),
        y: Axis::new("robust accuracy").range(0.0, 1.0),
        right: None,
        shape: Shape::Lines(vec![
            series("softmax", LineStyle::Solid, Source::Measured, 0.0),
            series("best-arm <b>&</b>", LineStyle::Dashed, Source::Measured, 0.08),
            series("softmax, published", LineStyle::Dotted, Source::Published, 0.16),
        ]),
    }
}

pub(crate) fn histogram_panel() -> Panel {
    let edges: Vec<f64> = (0..=20).map(|at| f64::from(at) / 20.0).collect();
    let bins = |name: &str, middle: f64| Bins {
        name: name.to_owned(),
        edges: edges.clone(),
        counts: (0..20)
            .map(|at| (100.0 * (-((f64::from(at) / 20.0 - middle) / 0.15).powi(2)).exp()) as u64)
            .collect(),
        mean: Some(middle),
        published_mean: Some(0.5),
        apart: vec![Apart { why: "left out".to_owned(), count: 7 }],
        records: Vec::new(),
    };
    Panel {
        title: "coherence".to_owned(),
        x: Axis::new("largest cosine"),
        y: Axis::new("density"),
        right: None,
        shape: Shape::Histogram(vec![bins("robin", 0.25), bins("ensemble", 0.6)]),
    }
}

pub(crate) fn regions_panel() -> Panel {
    let side = 60;
    let grid = (0..side * side)
        .map(|at| {
            let (x, y) = ((at % side) as f64 / side as f64, (at / side) as f64 / side as f64);
            if y > 0.5 + 0.2 * (6.0 * x).sin() { 0 } else { 1 + usize::from(x > 0.5) }
        })
        .collect();
    Panel {
        title: "three classes".to_owned(),
        x: Axis::new("first feature"),
        y: Axis::new("second feature"),
        right: None,
        shape: Shape::Regions(Regions {
            classes: ["dog", "cat", "airplane"].map(str::to_owned).to_vec(),
            width: side,
            grid,
            x: [-1.0, 1.0],
            y: [-1.0, 1.0],
            points: vec![Dot { at: [0.1, 0.6], class: 0 }, Dot { at: [-0.5, -0.6], class: 1 }],
            arrows: vec![
                Arrow { from: [0.1, 0.6], to: [0.2, -0.1], misclassified: true },
                Arrow { from: [-0.5, -0.6], to: [-0.3, -0.2], misclassified: false },
            ],
            records: Vec::new(),
        }),
    }
}

/// Two axes, more lines than colours, single values.
pub(crate) fn ordered_panel() -> Panel {
    let lines = (2..=10).map(|classes| Series {
        name: format!("MODEL[{classes}]"),
        style: LineStyle::Solid,
        source: Source::Measured,
        side: if classes == 10 { Side::Right } else { Side::Left },
        points: [0.0, 0.5, 1.0]
            .map(|x| Point {
                x,
                y: if classes == 10 { 60.0 } else { 0.95 - 0.06 * f64::from(classes) * x },
                band: None,
                n: None,
                records: Vec::new(),
            })
            .to_vec(),
    });
    Panel {
        title: String::new(),
        x: Axis::new("test budget (l2)").ticks([0.0, 0.5, 1.0]),
        y: Axis::new("accuracy"),
        right: Some(Axis::new("clean accuracy (%)")),
        shape: Shape::Lines(lines.collect()),
    }
}

pub(crate) fn figure(panels: Vec<Panel>) -> Figure {
    Figure {
        id: "figure-5".to_owned(),
        title: "Figure 5".to_owned(),
        caption: Some("Bands are 95% intervals.".to_owned()),
        panels,
        notes: Vec::new(),
        comparable: false,
    }
}

#[test]
fn every_shape_is_drawn_with_all_its_values() {
    let all = [
        (line_panel(), 15, "polyline"),
        (histogram_panel(), 20, "polygon"),
        (regions_panel(), 2, "rect"),
        (ordered_panel(), 27, "polyline"),
    ];
    for (panel, values, element) in all {
        let title = panel.title.clone();
        let drawing = &panels(&figure(vec![panel])).unwrap()[0];
        let svg = drawing.inline("label");
        assert_eq!(drawing.hits.len(), values, "{title}");
        assert_eq!(svg.matches("pointer-events").count(), values, "{title}");
        assert!(svg.contains(&format!("<{element} ")), "{title}");
        // Inside of the drawing, all of them.
        for hit in &drawing.hits {
            assert!((0..drawing.width * super::UNIT).contains(&hit.x), "{title}: {hit:?}");
            assert!((0..drawing.height * super::UNIT).contains(&hit.y), "{title}: {hit:?}");
        }
    }
}

#[test]
fn values_stand_where_the_axis_says() {
    let drawing = &panels(&figure(vec![line_panel()])).unwrap()[0];
    // softmax falls by 0.15 at each step: so do its places, and equal steps in x are equal.
    let places: Vec<(i32, i32)> = drawing.hits[..5].iter().map(|hit| (hit.x, hit.y)).collect();
    let steps: Vec<(i32, i32)> =
        places.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1)).collect();
    for &(x, y) in &steps {
        assert!(x > 0 && y > 0, "{steps:?}");
        assert!((x - steps[0].0).abs() <= 1 && (y - steps[0].1).abs() <= 1, "{steps:?}");
    }
    assert!(drawing.hits[0].text.contains("robust accuracy: 0.9000\nband 0.8700 to 0.9300\nn = 1000"));
}

#[test]
fn text_is_escaped_and_colours_follow_the_page() {
    let drawing = &panels(&figure(vec![line_panel()])).unwrap()[0];
    let inline = drawing.inline("a \"label\" <i>");
    assert!(!inline.contains("<b>") && !inline.contains("<i>") && !inline.contains("\"label\""), "{inline}");
    assert!(inline.contains("var(--ink)") && inline.contains("var(--series-0)"));
    let fixed: Vec<&str> = inline
        .match_indices("\"#")
        .map(|(at, _)| &inline[at..at + 9])
        .filter(|text| !text.contains("record"))
        .collect();
    assert!(fixed.is_empty(), "colours that do not follow the page: {fixed:?}");
    let file = drawing.file("Figure <5>");
    assert!(!file.contains("var(--") && file.contains("<title>Figure &#60;5&#62;</title>"), "{file}");
}

#[test]
fn a_file_has_all_panels_and_becomes_pixels() {
    let all = figure(vec![line_panel(), histogram_panel()]);
    let drawing = whole(&all).unwrap();
    let bytes = drawing.png(1).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width as i32, info.height as i32), (drawing.width, drawing.height));
    // Both halves have lines, and the labels are there: the font was found.
    let dark = |from: u32, to: u32| {
        (0..info.height)
            .flat_map(|y| (from..to).map(move |x| (y * info.width + x) as usize * 4))
            .filter(|&at| pixels[at] < 100)
            .count()
    };
    let half = info.width / 2;
    assert!(dark(0, half) > 500 && dark(half, info.width) > 500);
    assert!(dark(0, 30) > 20, "the label of the vertical axis is missing: no font?");
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let mut empty = line_panel();
    empty.shape = Shape::Lines(Vec::new());
    let mut infinite = line_panel();
    if let Shape::Lines(series) = &mut infinite.shape {
        series[0].points[1].y = f64::NAN;
    }
    let mut sideways = line_panel();
    if let Shape::Lines(series) = &mut sideways.shape {
        series[0].side = Side::Right;
    }
    let mut falling = histogram_panel();
    if let Shape::Histogram(all) = &mut falling.shape {
        all[0].edges.swap(3, 4);
    }
    let mut nameless = regions_panel();
    if let Shape::Regions(regions) = &mut nameless.shape {
        regions.classes.pop();
    }
    for (panel, expected) in [
        (empty, "has no values"),
        (infinite, "is not finite"),
        (sideways, "right axis, which is missing"),
        (falling, "do not rise"),
        (nameless, "of 2 classes"),
    ] {
        let error = panels(&figure(vec![histogram_panel(), panel])).unwrap_err().to_string();
        assert!(error.starts_with("figure figure-5, panel 2: ") && error.contains(expected), "{error}");
    }
    assert!(whole(&figure(Vec::new())).unwrap_err().to_string().contains("at least one panel"));
}

#[test]
fn a_long_heading_takes_two_lines() {
    let mut panel = line_panel();
    panel.title = "mnist/cnn2/l2, trained with 2.0 (stands in for cifar10/resnet18/l2)".to_owned();
    let svg = panels(&figure(vec![panel])).unwrap()[0].inline("label");
    for line in ["mnist/cnn2/l2, trained with 2.0\n", "(stands in for cifar10/resnet18/l2)\n"] {
        assert!(svg.contains(line), "{line}");
    }
}
