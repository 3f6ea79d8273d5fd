//! Which cells: the same for `reproduce` and `submit`.

use std::path::PathBuf;

use clap::Args;
use robin_experiments::{Error, ITEMS, Plan, Profile, Request, Spec};

use crate::device::DeviceArguments;
use crate::report::attack_images;
use robin_cli::list::{items_help, readings_help};

/// Items, and what of them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    #[arg(required = true, value_name = "ITEM", value_parser = item, help = items_help("Items of the paper, or `all`"))]
    items: Vec<String>,
    /// How much is done: smoke, quick, night or paper.
    #[arg(long, default_value_t = Profile::Smoke)]
    pub(crate) profile: Profile,
    /// Only rows (dataset/model/norm) that contain one of these, separated by commas.
    #[arg(long, value_name = "FILTER")]
    pub(crate) rows: Option<String>,
    /// Also what the paper has not got: baselines of equal budget, AutoAttack, recipe `strong`. `all` has them anyway.
    #[arg(long)]
    beyond: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[arg(long, value_name = "NAME", help = readings_help())]
    pub(crate) reading: Option<String>,
    /// Root seeds, separated by commas [default: the profile's].
    #[arg(long, value_delimiter = ',', value_name = "SEEDS")]
    pub(crate) seeds: Option<Vec<u64>>,
    /// Only the first N test images for an attack, fewer than the profile has; the table says so. May be repeated.
    #[arg(long, value_name = "ATTACK=N", value_parser = attack_images)]
    pub(crate) attack_images: Vec<(String, usize)>,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

fn item(name: &str) -> Result<String, Error> {
    match name {
        "all" => Ok(name.to_owned()),
        _ => Spec::named(name).map(|spec| spec.item),
    }
}

impl Selection {
    fn all(&self) -> bool {
        self.items.iter().any(|item| item == "all")
    }

    /// The items, each once.
    pub(crate) fn items(&self) -> Vec<&str> {
        if self.all() {
            return ITEMS.iter().map(|(name, _)| *name).collect();
        }
        let mut items: Vec<&str> = Vec::new();
        for item in self.items.iter().map(String::as_str) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        items
    }

    /// Whether what the paper has not got is asked for.
    pub(crate) fn beyond(&self) -> bool {
        self.beyond || self.all()
    }

    /// The plan of `items`.
    pub(crate) fn plan(&self, items: &[&str]) -> Result<Plan, Error> {
        let request = Request {
            profile: self.profile,
            rows: self.rows.clone(),
            beyond: self.beyond(),
            reading: self.reading.clone(),
            seeds: self.seeds.clone(),
            attack_images: self.attack_images.iter().cloned().collect(),
            device: self.device.device()?,
            data_dir: self.data_dir.clone(),
        };
        let specs = items.iter().map(|item| Spec::named(item)).collect::<Result<Vec<_>, _>>()?;
        Plan::new(&specs, &request)
    }
}
