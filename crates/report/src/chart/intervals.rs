//! Differences with their intervals, one a row: a forest plot.
//!
//! Every verdict has a shape of its own, so that no colour is needed to read it. A plot has two forms: side by side for a wide
//! screen and for files, one below the other for a phone.

use std::fmt::Write;

use plotters::style::RGBColor;
use robin_experiments::figure::Axis;

use super::axes::Span;
use super::palette::{INK, PAPER, class, hex};
use super::{Drawing, Hit, HitShape, UNIT, escaped};
use crate::error::{Error, Result};

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Intervals {
    /// Named in errors.
    pub(crate) id: String,
    /// What the left and the right side of 0 mean.
    pub(crate) ends: [String; 2],
    /// From the top down.
    pub(crate) rows: Vec<Row>,
    /// Values other than 0 that intervals are held against.
    pub(crate) margins: Vec<f64>,
    /// What the marks mean, those that are explained.
    pub(crate) legend: Vec<(Sign, String)>,
}

/// One difference.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What it is of.
    pub(crate) label: String,
    /// Its numbers and its verdict, in words.
    pub(crate) said: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// What the paper prints.
    pub(crate) published: Option<f64>,
    pub(crate) mark: Mark,
    /// Key of a record behind it.
    pub(crate) record: Option<String>,
}

/// What a difference says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// For what is claimed.
    For,
    /// Against it.
    Against,
    /// Neither.
    Open,
    /// Nothing: it must not be read as a result.
    Nothing,
}

/// A sign of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Measured(Mark),
    Published,
}

/// How a plot is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// Labels, plot and words side by side.
    Wide,
    /// The same with a heading, for a file.
    File(&'a str),
    /// Labels and words above each interval, so many pixels wide.
    Narrow(u16),
}

/// Places, in pixels.
struct Layout {
    width: f64,
    /// Above the first row.
    top: f64,
    /// Height of a row.
    row: f64,
    /// Ends of the plot.
    plot: [f64; 2],
    /// Of an interval below the top of its row.
    middle: f64,
    /// Height of a line of the legend, and signs on it.
    legend: (f64, usize),
}

impl Layout {
    fn new(form: Form<'_>) -> Self {
        let heading = if matches!(form, Form::File(_)) { 30.0 } else { 0.0 };
        match form {
            Form::Wide | Form::File(_) => Self {
                width: 960.0,
                top: heading + 24.0,
                row: 27.0,
                plot: [205.0, 630.0],
                middle: 13.5,
                legend: (22.0, 5),
            },
            Form::Narrow(width) => Self {
                width: f64::from(width),
                top: 22.0,
                row: 43.0,
                plot: [8.0, f64::from(width) - 8.0],
                middle: 35.0,
                legend: (19.0, 2),
            },
        }
    }
}

/// Draws `plot`.
///
/// # Errors
/// [`Error::Figure`] if there is no row, or a value is not finite.
pub(crate) fn draw(plot: &Intervals, form: Form<'_>) -> Result<Drawing> {
    let problem = |problem: String| Error::Figure { figure: plot.id.clone(), panel: 1, problem };
    if plot.rows.is_empty() {
        return Err(problem("there is no row".to_owned()));
    }
    let of = |row: &Row| [Some(row.value), Some(row.low), Some(row.high), row.published];
    let values = plot.rows.iter().flat_map(of).flatten().chain(plot.margins.iter().copied()).chain([0.0]);
    let span = Span::new(&Axis::new("difference"), values, 0.06).map_err(|found| problem(found.0))?;
    let layout = Layout::new(form);
    let bottom = layout.top + layout.row * plot.rows.len() as f64;
    let legend_lines = plot.legend.len().div_ceil(layout.legend.1) as f64;
    let height = bottom + 24.0 + layout.legend.0 * legend_lines;
    let [left, right] = layout.plot;
    let at = |value: f64| left + (value - span.low) / (span.high - span.low) * (right - left);

    let mut pen = Pen::default();
    if let Form::File(heading) = form {
        pen.text([8.0, 19.0], (15.0, "start"), INK, heading);
    }
    for &tick in &span.ticks {
        pen.line([at(tick), layout.top], [at(tick), bottom], 1.0, (INK, 0.13), "");
        let decimals = span.decimals();
        pen.text([at(tick), bottom + 15.0], (12.0, "middle"), INK, &format!("{tick:+.decimals$}"));
    }
    for &margin in &plot.margins {
        pen.line([at(margin), layout.top], [at(margin), bottom], 1.5, (INK, 0.6), "4 3");
    }
    pen.line([at(0.0), layout.top], [at(0.0), bottom], 1.5, (INK, 0.75), "");
    // Beside the line of 0, or on a phone, where that may leave no room, at the edges.
    let half = layout.width / 2.0 - 8.0;
    let [left_end, right_end] = [format!("← {}", plot.ends[0]), format!("{} →", plot.ends[1])];
    let heads = match form {
        Form::Narrow(_) => [(4.0, "start", left_end, half), (layout.width - 4.0, "end", right_end, half)],
        Form::Wide | Form::File(_) => [
            (at(0.0) - 6.0, "end", left_end, at(0.0) - 6.0),
            (at(0.0) + 6.0, "start", right_end, layout.width - at(0.0) - 6.0),
        ],
    };
    for (x, anchor, text, room) in heads {
        pen.text([x, layout.top - 7.0], (12.0, anchor), INK, &fitted(&text, 12.0, room));
    }

    let mut hits = Vec::new();
    for (index, row) in plot.rows.iter().enumerate() {
        let top = layout.top + layout.row * index as f64;
        let y = top + layout.middle;
        match form {
            Form::Wide | Form::File(_) => {
                pen.text([8.0, y + 4.5], (13.0, "start"), INK, &fitted(&row.label, 13.0, left - 16.0));
                let room = layout.width - right - 20.0;
                pen.text([right + 16.0, y + 4.5], (12.5, "start"), INK, &fitted(&row.said, 12.5, room));
            }
            Form::Narrow(_) => {
                let room = layout.width - 8.0;
                pen.text([4.0, top + 12.0], (13.0, "start"), INK, &fitted(&row.label, 13.0, room));
                pen.text([4.0, top + 25.5], (11.5, "start"), INK, &fitted(&row.said, 11.5, room));
            }
        }
        let colour = colour(row.mark);
        pen.line([at(row.low), y], [at(row.high), y], 2.0, (colour, 1.0), "");
        for end in [row.low, row.high] {
            pen.line([at(end), y - 4.0], [at(end), y + 4.0], 2.0, (colour, 1.0), "");
        }
        if let Some(published) = row.published {
            pen.sign(Sign::Published, [at(published), y]);
        }
        pen.sign(Sign::Measured(row.mark), [at(row.value), y]);
        let printed = row.published.map_or(String::new(), |value| format!("\npublished {value:+.3}"));
        hits.push(Hit {
            x: units(at(row.value)),
            y: units(y),
            shape: HitShape::Around,
            text: format!("{}\n{}{printed}", row.label, row.said),
            record: row.record.clone(),
        });
    }

    let (line, of_line) = layout.legend;
    for (index, (sign, text)) in plot.legend.iter().enumerate() {
        let step = (layout.width - 16.0) / of_line.min(plot.legend.len()) as f64;
        let x = 16.0 + step * (index % of_line) as f64;
        let y = bottom + 24.0 + line * (index / of_line) as f64 + line / 2.0;
        pen.sign(*sign, [x, y]);
        pen.text([x + 12.0, y + 4.0], (12.0, "start"), INK, &fitted(text, 12.0, step - 22.0));
    }
    Ok(Drawing {
        svg: format!("<svg>{}</svg>", pen.0),
        hits,
        width: layout.width.round() as i32,
        height: height.round() as i32,
    })
}

