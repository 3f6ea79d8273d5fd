//! What is known without images: constants, and the few operators by which exporters compute shapes.

use std::rc::Rc;

use super::attributes::Attributes;
use super::proto::Node;
use super::tensor::{self, Constant, Values};

/// What is known of values by the time that a node is met.
pub(super) trait Known {
    /// Whether the value `name` does not depend on the images.
    fn is_known(&self, name: &str) -> bool;

    /// The shape of the value that `node` reads as input number `at`, of one image.
    fn shape(&self, node: &Node, at: usize) -> Result<Vec<usize>, String>;

    /// The constant that `node` reads as input number `at`; `None` if it names none there.
    fn constant(&self, node: &Node, at: usize) -> Result<Option<Rc<Constant>>, String>;
}

/// The value that `node` makes of known ones; `None` if it is none of those operators, or reads what comes from the images.
///
/// # Errors
/// In words.
pub(super) fn fold(values: &dyn Known, node: &Node) -> Result<Option<Constant>, String> {
    let attributes = Attributes(node);
    if node.op_type == "Constant" {
        return constant(&attributes).map(Some);
    }
    if node.op_type == "Shape" && node.input.first().is_some_and(|name| !values.is_known(name)) {
        let shape = values.shape(node, 0)?;
        // A network sees image after image: one of them at a time.
        let sides: Vec<i64> = std::iter::once(1).chain(shape).map(|side| side as i64).collect();
        let place =
            |at: i64| (if at < 0 { at + sides.len() as i64 } else { at }).clamp(0, sides.len() as i64);
        let (start, end) = (place(attributes.int("start", 0)), place(attributes.int("end", i64::MAX)));
        let sides = sides.get(start as usize..end as usize).unwrap_or_default();
        return Ok(Some(Constant::integers(sides.to_vec())));
    }
    let folds = matches!(
        node.op_type.as_str(),
        "Identity" | "Cast" | "Gather" | "Unsqueeze" | "Squeeze" | "Concat" | "Transpose" | "Reshape"
    );
    let known = |name: &String| name.is_empty() || values.is_known(name);
    if !folds || node.input.is_empty() || !node.input.iter().all(known) {
        return Ok(None);
    }
    let Some(first) = values.constant(node, 0)? else { return Ok(None) };
    let numbers =
        || first.as_integers().ok_or_else(|| "it computes with floats that are constant".to_owned());
    Ok(Some(match node.op_type.as_str() {
        "Identity" => (*first).clone(),
        "Cast" => cast(&first, attributes.int("to", 1)),
        "Transpose" => transpose(&first, &attributes)?,
        "Gather" => {
            let numbers = numbers()?;
            let places = values.constant(node, 1)?;
            let places = places.as_deref().and_then(Constant::as_integers).unwrap_or_default();
            let pick = |&at: &i64| {
                let at = if at < 0 { at + numbers.len() as i64 } else { at };
                usize::try_from(at).ok().and_then(|at| numbers.get(at)).copied()
            };
            let picked: Option<Vec<i64>> = places.iter().map(pick).collect();
            match picked {
                Some(picked) if attributes.int("axis", 0) == 0 && first.shape.len() == 1 => {
                    Constant::integers(picked)
                }
                _ => return Err("it picks what is no number of a row of numbers".to_owned()),
            }
        }
        // Rows of numbers are all that shapes are made of.
        "Unsqueeze" | "Squeeze" | "Reshape" => Constant::integers(numbers()?.to_vec()),
        _ => {
            let mut all = Vec::new();
            for at in 0..node.input.len() {
                let part = values.constant(node, at)?;
                let part = part.as_deref().and_then(Constant::as_integers);
                all.extend_from_slice(part.ok_or("it joins constants that are no shapes")?);
                if all.len() > MOST {
                    return Err("it joins more numbers than any shape has".to_owned());
                }
            }
            Constant::integers(all)
        }
    }))
}

/// Numbers of a shape that is computed.
const MOST: usize = 64;

fn constant(attributes: &Attributes<'_>) -> Result<Constant, String> {
    if let Some(tensor) = attributes.find("value").and_then(|attribute| attribute.t.as_deref()) {
        return tensor::read(tensor, None);
    }
    let scalar = |values| Constant { shape: Vec::new(), values };
    if let Some(number) = attributes.find("value_int").and_then(|attribute| attribute.i) {
        return Ok(scalar(Values::Integers(vec![number])));
    }
    if let Some(number) = attributes.float("value_float") {
        return Ok(scalar(Values::Floats(vec![number])));
    }
    if let Some(numbers) = attributes.ints("value_ints") {
        return Ok(Constant::integers(numbers.to_vec()));
    }
    match attributes.find("value_floats") {
        Some(attribute) => Ok(Constant {
            shape: vec![attribute.floats.len()],
            values: Values::Floats(attribute.floats.clone()),
        }),
        None => Err("its value is no dense tensor of numbers".to_owned()),
    }
}

/// `to` is a type's number; 6, 7 and 9 are integers.
fn cast(constant: &Constant, to: i64) -> Constant {
    let values = match &constant.values {
        Values::Floats(floats) if matches!(to, 6 | 7 | 9) => {
            Values::Integers(floats.iter().map(|&value| value as i64).collect())
        }
        Values::Integers(integers) if matches!(to, 1 | 10 | 11) => {
            Values::Floats(integers.iter().map(|&value| value as f32).collect())
        }
        same => same.clone(),
    };
    Constant { shape: constant.shape.clone(), values }
}

/// Of a matrix.
fn transpose(constant: &Constant, attributes: &Attributes<'_>) -> Result<Constant, String> {
    let (&[rows, columns], Some(values), None | Some([1, 0])) =
        (&constant.shape[..], constant.floats(), attributes.ints("perm"))
    else {
        return Err(format!("it turns a constant of shape {:?}; allowed: matrices", constant.shape));
    };
    let turned = (0..values.len()).map(|at| values[at % rows * columns + at / rows]).collect();
    Ok(Constant { shape: vec![columns, rows], values: Values::Floats(turned) })
}
