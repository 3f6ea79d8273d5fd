//! Attacks as a user writes them: `Pgd::linf("8/255")?.steps(20).restarts(5)`.
//!
//! Each begins with its authors' settings, from the list of `robin_attacks`. A setting that an attack does not have is
//! refused when it is run, by name; so is a number that is not allowed.
//!
//! | attack | settings of its own |
//! |---|---|
//! | [`Pgd`] | `steps`, `step_size` (pixels), `restarts`, `start` |
//! | [`Fgsm`] | |
//! | [`MiFgsm`] | `steps`, `step_size` (pixels) |
//! | [`Apgd`] | `steps`, `restarts` |
//! | [`AutoAttack`] | a fixed bundle: none, no loss, no targets |
//! | [`Square`] | `queries`, `restarts` |
//! | [`Cw`], [`CwLinf`] | `steps`, `step_size` (of Adam) |
//! | [`Ddn`], [`Fmn`], [`Fab`] | `steps` |
//! | [`RandomNoise`] | `queries` (draws) |

use robin_attacks::{
    ATTACKS, StepSize, apgd, autoattack, bundle, cw, cw_linf, ddn, fab, fmn, mi_fgsm, pgd, random_noise,
    square,
};
use robin_core::{Budget, Norm, Seed};

pub use robin_attacks::{Config, Start};

use crate::{Error, Loss, Result, Step};

/// Images of a pass, if nobody says otherwise.
const BATCH: usize = 128;

/// An attack with all its settings; see the [module](self).
#[must_use = "an attack does nothing until `robin::attack` or `robin::evaluate` runs it"]
pub struct Attack<'a> {
    pub(crate) name: String,
    pub(crate) budget: Budget,
    /// Each meets what those before have failed on.
    pub(crate) stages: Vec<(Config, Loss)>,
    pub(crate) seed: Seed,
    pub(crate) targets: Option<Targets>,
    pub(crate) batch_size: usize,
    pub(crate) on_step: Option<OnStep<'a>>,
    /// The first thing that was asked for and is not to be had.
    pub(crate) refused: Option<Error>,
}

/// Called after every step.
pub(crate) type OnStep<'a> = Box<dyn FnMut(&Step) + 'a>;

/// The classes that images are led to: one for all, or one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// The same for all.
    One(u32),
    /// `[n]`.
    Each(Vec<u32>),
}

impl From<u32> for Targets {
    fn from(class: u32) -> Self {
        Self::One(class)
    }
}

impl From<Vec<u32>> for Targets {
    fn from(classes: Vec<u32>) -> Self {
        Self::Each(classes)
    }
}

impl<'a> Attack<'a> {
    /// The attack of `config` within `budget`, for settings that have no method here, with its authors' loss.
    pub fn new(config: Config, budget: Budget) -> Self {
        let entry = ATTACKS.iter().find(|entry| entry.name == config.name());
        let loss = entry.map_or(Loss::CrossEntropy, |entry| entry.loss.into());
        Self::of(config.name(), vec![(config, loss)], budget)
    }

    fn of(name: &str, stages: Vec<(Config, Loss)>, budget: Budget) -> Self {
        Self {
            name: name.to_owned(),
            budget,
            stages,
            seed: Seed::new(0),
            targets: None,
            batch_size: BATCH,
            on_step: None,
            refused: None,
        }
    }

    fn listed(name: &str, norm: Norm, epsilon: &str) -> Result<Self> {
        let entry = ATTACKS.iter().find(|entry| entry.name == name).expect("the names here are on the list");
        Ok(Self::new(entry.example, Budget { norm, epsilon: epsilon.parse()? }))
    }

    /// Its name in results, in place of its own.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Number of steps of a run.
    pub fn steps(self, count: usize) -> Self {
        self.set("steps", |config| {
            match config {
                Config::Pgd(pgd::Settings { steps, .. })
                | Config::MiFgsm(mi_fgsm::Settings { steps, .. })
                | Config::Apgd(apgd::Settings { steps, .. })
                | Config::Cw(cw::Settings { steps, .. })
                | Config::CwLinf(cw_linf::Settings { steps, .. })
                | Config::Ddn(ddn::Settings { steps, .. })
                | Config::Fmn(fmn::Settings { steps, .. })
                | Config::FabT(fab::Settings { steps, .. }) => *steps = count,
                _ => return false,
            }
            true
        })
    }

