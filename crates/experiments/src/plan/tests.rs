use std::collections::{BTreeMap, BTreeSet};

use robin_data::{DatasetName, Sampling};

use crate::cell::{Cell, NetworkWork};
use crate::plan::resolve::shrink;
use crate::plan::{Plan, PlannedItem, Request};
use crate::record::Kind;
use crate::{Error, Profile, Spec};

const TEXT: &str = include_str!("../../specs/table-1.toml");

/// The common settings and Table 1, changed together.
#[derive(Clone)]
struct Texts {
    common: String,
    item: String,
}

impl Texts {
    fn usual() -> Self {
        Self { common: crate::spec::COMMON.to_owned(), item: TEXT.to_owned() }
    }

    fn spec(&self) -> Result<Spec, Error> {
        Spec::parse_with(&self.common, "table-1", &self.item)
    }
}

/// The MNIST rows.
fn request() -> Request {
    Request {
        profile: Profile::Smoke,
        rows: Some("mnist".to_owned()),
        beyond: false,
        seeds: None,
        reading: None,
        attack_images: BTreeMap::new(),
        device: "cpu".parse().unwrap(),
        data_dir: None,
    }
}

fn plan_of(texts: &Texts) -> Result<Plan, Error> {
    Plan::new(&[texts.spec()?], &request())
}

fn keys(plan: &Plan, kind: Kind) -> Vec<&str> {
    plan.cells.iter().filter(|cell| cell.kind() == kind).map(|cell| cell.key.as_str()).collect()
}

fn how_attacks_shrank(item: &PlannedItem) -> String {
    item.shrunk_attacks.iter().map(|(_, how)| format!("{how}\n")).collect()
}

/// The texts with `from`, which must be there, replaced by `to`.
fn changed(from: &str, to: &str) -> Texts {
    let Texts { common, item } = Texts::usual();
    assert!(common.contains(from) || item.contains(from), "{from:?} is not in the specs");
    Texts { common: common.replace(from, to), item: item.replace(from, to) }
}

#[test]
fn the_mnist_rows_are_22_networks_and_26_evaluations() {
    let plan = plan_of(&Texts::usual()).unwrap();
    // Per row: 1 + 10 networks; clean twice, two attacks with 1 + 3 strategies, and Carlini and Wagner's (two in l2) with 1.
    assert_eq!(keys(&plan, Kind::Network).len(), 2 * 11);
    assert_eq!(keys(&plan, Kind::Evaluation).len(), 2 * (2 + 2 * 4) + 2 * (2 + 1));
    let unique: BTreeSet<&str> = plan.cells.iter().map(|cell| cell.key.as_str()).collect();
    assert_eq!(unique.len(), plan.cells.len());
    let first_evaluation = plan.cells.iter().position(|cell| cell.kind() == Kind::Evaluation).unwrap();
    assert!(plan.cells[first_evaluation..].iter().all(|cell| cell.kind() == Kind::Evaluation));
    for cell in &plan.cells {
        assert!(cell.needs.iter().all(|&need| need < first_evaluation), "{}", cell.label);
    }
}

#[test]
fn the_table_has_the_papers_eight_rows() {
    let spec = Texts::usual().spec().unwrap().of_the_paper();
    let labels: Vec<String> = spec.rows.iter().map(|row| row.label()).collect();
    let expected = ["cifar10/myrtle", "cifar10/resnet18", "cifar10/resnet50", "mnist/cnn2"]
        .iter()
        .flat_map(|row| ["l2", "linf"].map(|norm| format!("{row}/{norm}")));
    assert_eq!(labels, expected.collect::<Vec<_>>());
    for row in &spec.rows {
        let recipe = &spec.recipes[&row.recipe];
        let (epochs, milestones, crop, arms) = match (row.dataset, row.model.as_str()) {
            (DatasetName::Mnist, _) => (20, vec![10], 0, Sampling::Plain),
            (_, "resnet50") => (150, vec![50, 100], 4, Sampling::Balanced),
            _ => (80, vec![40], 4, Sampling::Balanced),
        };
        assert_eq!((recipe.epochs, recipe.crop_padding, recipe.arm_sampling), (epochs, crop, arms));
        assert_eq!((recipe.sampling, recipe.batch_size), (Sampling::Plain, 128));
        let config = recipe.config(row.budget(), epochs, recipe.sampling);
        let falls =
            |epoch: &usize| config.learning_rate_at(*epoch, 0, 1) < config.learning_rate_at(*epoch - 1, 0, 1);
        assert_eq!((1..epochs).filter(falls).collect::<Vec<_>>(), milestones, "{}", row.label());
        assert_eq!(recipe.normalize.is_some(), row.dataset == DatasetName::Cifar10);
        for classifier in ["multiclass", "robin"] {
            assert_eq!(row.published[classifier].len(), 4, "{}", row.label());
        }
    }
}

