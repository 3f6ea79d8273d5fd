//! The losses that base attacks maximise.

use std::fmt;
use std::str::FromStr;

use robin_core::scores::ranked;
use robin_core::{Columns, Error as CoreError, Objective, ObjectiveValues, Result as CoreResult, Scores};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::objectives::{CrossEntropy, Dlr, Margin, TargetedDlr, TargetedMargin};

/// Most targets of a loss: the classes of ImageNet.
const MOST_TARGETS: usize = 1_000;

/// Which function of the scores an attack maximises. Written as `ce`, `margin`, `dlr`, and with a number of
/// target classes `margin-t:9`, `dlr-t:9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Loss {
    /// Cross-entropy.
    Ce,
    /// The largest wrong score minus the right one; keeps its gradient where cross-entropy saturates.
    Margin,
    /// The margin over the spread of the highest scores; see [`Dlr`]. At least 3 classes.
    Dlr,
    /// One attack for each of the wrong classes that are highest on the clean image, this many of them (all,
    /// where there are fewer), on its score minus the right one.
    MarginT(usize),
    /// The same with [`TargetedDlr`]. At least 4 classes.
    DlrT(usize),
}

impl Loss {
    /// What to maximise for examples with `labels` `[n]` whose clean scores are `clean` `[n, k]`: one objective,
    /// or one for each target. Joined per example, as all objectives of an attack are.
    ///
    /// # Errors
    /// [`CoreError::TooFewClasses`] if the loss compares more scores than there are; [`CoreError::Shape`],
    /// [`CoreError::Label`] or [`CoreError::NotFinite`] if scores and labels are no batch.
    pub fn prepare(self, clean: &Scores, labels: &[u32]) -> CoreResult<Vec<Box<dyn Objective>>> {
        let (n, classes) = (clean.len(), clean.columns());
        if n != labels.len() || classes < 2 {
            return Err(CoreError::Shape {
                what: "clean scores",
                found: vec![n, classes],
                expected: format!("[{}, k] with k >= 2", labels.len()),
            });
        }
        if let Some((example, &label)) = labels.iter().enumerate().find(|(_, y)| **y as usize >= classes) {
            return Err(CoreError::Label { example, label, classes });
        }
        let least = self.least_classes();
        if classes < least {
            // Those of two scores have been refused by their shape.
            let loss = if matches!(self, Loss::Dlr) { "dlr" } else { "dlr-t" };
            return Err(CoreError::TooFewClasses { loss, least, classes });
        }
        let (Loss::MarginT(count) | Loss::DlrT(count)) = self else {
            return Ok(vec![self.against(labels.to_vec())]);
        };
        let scores = clean.to_vec()?;
        let wrong: Vec<Vec<u32>> = scores
            .chunks_exact(classes)
            .zip(labels)
            .map(|(row, label)| ranked(row).into_iter().filter(|class| class != label).collect())
            .collect();
        let objective = |rank: usize| -> Box<dyn Objective> {
            let targets = wrong.iter().map(|wrong| wrong[rank]).collect();
            match self {
                Loss::DlrT(_) => Box::new(TargetedDlr::new(labels.to_vec(), targets)),
                _ => Box::new(TargetedMargin::new(labels.to_vec(), targets)),
            }
        };
        Ok((0..count.min(classes - 1)).map(objective).collect())
    }

    /// The fewest scores that it compares.
    pub fn least_classes(self) -> usize {
        match self {
            Loss::Ce | Loss::Margin | Loss::MarginT(_) => 2,
            Loss::Dlr => 3,
            Loss::DlrT(_) => 4,
        }
    }

    /// Whether it is 0 on the border between classes, negative where an example is right and positive where it is
    /// not: [`Objective::is_signed`] of the objectives that it makes.
    pub fn is_signed(self) -> bool {
        !matches!(self, Loss::Ce)
    }

    /// Whether it chooses target classes from the clean scores.
    pub fn chooses_targets(self) -> bool {
        matches!(self, Loss::MarginT(_) | Loss::DlrT(_))
    }

    /// The same without targets of its own choice, for those who have chosen already.
    pub fn without_targets(self) -> Self {
        match self {
            Loss::MarginT(_) => Loss::Margin,
            Loss::DlrT(_) => Loss::Dlr,
            other => other,
        }
    }

    /// This loss over all score columns against `labels` `[n]`, if it needs no targets. One that does
    /// needs the clean scores: the objective of it refuses to be evaluated; see [`Loss::prepare`].
    pub fn against(self, labels: Vec<u32>) -> Box<dyn Objective> {
        match self {
            Loss::Ce => Box::new(CrossEntropy::new(labels)),
            Loss::Margin => Box::new(Margin::new(labels)),
            Loss::Dlr => Box::new(Dlr::new(labels)),
            Loss::MarginT(_) | Loss::DlrT(_) => Box::new(WithoutTargets(self)),
        }
    }
}

/// A targeted loss whose targets nobody chose.
#[derive(Debug, Clone, Copy)]
struct WithoutTargets(Loss);