fn colour(mark: Mark) -> RGBColor {
    match mark {
        Mark::For => class(2),
        Mark::Against => class(1),
        Mark::Open => class(6),
        Mark::Nothing => INK,
    }
}

fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNIT)).round() as i32
}

/// `text`, or its beginning if it does not fit into `room` pixels; letters are a little more than half as wide as high.
fn fitted(text: &str, size: f64, room: f64) -> String {
    let letters = (room / (0.56 * size)).max(1.0) as usize;
    match text.chars().count() <= letters {
        true => text.to_owned(),
        false => text.chars().take(letters - 1).chain(['…']).collect(),
    }
}

/// Writes SVG in units from places in pixels.
#[derive(Default)]
struct Pen(String);

impl Pen {
    fn put(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }

    fn text(&mut self, [x, y]: [f64; 2], (size, anchor): (f64, &str), colour: RGBColor, text: &str) {
        self.put(&format!(
            "<text x=\"{}\" y=\"{}\" font-family=\"sans-serif\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
            units(x),
            units(y),
            units(size),
            hex(colour),
            escaped(text),
        ));
    }

    fn line(
        &mut self,
        from: [f64; 2],
        to: [f64; 2],
        width: f64,
        (colour, opacity): (RGBColor, f64),
        dash: &str,
    ) {
        let dashes = match dash.is_empty() {
            true => String::new(),
            false => {
                let lengths = dash.split(' ').filter_map(|length| length.parse().ok().map(units));
                let lengths: Vec<String> = lengths.map(|length| length.to_string()).collect();
                format!(" stroke-dasharray=\"{}\"", lengths.join(" "))
            }
        };
        self.put(&format!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{}\" opacity=\"{opacity}\"{dashes}/>",
            units(from[0]),
            units(from[1]),
            units(to[0]),
            units(to[1]),
            hex(colour),
            units(width),
        ));
    }

    fn sign(&mut self, sign: Sign, [x, y]: [f64; 2]) {
        let corners: &[[f64; 2]] = match sign {
            Sign::Measured(Mark::For) => &[[0.0, -7.0], [6.5, 5.0], [-6.5, 5.0]],
            Sign::Measured(Mark::Against) => &[[0.0, 7.0], [6.5, -5.0], [-6.5, -5.0]],
            Sign::Published => &[[0.0, -7.5], [7.5, 0.0], [0.0, 7.5], [-7.5, 0.0]],
            Sign::Measured(Mark::Open) => {
                let circle = (units(x), units(y), units(5.0), hex(colour(Mark::Open)));
                let (x, y, radius, fill) = circle;
                self.put(&format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>"));
                return;
            }
            Sign::Measured(Mark::Nothing) => {
                for way in [1.0, -1.0] {
                    self.line([x - 5.0, y - 5.0 * way], [x + 5.0, y + 5.0 * way], 2.5, (INK, 1.0), "");
                }
                return;
            }
        };
        let mut points = String::new();
        for [right, down] in corners {
            write!(points, "{},{} ", units(x + right), units(y + down)).expect("a string can be written to");
        }
        let (fill, stroke) = match sign {
            Sign::Published => (PAPER, INK),
            Sign::Measured(mark) => (colour(mark), colour(mark)),
        };
        self.put(&format!(
            "<polygon points=\"{}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>",
            points.trim_end(),
            hex(fill),
            hex(stroke),
            units(1.5),
        ));
    }
}