#[test]
fn cifar_networks_are_normalised_and_their_arms_balanced() {
    let request = Request { rows: Some("cifar10/resnet50/l2".to_owned()), ..request() };
    let plan = Plan::new(&[Texts::usual().spec().unwrap()], &request).unwrap();
    let ran = &plan.items[0].rows[0].ran;
    assert_eq!((ran.width, ran.epochs, ran.train_images, ran.test_images), (4, 1, 128, 20));
    for cell in &plan.cells {
        let Some(work) = cell.work.network() else { continue };
        let balanced = work.config.sampling == Sampling::Balanced;
        assert_eq!(balanced, cell.label.contains(" arm "), "{}", cell.label);
        assert_eq!(work.measured.len(), 20);
        assert_eq!(work.parameters().get("normalize.mean").unwrap().values, [0.4914, 0.4822, 0.4465]);
        assert_eq!(work.parameters().get("normalize.std").unwrap().values, [0.2470, 0.2435, 0.2616]);
        assert_eq!(cell.settings()["model"]["normalize"]["std"][0], 0.247);
    }
}

#[test]
fn a_normalisation_fits_the_images() {
    for (from, to, part) in [
        ("mean = [0.4914, 0.4822, 0.4465]", "mean = [0.5]", "1 means and 3 deviations"),
        ("0.2435, 0.2616]", "0.2435, 0.0]", "std > 0"),
    ] {
        let request = Request { rows: Some("cifar10/myrtle".to_owned()), ..request() };
        let error = Plan::new(&[changed(from, to).spec().unwrap()], &request).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn smoke_is_what_the_specification_says_and_names_what_it_shrank() {
    let plan = plan_of(&Texts::usual()).unwrap();
    let ran = &plan.items[0].rows[0].ran;
    assert_eq!((ran.model.as_str(), ran.width, ran.epochs), ("cnn2-small", 16, 20));
    assert_eq!((ran.train_images, ran.test_images), (2000, 1000));
    assert_eq!(plan.items[0].seeds, [0]);
    let shrunk = plan.items[0].rows[0].shrunk.join("; ");
    for part in ["model cnn2-small width 16 (paper: cnn2 width 32)", "train images 2000 (paper: 60000)"] {
        assert!(shrunk.contains(part), "{shrunk}");
    }
    assert!(!shrunk.contains("epochs"), "20 epochs are the paper's: {shrunk}");
}

#[test]
fn keys_do_not_move_with_what_decides_no_number() {
    let plan = plan_of(&Texts::usual()).unwrap();
    for text in [
        changed("title = \"Table 1", "title = \"Another heading"),
        changed("clean = 0.981", "clean = 0.5"),
        changed("seeds = [0, 1, 2]", "seeds = [5]"),
        changed("# SGD, the rate", "# A comment, the rate"),
        // The other profile's section.
        changed("epochs = 6\n", "epochs = 3\n"),
    ] {
        let other = plan_of(&text).unwrap();
        assert_eq!(keys(&plan, Kind::Network), keys(&other, Kind::Network));
        assert_eq!(keys(&plan, Kind::Evaluation), keys(&other, Kind::Evaluation));
    }
    // A filter leaves the keys of the rows that it keeps alone.
    let filtered = Plan::new(
        &[Texts::usual().spec().unwrap()],
        &Request { rows: Some("mnist/cnn2/linf".to_owned()), ..request() },
    )
    .unwrap();
    assert_eq!(keys(&plan, Kind::Network)[11..], keys(&filtered, Kind::Network));
}

#[test]
fn keys_move_with_everything_that_decides_a_number() {
    let plan = plan_of(&Texts::usual()).unwrap();
    let disjoint = |a: &[&str], b: &[&str]| a.iter().all(|key| !b.contains(key));
    for text in [
        changed("learning_rate = 0.1", "learning_rate = 0.05"),
        changed("weight_decay = 5e-4", "weight_decay = 1e-4"),
        changed("milestones = [0.5]", "milestones = [0.25]"),
        changed("train_images = 2000", "train_images = 1900"),
        changed("proportion = \"cosine\"", "proportion = \"all\""),
        changed("{ cnn2 = \"cnn2-small\" }", "{ cnn2 = \"cnn2-small\" }\nwidth = 8"),
        changed("[smoke]\ndata = \"embedded\"\nseeds = [0]", "[smoke]\ndata = \"embedded\"\nseeds = [1]"),
    ] {
        let other = plan_of(&text).unwrap();
        assert!(disjoint(&keys(&plan, Kind::Network), &keys(&other, Kind::Network)));
        // An evaluation's key contains its networks' keys.
        assert!(disjoint(&keys(&plan, Kind::Evaluation), &keys(&other, Kind::Evaluation)));
    }
    let budget = plan_of(&changed("epsilon = \"2.0\"", "epsilon = \"1.5\"")).unwrap();
    assert!(disjoint(&keys(&plan, Kind::Network)[..11], &keys(&budget, Kind::Network)[..11]));
    assert_eq!(keys(&plan, Kind::Network)[11..], keys(&budget, Kind::Network)[11..]);
    // Fewer test images move evaluations, but for those on still fewer, and leave the networks.
    let fewer = plan_of(&changed("test_images = 1000\n\n[quick]", "test_images = 900\n\n[quick]")).unwrap();
    assert_eq!(keys(&plan, Kind::Network), keys(&fewer, Kind::Network));
    let on_all = |plan: &Plan| -> Vec<String> {
        let of_all = |cell: &&Cell| cell.work.evaluation().is_some_and(|work| work.data.len() >= 900);
        plan.cells.iter().filter(of_all).map(|cell| cell.key.to_string()).collect()
    };
    let (before, after) = (on_all(&plan), on_all(&fewer));
    assert!(!before.is_empty() && before.iter().all(|key| !after.contains(key)));
}

#[test]
fn the_key_has_data_executor_and_the_numerics_of_every_crate_involved() {
    let plan = plan_of(&Texts::usual()).unwrap();
    for cell in &plan.cells {
        let settings = &cell.settings();
        assert_eq!(settings["executor"], "cpu", "{settings}");
        assert_eq!(settings["data"]["sha256"].as_str().map(str::len), Some(64));
        let crates: BTreeSet<&str> =
            settings["numerics"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected: BTreeSet<&str> =
            ["core", "kernels", "nn", "data", "models", "attacks", "evaluation", "experiments"].into();
        expected.insert(match cell.kind() {
            Kind::Network => "training",
            Kind::Evaluation => "aggregation",
        });
        assert_eq!(crates, expected, "{}", cell.label);
    }
}

#[test]
fn arms_and_seeds_begin_at_addresses_of_their_own() {
    let plan = Plan::new(
        &[Texts::usual().spec().unwrap()],
        &Request { seeds: Some(vec![3, 4]), rows: Some("mnist/cnn2/l2".to_owned()), ..request() },
    )
    .unwrap();
    let seeds: BTreeSet<String> = plan
        .cells
        .iter()
        .filter_map(|cell| cell.work.network().map(|work| format!("{:?}", work.seed)))
        .collect();
    assert_eq!(seeds.len(), 2 * 11);
}

#[test]
fn a_profile_has_no_field_for_the_method() {
    for field in ["learning_rate = 0.2", "method = { name = \"standard\" }", "steps = 5", "epsilon = \"1.0\""]
    {
        let text = changed("train_images = 2000\n", &format!("train_images = 2000\n{field}\n"));
        let error = text.spec().unwrap_err();
        let Error::Spec { source, .. } = &error else { panic!("{error}") };
        assert!(source.to_string().contains("unknown field"), "{source}");
    }
}

#[test]
fn unknown_fields_are_refused_everywhere() {
    for (from, to) in [
        ("item = \"table-1\"", "item = \"table-1\"\ncolour = 1"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nlearning_rat = 0.1"),
        ("name = \"pgd20\"", "name = \"pgd20\"\nstep = 3"),
        ("steps = 20, restarts", "steps = 20, norm = \"l2\", restarts"),
        ("kind = \"single\"", "kind = \"single\"\narms = 3"),
        ("data = \"folder\"", "data = \"folder\"\nmethod = 1"),
    ] {
        assert!(matches!(plan_of(&changed(from, to)), Err(Error::Spec { .. })), "{to}");
    }
}

#[test]
fn what_does_not_shrink_is_refused_with_both_numbers() {
    let reason = |from: &str, to: &str| plan_of(&changed(from, to)).unwrap_err().to_string();
    let grown = reason("{ cnn2 = \"cnn2-small\" }", "{ cnn2 = \"cnn2-small\" }\nepochs = 21");
    assert!(
        grown.contains("[smoke.datasets.mnist]") && grown.contains("epochs 21 does not shrink 20"),
        "{grown}"
    );
    let wide = reason("{ cnn2 = \"cnn2-small\" }", "{ cnn2 = \"cnn2-small\" }\nwidth = 32");
    assert!(wide.contains("width 32 does not shrink 16"), "{wide}");
    let many = reason("train_images = 2000", "train_images = 2001");
    assert!(many.contains("2001"), "{many}");
    let none = reason("test_images = 1000\n\n[quick]", "test_images = 0\n\n[quick]");
    assert!(none.contains("test images 0"), "{none}");
}

#[test]
fn mistakes_are_found_before_training() {
    let reason = |from: &str, to: &str| plan_of(&changed(from, to)).unwrap_err().to_string();
    assert!(
        reason("recipe = \"mnist\"", "recipe = \"minst\"").contains("one of: cifar10, cifar10-long, mnist")
    );
    assert!(reason("cnn2-small\" }", "cnn3\" }").contains("cnn2-small"));
    assert!(reason("learning_rate = 0.1", "learning_rate = -1.0").contains("learning_rate is -1"));
    assert!(reason("steps = 20, restarts", "steps = 0, restarts").contains("steps"));
    assert!(reason("batch_size = 128", "batch_size = 4000").contains("batch_size 4000"));
    assert!(reason("published.robin", "published.rubin").contains("published.rubin"));
    assert!(reason("clean = 0.981", "clean = 98.1").contains("98.1"));
    assert!(
        reason("attack = \"pgd20\"", "attack = \"pgd21\"")
            .contains("one of: autoattack, cw, cw-paper, pgd10, pgd20")
    );
    assert!(
        reason("\"multiclass\", \"robin\"", "\"multiclass\", \"rubin\"").contains("rubin is no classifier")
    );
    assert!(reason("l2 = { steps = 40, searches", "l2 = { steps = 2000, searches").contains("steps 2000"));
    assert!(reason("name = \"pgd20\"", "name = \"pgd10\"").contains("named twice"));
}

#[test]
fn a_column_on_fewer_images_is_an_edit_of_the_data_alone() {
    let plan = plan_of(&changed("[attacks.pgd20]", "[attacks.pgd20]\nimages = 100")).unwrap();
    let item = &plan.items[0];
    for (place, index) in &item.places {
        let work = plan.cells[*index].work.evaluation().expect("a place is an evaluation's");
        let expected = match item.columns[place.column].name.as_str() {
            "cw" => 10,
            "pgd20" | "cw-paper" => 100,
            _ => 1000,
        };
        assert_eq!(work.data.len(), expected, "{}", plan.cells[*index].label);
    }
}

#[test]
fn fewer_images_of_an_attack_can_be_asked_for_and_are_said() {
    let of = |attack: &str, images| {
        let attack_images = BTreeMap::from([(attack.to_owned(), images)]);
        Plan::new(&[Texts::usual().spec().unwrap()], &Request { attack_images, ..request() })
    };
    let (plan, usual) = (of("pgd20", 300).unwrap(), plan_of(&Texts::usual()).unwrap());
    let item = &plan.items[0];
    for (place, index) in &item.places {
        let work = plan.cells[*index].work.evaluation().expect("a place is an evaluation's");
        let is_shrunk = item.columns[place.column].name == "pgd20";
        assert_eq!(work.data.len() == 300, is_shrunk, "{}", plan.cells[*index].label);
        assert_eq!(plan.cells[*index].key == usual.cells[*index].key, !is_shrunk);
    }
    let said = how_attacks_shrank(item);
    assert!(said.contains("pgd20 in l2: as asked for, the first 300 images (else 1000)"), "{said}");
    for (attack, images, reason) in [
        ("pgd20", 0, "it must be from 1 to 1000"),
        ("pgd20", 1001, "it must be from 1 to 1000"),
        ("pgd", 10, "attack \"pgd\" is unknown"),
    ] {
        let message = of(attack, images).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_weaker_attack_is_said() {
    let plan = plan_of(&Texts::usual()).unwrap();
    let said = how_attacks_shrank(&plan.items[0]);
    for part in [
        "cw in l2: steps 40 (paper: 1000), searches 3 (paper: 9), the first 10 images",
        "cw in linf: steps 10",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn every_item_has_a_plan_and_what_they_share_is_there_once() {
    let specs: Vec<Spec> = crate::ITEMS.iter().map(|(name, _)| Spec::named(name).unwrap()).collect();
    let request = Request { rows: None, beyond: true, ..request() };
    let all = Plan::new(&specs, &request).unwrap();
    assert_eq!(all.items.len(), specs.len());
    let unique: BTreeSet<&str> = all.cells.iter().map(|cell| cell.key.as_str()).collect();
    assert_eq!(unique.len(), all.cells.len());
    for (at, cell) in all.cells.iter().enumerate() {
        assert!(cell.needs.iter().all(|&need| need < at), "{}", cell.label);
    }
    // Figure 5's CIFAR networks are Table 1's.
    let of = |name: &str| specs.iter().filter(|spec| spec.item == name).cloned().collect::<Vec<_>>();
    let figure = Plan::new(&of("figure-5"), &request).unwrap();
    let table = Plan::new(&of("table-1"), &request).unwrap();
    assert!(keys(&figure, Kind::Network).iter().all(|key| keys(&table, Kind::Network).contains(key)));
}

#[test]
fn beyond_the_paper_is_what_is_asked_for_and_no_key_moves() {
    let names = |plan: &Plan| -> Vec<String> {
        let item = &plan.items[0];
        let classifiers = item.classifiers.iter().map(|classifier| classifier.name.clone());
        classifiers.chain(item.columns.iter().map(|column| column.name.clone())).collect()
    };
    let (papers, both) = (plan_of(&Texts::usual()).unwrap(), {
        let request = Request { beyond: true, ..request() };
        Plan::new(&[Texts::usual().spec().unwrap()], &request).unwrap()
    });
    assert_eq!(names(&papers), ["multiclass", "robin", "clean", "pgd10", "pgd20", "cw", "cw-paper", "union"]);
    let beyond = ["ensemble-10", "wide", "shared-trunk", "autoattack"];
    let added: Vec<String> = names(&both).into_iter().filter(|name| !names(&papers).contains(name)).collect();
    assert_eq!(added, beyond);
    for kind in [Kind::Network, Kind::Evaluation] {
        assert!(keys(&papers, kind).iter().all(|key| keys(&both, kind).contains(key)));
    }
    // Per row ten members, of which the first may be the multiclass network, a wide network, and a shared trunk.
    let more = keys(&both, Kind::Network).len() - keys(&papers, Kind::Network).len();
    assert_eq!(more, 2 * (9 + 1 + 1));
    // A union has no evaluation of its own.
    assert!(!both.cells.iter().any(|cell| cell.label.contains("union")));
}

#[test]
fn a_filter_that_matches_nothing_says_where_something_would() {
    let error = |rows: &str, beyond: bool, profile: Profile| {
        let request = Request { rows: Some(rows.to_owned()), beyond, profile, ..request() };
        Plan::new(&[Texts::usual().spec().unwrap()], &request).unwrap_err().to_string()
    };
    let strong = error("strong", false, Profile::Smoke);
    assert!(strong.contains("; another profile has one") && !strong.contains("linf/strong,"), "{strong}");
    assert!(error("strong", false, Profile::Paper).contains("; with --beyond there is one"));
    assert!(error("svhn", true, Profile::Smoke).ends_with("mnist/cnn2/linf)"));
    let images = BTreeMap::from([("autoattack".to_owned(), 5)]);
    let asked = |beyond| {
        let request = Request { attack_images: images.clone(), beyond, ..request() };
        Plan::new(&[Texts::usual().spec().unwrap()], &request)
    };
    assert!(asked(false).unwrap_err().to_string().contains("autoattack"), "nothing would come of it");
    asked(true).unwrap();
}

#[test]
fn what_is_beyond_the_paper_is_written_so_that_the_rest_can_do_without() {
    for (from, to, part) in [
        ("union = true", "union = true\nattack = \"pgd10\"", "no attack of its own"),
        (
            "name = \"pgd10\"\nattack = \"pgd10\"",
            "name = \"pgd10\"\nattack = \"pgd10\"\ntransfer = { from = \"wide\", aim = \"untargeted\" }",
            "beyond the paper",
        ),
    ] {
        let error = plan_of(&changed(from, to)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn items_share_their_cells() {
    let spec = Texts::usual().spec().unwrap();
    let mut other = spec.clone();
    other.item = "another".to_owned();
    let one = Plan::new(std::slice::from_ref(&spec), &request()).unwrap();
    let both = Plan::new(&[spec, other], &request()).unwrap();
    assert_eq!(keys(&one, Kind::Network), keys(&both, Kind::Network));
    assert_eq!(keys(&one, Kind::Evaluation), keys(&both, Kind::Evaluation));
    assert_eq!(both.items.len(), 2);
    let places = |item: usize| both.items[item].places.iter().map(|(_, cell)| *cell).collect::<Vec<_>>();
    assert_eq!(places(0), places(1));
}

#[test]
fn on_a_gpu_quick_has_full_width_and_data_and_a_quarter_of_the_epochs() {
    let spec = Texts::usual().spec().unwrap();
    let shrunk = |label: &str, profile, on_gpu| {
        let row = spec.rows.iter().find(|row| row.label() == label).unwrap();
        shrink(spec.profile(profile), row, &spec.recipes[&row.recipe], (profile, on_gpu)).unwrap().0
    };
    for (row, epochs) in [("mnist/cnn2/l2", 5), ("cifar10/resnet18/linf", 20), ("cifar10/resnet50/l2", 38)] {
        let on_gpu = shrunk(row, Profile::Quick, true);
        assert_eq!(on_gpu.epochs, Some(epochs), "{row}");
        assert_eq!((on_gpu.width, on_gpu.train_images, on_gpu.test_images), (None, None, None), "{row}");
        assert!(shrunk(row, Profile::Quick, false).width.is_some(), "{row}");
        // What proves that the path works is small wherever it runs.
        assert!(shrunk(row, Profile::Smoke, true).train_images.is_some(), "{row}");
    }
}

#[test]
fn data_that_is_not_there_names_the_folder_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let request = Request { profile: Profile::Quick, data_dir: Some(folder.path().to_owned()), ..request() };
    let error = Plan::new(&[Texts::usual().spec().unwrap()], &request).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    assert!(source.contains("cargo xtask data fetch mnist"), "{source}");
}

/// The items in profile night, on the images inside the program.
fn night(items: &[&str]) -> Plan {
    let common = crate::spec::COMMON.replace("[night]\ndata = \"folder\"", "[night]\ndata = \"embedded\"");
    assert_ne!(common, crate::spec::COMMON);
    let text = |name: &str| crate::ITEMS.iter().find(|(item, _)| *item == name).unwrap().1;
    let specs: Vec<Spec> =
        items.iter().map(|name| Spec::parse_with(&common, name, text(name)).unwrap()).collect();
    Plan::new(&specs, &Request { profile: Profile::Night, rows: None, ..request() }).unwrap()
}

fn networks(plan: &Plan) -> impl Iterator<Item = (&str, &NetworkWork)> {
    plan.cells.iter().filter_map(|cell| Some((cell.label.as_str(), cell.work.network()?)))
}

#[test]
fn night_is_cifar10_by_a_recipe_that_every_row_says_is_not_the_papers() {
    let items = ["table-1", "table-2", "table-3", "table-5", "figure-4", "figure-8", "section-7"];
    let plan = night(&items);
    assert_eq!(plan.items.len(), items.len());
    for item in &plan.items {
        let width = if ["figure-4", "section-7"].contains(&item.item.as_str()) { 8 } else { 16 };
        for row in &item.rows {
            assert_eq!((row.ran.model.as_str(), row.ran.width), ("myrtle", width), "{}", row.row.label());
            let said = row.shrunk.join("; ");
            assert!(said.contains("read as single-step: recipe single-step, not the paper's"), "{said}");
        }
    }
    for (label, work) in networks(&plan) {
        assert_eq!((work.config.learning_rate, work.config.momentum), (0.03, 0.9), "{label}");
        assert_eq!(work.config.flip, robin_data::Flip::Horizontal, "{label}");
        let steps = match work.config.method {
            robin_training::Method::Standard {} => continue,
            robin_training::Method::PgdAt { steps, .. }
            | robin_training::Method::Trades { steps, .. }
            | robin_training::Method::Mart { steps, .. } => steps,
        };
        assert_eq!(steps, 1, "{label}");
    }
}

#[test]
fn a_reading_changes_what_it_names_and_what_is_like_it() {
    let spec = |reading: &str| Spec::named("table-5").unwrap().read_as(reading).unwrap();
    let momentum = |spec: &Spec, recipe: &str| spec.recipes[recipe].momentum;
    let read = spec("momentum");
    let papers = Spec::named("table-5").unwrap();
    for recipe in ["cifar10", "cifar10-plain", "cifar10-long"] {
        assert_eq!((momentum(&papers, recipe), momentum(&read, recipe)), (0.0, 0.9), "{recipe}");
    }
    assert_eq!(read.recipes["cifar10-plain"].arm_sampling, Sampling::Plain, "what it says itself stays");
    assert_eq!(momentum(&papers, "mnist"), momentum(&read, "mnist"));
    let circle = changed("like = \"fast\"", "like = \"single-step\"").spec().unwrap_err();
    let circle = std::error::Error::source(&circle).unwrap().to_string();
    assert!(circle.contains("single-step is like \"single-step\", which is no other reading"), "{circle}");
    let error = Spec::named("table-5").unwrap().read_as("slow").unwrap_err().to_string();
    assert!(error.contains("fast, momentum"), "{error}");
    // No reading changes a recipe that no item has.
    let specs: Vec<Spec> = crate::ITEMS.iter().map(|(name, _)| Spec::named(name).unwrap()).collect();
    for (name, reading) in &specs[0].readings {
        for recipe in reading.recipes.keys() {
            assert!(specs.iter().any(|spec| spec.recipes.contains_key(recipe)), "{name}: {recipe}");
        }
    }
}

#[test]
fn pairs_of_classes_make_as_many_steps_as_arms() {
    let plan = Plan::new(&[Spec::named("section-7").unwrap()], &request()).unwrap();
    let steps = |part: &str| -> Vec<usize> {
        let of = networks(&plan).filter(|(label, _)| label.contains(part));
        of.map(|(_, work)| work.data.len() / work.config.batch_size * work.config.epochs).collect()
    };
    let (pairs, arms) = (steps("one-vs-one pair"), steps("robin arm"));
    assert_eq!((pairs.len(), arms.len()), (45, 10));
    // To the nearest whole pass over a pair's images.
    let near = |steps: &usize| steps.abs_diff(arms[0]) * 2 <= arms[0] / 10;
    assert!(pairs.iter().all(near), "{pairs:?} against {}", arms[0]);
}

#[test]
fn a_network_trained_without_attacks_is_there_once_for_all_budgets() {
    let plan = night(&["figure-4"]);
    let standard =
        networks(&plan).filter(|(_, work)| work.config.method == (robin_training::Method::Standard {}));
    let against_attacks = networks(&plan).count() - standard.count();
    // Four counts and five orders, for two budgets and without attacks.
    assert_eq!((networks(&plan).count(), against_attacks), (60, 40));
}

#[test]
fn a_stage_tries_its_own_strategy_on_those_who_have_it() {
    let plan = night(&["table-1"]);
    let stages = |label: &str| -> Vec<Option<String>> {
        let cell = plan.cells.iter().find(|cell| cell.label == label).unwrap();
        let work = cell.work.evaluation().expect("it is evaluated");
        let then = &work.attack.as_ref().unwrap().then;
        then.iter().map(|stage| stage.strategy.map(|strategy| strategy.to_string())).collect()
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(stages("cifar10/myrtle/l2 multiclass strongest seed 0 softmax"), [None, None]);
    let robin = stages("cifar10/myrtle/l2 robin strongest seed 0 softmax");
    assert_eq!(robin, [None, None, named("best-arm"), named("top2")]);

    let nobodys = changed("strategy = \"top2\", loss", "strategy = \"highest-arm\", loss");
    let error = plan_of(&nobodys).unwrap_err().to_string();
    assert!(error.contains("no classifier is attacked with highest-arm"), "{error}");
}