impl Objective for WithoutTargets {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, _scores: &Scores) -> CoreResult<ObjectiveValues> {
        Err(CoreError::Unsuited {
            what: format!("loss {}", self.0),
            with: "scores that have no targets yet".to_owned(),
            allowed: "it is prepared from the clean scores, or is one of ce, margin, dlr",
        })
    }

    fn select(&self, _rows: &[usize]) -> Box<dyn Objective> {
        Box::new(*self)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Ce => f.pad("ce"),
            Loss::Margin => f.pad("margin"),
            Loss::Dlr => f.pad("dlr"),
            Loss::MarginT(targets) => f.pad(&format!("margin-t:{targets}")),
            Loss::DlrT(targets) => f.pad(&format!("dlr-t:{targets}")),
        }
    }
}

impl FromStr for Loss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Loss { text: text.to_owned() };
        let Some((name, targets)) = text.split_once(':') else {
            return match text {
                "ce" => Ok(Loss::Ce),
                "margin" => Ok(Loss::Margin),
                "dlr" => Ok(Loss::Dlr),
                _ => Err(unknown()),
            };
        };
        let targets = targets
            .parse()
            .ok()
            .filter(|targets| (1..=MOST_TARGETS).contains(targets))
            .ok_or_else(unknown)?;
        match name {
            "margin-t" => Ok(Loss::MarginT(targets)),
            "dlr-t" => Ok(Loss::DlrT(targets)),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Loss {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_an_unknown_one_lists_the_valid() {
        for loss in [Loss::Ce, Loss::Margin, Loss::Dlr, Loss::MarginT(3), Loss::DlrT(9)] {
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
            let text = serde_json::to_string(&loss).unwrap();
            assert_eq!(text, format!("\"{loss}\""));
            assert_eq!(serde_json::from_str::<Loss>(&text).unwrap(), loss);
        }
        for wrong in ["cw", "dlr-t", "margin-t:0", "margin-t:-1", "margin-t:1001", "ce:9"] {
            let message = wrong.parse::<Loss>().unwrap_err().to_string();
            assert!(message.contains(wrong) && message.contains("ce, margin, dlr, margin-t:T"), "{message}");
        }
    }

    #[test]
    fn targets_are_the_highest_wrong_classes_of_the_clean_image() {
        let clean = Scores::from_vec(vec![5.0, 1.0, 3.0, 2.0, -4.0, -1.0, -3.0, -2.0], 2, 4).unwrap();
        for (loss, count) in [(Loss::MarginT(2), 2), (Loss::MarginT(9), 3), (Loss::Margin, 1)] {
            let objectives = loss.prepare(&clean, &[0, 1]).unwrap();
            assert_eq!(objectives.len(), count, "{loss}");
            let first = objectives[0].evaluate(&clean).unwrap().values;
            assert_eq!(first, [-2.0, -1.0], "{loss}");
        }
        let second = &Loss::MarginT(2).prepare(&clean, &[0, 1]).unwrap()[1];
        assert_eq!(second.evaluate(&clean).unwrap().values, [-3.0, -2.0]);
        assert_eq!(second.select(&[1]).evaluate(&clean_row(&clean, 1)).unwrap().values, [-2.0]);
    }

    fn clean_row(scores: &Scores, row: usize) -> Scores {
        Scores::new(scores.tensor().narrow(0, row, 1).unwrap()).unwrap()
    }

    #[test]
    fn what_is_said_of_a_loss_is_true_of_its_objectives() {
        let five = Scores::from_vec(vec![5.0, 1.0, 3.0, 2.0, -4.0], 1, 5).unwrap();
        for loss in [Loss::Ce, Loss::Margin, Loss::Dlr, Loss::MarginT(2), Loss::DlrT(2)] {
            let prepared = |classes: usize| {
                let columns = five.tensor().narrow(1, 0, classes).unwrap().contiguous().unwrap();
                loss.prepare(&Scores::new(columns).unwrap(), &[0])
            };
            let objectives = prepared(5).unwrap();
            assert!(objectives.iter().all(|objective| objective.is_signed() == loss.is_signed()), "{loss}");
            assert_eq!(objectives.len() > 1, loss.chooses_targets(), "{loss}");
            let least = loss.least_classes();
            assert!(prepared(least).is_ok() && prepared(least - 1).is_err(), "{loss}");
            let alone = loss.without_targets();
            assert!(alone.against(vec![0]).evaluate(&five).is_ok(), "{loss}");
            assert_eq!(alone == loss, !loss.chooses_targets());
        }
    }

    #[test]
    fn too_few_classes_and_targets_that_nobody_chose_are_refused_by_name() {
        let two = Scores::from_vec(vec![1.0, 0.0], 1, 2).unwrap();
        let three = Scores::from_vec(vec![1.0, 0.0, 2.0], 1, 3).unwrap();
        for (loss, scores, parts) in [
            (Loss::Dlr, &two, ["loss dlr", "at least 3", "are 2"]),
            (Loss::DlrT(9), &three, ["loss dlr-t", "at least 4", "are 3"]),
        ] {
            let message = loss.prepare(scores, &[0]).err().unwrap().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        assert!(matches!(
            Loss::Dlr.against(vec![0]).evaluate(&two),
            Err(CoreError::TooFewClasses { least: 3, classes: 2, .. })
        ));
        let message = Loss::MarginT(2).against(vec![0]).evaluate(&three).unwrap_err().to_string();
        assert!(message.contains("margin-t:2"), "{message}");
    }
}
