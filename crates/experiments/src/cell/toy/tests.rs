//! The plane, small enough for seconds.

use approx::assert_abs_diff_eq;
use robin_core::{CancelToken, Seed};
use robin_data::Split;

use super::*;
use crate::spec::{Cluster, Spec, StudySpec};

fn work(root: u64) -> ToyWork {
    let spec = Spec::named("figure-2").unwrap();
    let Some(StudySpec::Toy(mut toy)) = spec.study.clone() else { panic!("figure 2 is a toy") };
    toy.train_points = 60;
    toy.shown_points = 6;
    toy.width = 16;
    toy.grid = 20;
    let recipe = &spec.recipes[&toy.recipe];
    let budget = robin_core::Budget { norm: Norm::L2, epsilon: toy.epsilon };
    let named = &spec.attacks[&toy.attack];
    ToyWork {
        config: recipe.config(budget, 25, recipe.sampling),
        normalize: recipe.normalize.clone(),
        attack: AttackSpec { attack: named.of(Norm::L2).unwrap(), loss: named.loss },
        seed: Seed::new(root),
        spec: toy,
    }
}

fn panels(root: u64) -> Vec<ToyPanel> {
    work(root).panels(robin_nn::executor("cpu").unwrap(), &CancelToken::new()).unwrap()
}

#[test]
fn the_regions_are_learned_and_arrows_end_on_the_other_side() {
    let found = panels(0);
    assert_eq!(found.len(), 3);
    for panel in &found {
        assert!(panel.clean_accuracy > 0.9, "{}: {}", panel.title, panel.clean_accuracy);
        assert_eq!((panel.regions.grid.len(), panel.n, panel.censored), (400, 18, 0));
        let arrows = &panel.regions.arrows;
        assert!(arrows.iter().all(|arrow| arrow.misclassified && arrow.from != arrow.to), "{arrows:?}");
        let far = arrows.iter().map(|arrow| (arrow.from[0] - arrow.to[0]).hypot(arrow.from[1] - arrow.to[1]));
        let mean = far.sum::<f64>() / arrows.len() as f64;
        assert_abs_diff_eq!(mean, panel.mean_distance.unwrap(), epsilon = 1e-6);
    }
    let [a, b, c] = &found[..] else { unreachable!() };
    assert_eq!((a.regions.classes.len(), b.regions.classes.len()), (2, 3));
    // The same network with fewer borders that count: no way gets shorter, and some get longer.
    assert_eq!(b.regions.grid, c.regions.grid);
    assert!(c.mean_distance.unwrap() > b.mean_distance.unwrap(), "{b:?} {c:?}");
    let center = |regions: &Regions, at: [f64; 2]| {
        let cell = |along: f64| (along * regions.width as f64) as usize;
        regions.grid[cell(at[1]) * regions.width + cell(at[0])]
    };
    for Cluster { class, center: at, .. } in work(0).spec.clusters {
        assert_eq!(center(&b.regions, at), class);
        assert_eq!(center(&a.regions, at), usize::from(class != 0));
    }
}

#[test]
fn the_drawing_is_the_seeds() {
    assert_eq!(panels(3), panels(3));
    assert_ne!(panels(3), panels(4));
    let work = work(3);
    let (train, test) = (work.points(Split::Train).unwrap(), work.points(Split::Test).unwrap());
    assert_eq!((train.len(), test.len(), train.class_counts()), (180, 18, vec![60; 3]));
    assert_ne!(train.pixels().unwrap()[..12], test.pixels().unwrap()[..12]);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let refused = |change: &dyn Fn(&mut ToySpec)| {
        let mut work = work(0);
        change(&mut work.spec);
        fault(&work.spec, &work.attack).expect("this cannot be drawn")
    };
    assert_eq!(fault(&work(0).spec, &work(0).attack), None);
    assert!(refused(&|toy| toy.clusters.retain(|cluster| cluster.class != 1)).contains("cat has no cluster"));
    assert!(refused(&|toy| toy.clusters[0].center[1] = 1.5).contains("1.5"));
    assert!(refused(&|toy| toy.grid = 0).contains("grid is 0"));
    assert!(refused(&|toy| toy.classes.truncate(2)).contains("2 classes"));
}
