//! What a figure shows, as lines of text; drawing is the report's.

use std::fmt::Write;

use robin_experiments::Figure;
use robin_experiments::figure::{Bins, Panel, Point, Regions, Series, Shape};

/// The figure's numbers, panel by panel, and what must be said of them.
pub fn text(figure: &Figure) -> String {
    let mut text = format!("# {}\n", figure.title);
    if !figure.comparable {
        text += "\nNot comparable with the published figure: the profile shrank it.\n";
    }
    for panel in &figure.panels {
        write(&mut text, panel);
    }
    if let Some(caption) = &figure.caption {
        text += &format!("\n{caption}\n");
    }
    for note in &figure.notes {
        text += &format!("- {note}\n");
    }
    text
}

fn write(text: &mut String, panel: &Panel) {
    let Panel { title, x, y, shape, .. } = panel;
    *text += &format!("\n## {title}\n");
    match shape {
        Shape::Lines(lines) => {
            *text += &format!("{} over {}\n", y.label, x.label);
            lines.iter().for_each(|line| *text += &series(line));
        }
        Shape::Histogram(sets) => {
            *text += &format!("{}\n", x.label);
            sets.iter().for_each(|set| *text += &bins(set));
        }
        Shape::Regions(regions) => *text += &shares(regions),
    }
}

fn series(Series { name, points, .. }: &Series) -> String {
    let point = |Point { x, y, band, .. }: &Point| match band {
        Some([low, high]) => format!("{x}: {y:.3} [{low:.3}, {high:.3}]"),
        None => format!("{x}: {y:.3}"),
    };
    format!("  {name}: {}\n", points.iter().map(point).collect::<Vec<_>>().join(", "))
}

fn bins(Bins { name, counts, mean, published_mean, apart, .. }: &Bins) -> String {
    let mut line = format!("  {name}: n {}", counts.iter().sum::<u64>());
    if let Some(mean) = mean {
        write!(line, ", mean {mean:.4}").expect("a string can be written to");
    }
    if let Some(mean) = published_mean {
        write!(line, ", published {mean}").expect("a string can be written to");
    }
    for apart in apart {
        write!(line, ", {}: {}", apart.why, apart.count).expect("a string can be written to");
    }
    line + "\n"
}

fn shares(Regions { classes, grid, points, arrows, .. }: &Regions) -> String {
    let share = |(class, name): (usize, &String)| {
        let cells = grid.iter().filter(|cell| **cell == class).count();
        format!("{name} {:.3}", cells as f64 / grid.len() as f64)
    };
    let shares = classes.iter().enumerate().map(share).collect::<Vec<_>>().join(", ");
    format!("  share of the plane: {shares}; {} points, {} arrows\n", points.len(), arrows.len())
}
