//! Seconds of one adversarial training step, measured on the training loop itself.

use anyhow::bail;
use clap::Args;
use robin_data::LabelMap;
use serde_json::Value;

use super::clock::seconds;
use super::model_under_test::ModelUnderTest;
use super::options::{Against, Options};
use super::output::{Unit, line, peak_rss_bytes, prepare, publish, summary};
use super::repeats::Repeats;
use super::{arms, pytorch};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench step --model cnn2 --width 16 --threads 1 --json\n  \
    cargo xtask bench step --model myrtle --arms 2 --threads 2")]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Images of a step
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// So many binary networks side by side, one per thread, against one of them on one thread
    #[arg(long, value_name = "K", conflicts_with = "against")]
    arms: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { options, batch, arms } = arguments;
    prepare(&options.output)?;
    let subject = ModelUnderTest::new(options, *batch)?;
    let repeats = Repeats { asked: options.repeat };
    let name = format!("step-{}-w{}-b{batch}-t{}", subject.model, subject.width, subject.threads)
        + &subject.on_device();
    let (suffix, mut result, text) = match (arms, options.against) {
        (Some(count), _) => {
            let (result, text) = arms::measure(&subject, *count, options.pairs, repeats)?;
            (format!("-arms{count}"), result, text)
        }
        (None, Some(Against::Torchattacks | Against::Pyautoattack)) => {
            bail!("--against takes pytorch here: packages of attacks do not train")
        }
        (None, Some(Against::Pytorch)) => {
            let (result, text) = pytorch::compare("step", options, &subject, &[], Unit::Step)?;
            ("-pytorch".to_owned(), result, text)
        }
        (None, None) => {
            let result = measure(&subject, repeats)?;
            let text =
                line(&format!("{} on {}", subject.model, subject.executor.name()), Unit::Step, &result);
            (String::new(), result, text)
        }
    };
    result["settings"] = subject.settings();
    publish(&options.output, &(name + &suffix), result, &text)
}

fn measure(subject: &ModelUnderTest, repeats: Repeats) -> anyhow::Result<Value> {
    let labels = LabelMap::Identity;
    let (graph, parameters) = subject.network(&labels, 0)?;
    let mut network = subject.executor.network(&graph, parameters)?;
    let seconds = subject.pool()?.install(|| seconds(&mut *network, &labels, subject, repeats))?;
    Ok(summary(Unit::Step, &seconds, subject.batch, peak_rss_bytes()))
}
