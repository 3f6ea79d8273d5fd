//! What a network is for, in its weight file: so that no place in a list and no file name has to say it.
//!
//! Whoever writes weights (`train`, `reproduce`, `export`) puts a [`Role`] into the file's metadata; whoever reads several
//! sorts and checks them by it. Hashes in records are those of the file without it, as they always were.

use robin_data::{Groups, LabelMap};
use robin_training::Outputs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::key::{Key, sha256};
use crate::spec::Normalize;
use crate::{Error, Result};

const FORMAT: &str = "robin-network/1";

/// Everything about a network that its tensors do not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Architecture.
    pub model: String,
    /// Channels of its first convolution.
    pub width: usize,
    /// Images `[c, h, w]` that it takes.
    pub input: [usize; 3],
    /// How many outputs it has.
    pub outputs: usize,
    /// What they are.
    pub scores: Outputs,
    /// What it tells apart: the class of an arm, the classes of a pair, a stage's groups.
    pub labels: LabelMap,
    /// What its first layer does; `None` = nothing.
    pub normalize: Option<Normalize>,
    /// What it was trained on, by name.
    pub dataset: String,
    /// Its number under the root seed; tells the members of an ensemble apart.
    pub number: u64,
    /// Hash of the settings that the networks of one classifier share.
    pub training: Key,
    /// Which of its weights these are.
    pub epoch: Epoch,
}

/// Which of a network's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Epoch {
    /// After the last epoch.
    Last,
    /// Of the epoch that held-out images chose.
    Best,
}

/// As it stands in the file: with a hash of its own, because those of records leave it out.
#[derive(Serialize, Deserialize)]
struct Sealed {
    format: String,
    role: Value,
    sha256: String,
}

impl Role {
    /// The role of the network with these settings, as its record has them; `None` if they are not a network's.
    pub fn of(settings: &Value, epoch: Epoch) -> Option<Self> {
        let read = |place: &str| settings.pointer(place).cloned().unwrap_or_default();
        let mut training = read("/training");
        let scores = training.get("outputs").cloned();
        if let Some(fields) = training.as_object_mut() {
            // How many are held out depends on how many there are, which differs between the stages of a hierarchy.
            fields.shift_remove("validation");
        }
        let shared = json!({
            "model": [read("/model/name"), read("/model/width"), read("/model/normalize")],
            "training": training,
            "root": read("/seed/root"),
        });
        Some(Self {
            model: read("/model/name").as_str()?.to_owned(),
            width: usize::try_from(read("/model/width").as_u64()?).ok()?,
            input: serde_json::from_value(read("/model/input")).ok()?,
            outputs: usize::try_from(read("/model/outputs").as_u64()?).ok()?,
            scores: scores.map_or(Some(Outputs::Classes), |scores| serde_json::from_value(scores).ok())?,
            labels: serde_json::from_value(read("/labels")).ok()?,
            normalize: serde_json::from_value(read("/model/normalize")).ok()?,
            dataset: read("/data/name").as_str()?.to_owned(),
            number: read("/seed/network").as_u64()?,
            training: Key::of(&shared),
            epoch,
        })
    }

    /// The role in the weight file `bytes`, if it has one; `file` names it in messages.
    ///
    /// # Errors
    /// [`Error::Work`] if it is no safetensors file, [`Error::Unfit`] if its role is damaged or of a later version.
    pub fn read(bytes: &[u8], file: &str) -> Result<Option<Self>> {
        let Some(text) = robin_nn::note(bytes, file).map_err(Error::work("reading the weights"))? else {
            return Ok(None);
        };
        match unsealed(&text) {
            Ok(role) => Ok(Some(role)),
            Err(reason) => Err(Error::Unfit {
                option: "--weights",
                given: file.to_owned(),
                reason: format!("what it says about its network cannot be read ({reason})"),
            }),
        }
    }

    /// The weight file `bytes` with this role.
    ///
    /// # Errors
    /// [`Error::Work`] if it is no safetensors file.
    pub fn written_into(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let json = |source| Error::Json { what: "a network's role", source };
        let role = serde_json::to_value(self).map_err(json)?;
        let sealed = Sealed { format: FORMAT.to_owned(), sha256: sha256(role.to_string().as_bytes()), role };
        let text = serde_json::to_string(&sealed).map_err(json)?;
        robin_nn::with_note(bytes, &text, "weights in memory").map_err(Error::work("writing the weights"))
    }

    /// In words, for messages: `arm 3 of one-vs-all`.
    pub fn what(&self) -> String {
        what(&self.labels, self.scores)
    }
}