    /// Length of a step: of PGD in pixels, of CW on the arguments of its tanh. PGD's is `2.5 * epsilon / steps` otherwise.
    pub fn step_size(self, size: f64) -> Self {
        self.set("step_size", |config| {
            match config {
                Config::Pgd(pgd::Settings { step_size, .. })
                | Config::MiFgsm(mi_fgsm::Settings { step_size, .. }) => {
                    *step_size = StepSize::Absolute(size)
                }
                Config::Cw(cw::Settings { step_size, .. })
                | Config::CwLinf(cw_linf::Settings { step_size, .. }) => *step_size = size,
                _ => return false,
            }
            true
        })
    }

    /// Number of runs from other random points; an image is misclassified if one of them breaks it.
    pub fn restarts(self, count: usize) -> Self {
        self.set("restarts", |config| {
            match config {
                Config::Pgd(pgd::Settings { restarts, .. })
                | Config::Apgd(apgd::Settings { restarts, .. })
                | Config::Square(square::Settings { restarts, .. }) => *restarts = count,
                _ => return false,
            }
            true
        })
    }

    /// Where PGD begins.
    pub fn start(self, at: Start) -> Self {
        self.set("start", |config| {
            match config {
                Config::Pgd(pgd::Settings { start, .. }) => *start = at,
                _ => return false,
            }
            true
        })
    }

    /// Looks at the module that an attack without gradients makes.
    pub fn queries(self, count: usize) -> Self {
        self.set("queries", |config| {
            match config {
                Config::Square(square::Settings { queries, .. }) => *queries = count,
                Config::RandomNoise(random_noise::Settings { candidates }) => *candidates = count,
                _ => return false,
            }
            true
        })
    }

    /// What it maximises.
    pub fn loss(mut self, loss: impl Into<Loss>) -> Self {
        match &mut self.stages[..] {
            [(_, own)] => *own = loss.into(),
            _ => self.refuse(|attack| Error::Bundle { attack, asked: "another loss" }),
        }
        self
    }

    /// Where its random numbers come from; the same seed gives the same images, whatever the batch size. 0 otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Seed::new(seed);
        self
    }

    /// Leads images to a class, one for all or one for each; misclassified is then what is predicted as that.
    pub fn targeted(mut self, targets: impl Into<Targets>) -> Self {
        match self.stages.len() {
            1 => self.targets = Some(targets.into()),
            _ => self.refuse(|attack| Error::Bundle { attack, asked: "a target" }),
        }
        self
    }

    /// Images in one pass, 128 otherwise: decides memory and speed only.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.batch_size = images;
        self
    }

    /// Calls `hear` after each look at the module, on the caller's thread.
    pub fn on_step(mut self, hear: impl FnMut(&Step) + 'a) -> Self {
        self.on_step = Some(Box::new(hear));
        self
    }

    /// Its name in results.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its images keep.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    fn set(mut self, setting: &'static str, set: impl Fn(&mut Config) -> bool) -> Self {
        let done = match &mut self.stages[..] {
            [(config, _)] => set(config),
            _ => false,
        };
        if !done {
            self.refuse(|attack| Error::NoSetting { attack, setting });
        }
        self
    }

    fn refuse(&mut self, why: impl FnOnce(String) -> Error) {
        if self.refused.is_none() {
            self.refused = Some(why(self.name.clone()));
        }
    }
}

/// A type without values, whose functions make an attack.
macro_rules! attack {
    ($type:ident, $name:literal, $summary:literal, $($norm:ident $function:ident),+) => {
        #[doc = $summary]
        #[derive(Debug, Clone, Copy)]
        pub enum $type {}

        impl $type {
            $(
                /// With a budget in this norm, written as `8/255` or `0.5`, in pixels of `[0, 1]`.
                ///
                /// # Errors
                /// If `epsilon` is no radius.
                pub fn $function<'a>(epsilon: &str) -> Result<Attack<'a>> {
                    Attack::listed($name, Norm::$norm, epsilon)
                }
            )+
        }
    };
}