/// What a network for `labels` with such outputs is called.
pub(crate) fn what(labels: &LabelMap, scores: Outputs) -> String {
    let split = |groups: &Groups| match groups {
        Groups::AnimalsObjects => "hierarchical:animals-objects",
        Groups::First5Last5 => "hierarchical:first5-last5",
    };
    match (labels, scores) {
        (LabelMap::Identity, Outputs::Classes) => "a multiclass network".to_owned(),
        (LabelMap::Identity, Outputs::OneVsAll) => "the network of shared-trunk".to_owned(),
        (LabelMap::OneVsAll { class }, _) => format!("arm {class} of one-vs-all"),
        (LabelMap::OneVsOne { a, b }, _) if b < a => format!("pair {b}-{a} of one-vs-one"),
        (LabelMap::OneVsOne { a, b }, _) => format!("pair {a}-{b} the other way around"),
        (LabelMap::Other { classes, .. }, _) => {
            format!("a network for {classes} labels in an order of their own, as other:{classes} trains it")
        }
        (LabelMap::Coarse { groups }, _) => format!("the coarse network of {}", split(groups)),
        (LabelMap::Fine { groups, group }, _) => format!("fine network {group} of {}", split(groups)),
    }
}

/// The SHA-256 that records have of the weight file `bytes`: without its role, if it has one that is whole; a file that was
/// touched, or that comes from elsewhere, is hashed as it is.
pub fn weights_sha256(bytes: &[u8]) -> String {
    match Role::read(bytes, "").ok().flatten().and_then(|_| robin_nn::without_note(bytes)) {
        Some(plain) => sha256(&plain),
        None => sha256(bytes),
    }
}

/// `bytes`, and the role that a record's `settings` give them.
pub(crate) fn with_role(bytes: &[u8], settings: &Value, epoch: Epoch) -> Result<Vec<u8>> {
    match Role::of(settings, epoch) {
        Some(role) => role.written_into(bytes),
        None => Ok(bytes.to_vec()),
    }
}

fn unsealed(text: &str) -> Result<Role, String> {
    let sealed: Sealed = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if sealed.format != FORMAT {
        return Err(format!("format {:?}, this program knows {FORMAT}", sealed.format));
    }
    let found = sha256(sealed.role.to_string().as_bytes());
    if found != sealed.sha256 {
        return Err(format!("SHA-256 of it: expected {}, found {found}", sealed.sha256));
    }
    serde_json::from_value(sealed.role).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use robin_core::Seed;
    use robin_nn::Parameters;

    use super::*;

    fn settings() -> Value {
        json!({
            "kind": "network",
            "model": { "name": "cnn2-small", "width": 4, "input": [1, 28, 28], "outputs": 2,
                       "normalize": { "mean": [0.1307], "std": [0.3081] } },
            "data": { "name": "mnist" },
            "labels": { "name": "one-vs-all", "class": 3 },
            "training": { "epochs": 1, "validation": { "images": 20 } },
            "seed": { "root": 7, "network": 4 },
        })
    }

    fn weights() -> Vec<u8> {
        let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], 2).unwrap();
        Parameters::initialise(&graph, Seed::new(1)).to_safetensors().unwrap()
    }

    #[test]
    fn a_role_comes_back_and_hashes_do_not_see_it() {
        let plain = weights();
        assert_eq!(Role::read(&plain, "w").unwrap(), None);
        assert_eq!(weights_sha256(&plain), sha256(&plain), "a file without one is what it always was");
        let role = Role::of(&settings(), Epoch::Best).unwrap();
        assert_eq!((role.what().as_str(), role.number), ("arm 3 of one-vs-all", 4));
        let file = role.written_into(&plain).unwrap();
        assert_ne!(file, plain);
        assert_eq!(Role::read(&file, "w").unwrap().unwrap(), role);
        assert_eq!(weights_sha256(&file), sha256(&plain));
        assert_eq!(with_role(&plain, &settings(), Epoch::Best).unwrap(), file);
        assert_eq!(with_role(&plain, &json!({ "kind": "other" }), Epoch::Last).unwrap(), plain);
    }

    #[test]
    fn no_touched_byte_of_a_file_goes_unseen() {
        let plain = weights();
        let file = Role::of(&settings(), Epoch::Last).unwrap().written_into(&plain).unwrap();
        // The header whole, the tensors here and there.
        let header = file.len() - (plain.len() - 8);
        for at in (0..header + 2000).chain((header + 2000..file.len()).step_by(997)) {
            let mut touched = file.clone();
            touched[at] ^= 1;
            assert_ne!(weights_sha256(&touched), sha256(&plain), "byte {at}");
        }
        let class = b"\\\"class\\\":";
        let at = file.windows(class.len()).position(|part| part == class).unwrap() + class.len();
        let mut another = file.clone();
        another[at] = b'4';
        let message = Role::read(&another, "arm.safetensors").unwrap_err().to_string();
        assert!(message.contains("arm.safetensors") && message.contains("SHA-256"), "{message}");
    }

    #[test]
    fn networks_of_one_classifier_share_their_training() {
        let training = |change: &dyn Fn(&mut Value)| {
            let mut settings = settings();
            change(&mut settings);
            Role::of(&settings, Epoch::Last).unwrap().training
        };
        let base = training(&|_| ());
        assert_eq!(training(&|s| s["labels"]["class"] = json!(5)), base);
        assert_eq!(training(&|s| s["seed"]["network"] = json!(6)), base);
        assert_ne!(training(&|s| s["seed"]["root"] = json!(8)), base);
        assert_ne!(training(&|s| s["training"]["epochs"] = json!(2)), base);
    }
}