attack!(Fgsm, "fgsm", "One step of length epsilon from the clean image (Goodfellow et al. 2015).", Linf linf, L2 l2);
attack!(Pgd, "pgd", "Projected steps of steepest ascent (Madry et al. 2018), 10 of them.", Linf linf, L2 l2);
attack!(MiFgsm, "mi-fgsm", "Steps along a sum of gradients that forgets (Dong et al. 2018), 10 of them.", Linf linf, L2 l2);
attack!(Apgd, "apgd", "Projected ascent that chooses its own step size (Croce and Hein 2020), 100 steps.", Linf linf, L2 l2);
attack!(Square, "square", "Random squares without gradients (Andriushchenko et al. 2020), 5,000 queries.", Linf linf, L2 l2);
attack!(Fab, "fab-t", "The nearest image across the border, by planes (Croce and Hein 2020b), 9 targets.", Linf linf, L2 l2);
attack!(Fmn, "fmn", "A ball that shrinks and grows around the border (Pintor et al. 2021).", Linf linf, L2 l2);
attack!(Ddn, "ddn", "A sphere that shrinks and grows around the border (Rony et al. 2019).", L2 l2);
attack!(Cw, "cw", "Carlini and Wagner's attack with its search over the constant (2017).", L2 l2);
attack!(CwLinf, "cw-linf", "Carlini and Wagner's linf attack with its shrinking bound (2017).", Linf linf);
attack!(RandomNoise, "random-noise", "Random perturbations: what every attack must beat.", Linf linf, L2 l2);

/// AutoAttack, version standard (Croce and Hein 2020): APGD twice, FAB-T and Square, each on what the others left. At
/// least 4 classes.
#[derive(Debug, Clone, Copy)]
pub enum AutoAttack {}

impl AutoAttack {
    /// Within `epsilon` in linf, written as `8/255`.
    ///
    /// # Errors
    /// If `epsilon` is no radius.
    pub fn linf<'a>(epsilon: &str) -> Result<Attack<'a>> {
        Ok(Self::within(Budget { norm: Norm::Linf, epsilon: epsilon.parse()? }))
    }

    /// Within `epsilon` in l2, written as `0.5`.
    ///
    /// # Errors
    /// If `epsilon` is no radius.
    pub fn l2<'a>(epsilon: &str) -> Result<Attack<'a>> {
        Ok(Self::within(Budget { norm: Norm::L2, epsilon: epsilon.parse()? }))
    }

    fn within<'a>(budget: Budget) -> Attack<'a> {
        let stages = autoattack().into_iter().map(|stage| (stage.attack, stage.loss.into())).collect();
        Attack::of(bundle::AUTOATTACK, stages, budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_the_attack_that_has_them() {
        let pgd = Pgd::linf("8/255").unwrap().steps(7).restarts(3).step_size(0.25).start(Start::Clean);
        let step_size = StepSize::Absolute(0.25);
        assert_eq!(
            pgd.stages[0].0,
            Config::Pgd(pgd::Settings { steps: 7, restarts: 3, step_size, start: Start::Clean })
        );
        assert!(pgd.refused.is_none());
        let momentum = MiFgsm::l2("0.5").unwrap().steps(7).step_size(0.25);
        let expected = mi_fgsm::Settings { steps: 7, step_size, decay: 1.0 };
        assert_eq!((momentum.stages[0].0, momentum.refused.is_none()), (Config::MiFgsm(expected), true));
        let square = Square::l2("0.5").unwrap().queries(9);
        assert!(matches!(square.stages[0].0, Config::Square(square::Settings { queries: 9, .. })));
    }

    #[test]
    fn a_setting_that_an_attack_does_not_have_is_named_and_the_first_counts() {
        let said = |attack: Attack<'_>| attack.refused.expect("it is refused").to_string();
        assert!(said(Fgsm::linf("0.1").unwrap().steps(3).restarts(2)).contains("fgsm has no setting steps"));
        assert!(said(Square::linf("0.1").unwrap().step_size(0.1)).contains("square"));
        assert!(said(AutoAttack::linf("0.1").unwrap().restarts(3)).contains("autoattack"));
        assert!(said(AutoAttack::l2("0.1").unwrap().targeted(3)).contains("target"));
        assert!(said(AutoAttack::l2("0.1").unwrap().loss(Loss::Margin)).contains("loss"));
    }

    #[test]
    fn an_epsilon_that_is_none_says_how_to_write_it() {
        assert!(Pgd::l2("eight").err().unwrap().to_string().contains("8/255"));
    }
}
