//! Binary networks side by side, one per thread, as a table trains the arms of an aggregate.

use anyhow::ensure;
use robin_core::occupancy::Occupancy;
use robin_data::LabelMap;
use serde_json::{Value, json};

use super::clock::seconds;
use super::model_under_test::ModelUnderTest;
use super::output::{Unit, line, peak_rss_bytes, summary};
use super::pytorch::median;
use super::repeats::Repeats;

/// Measures `count` arms on all threads `pairs` times, before each and after the last of them one arm on one thread. A ratio is that
/// of the throughputs, against the mean of the two lone ones around it: a machine that becomes slower or faster on the way does not count.
pub(super) fn measure(
    subject: &ModelUnderTest,
    count: usize,
    pairs: usize,
    repeats: Repeats,
) -> anyhow::Result<(Value, String)> {
    let threads = subject.threads;
    ensure!(
        (1..=threads).contains(&count),
        "--arms is {count}, it must be from 1 to {threads}: each needs a thread of its own"
    );
    let throughput = |result: &Value| result["images_per_second"].as_f64().unwrap_or(f64::NAN);
    let one = || anyhow::Ok(side_by_side(subject, 1, 1, repeats)?.remove(0));
    let describe = |result: &Value| line("one arm on one thread", Unit::Step, result);
    let mut alone = vec![one()?];
    let mut text = vec![describe(&alone[0])];
    let (mut together, mut ratios) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let results = side_by_side(subject, count, threads, repeats)?;
        alone.push(one()?);
        let lone = (throughput(&alone[pair]) + throughput(&alone[pair + 1])) / 2.0;
        let ratio = results.iter().map(throughput).sum::<f64>() / lone;
        for (arm, result) in results.iter().enumerate() {
            let which = format!("arm {} of {count} on {threads} threads", arm + 1);
            text.push(line(&which, Unit::Step, result));
        }
        text.push(describe(&alone[pair + 1]));
        text.push(format!("pair {}: {ratio:.2} times the throughput of one arm on one thread", pair + 1));
        together.push(results);
        ratios.push(ratio);
    }
    let ratio = median(&mut ratios.clone());
    text.push(format!("median of {pairs} pairs: {ratio:.2}"));
    let result = json!({ "alone": alone, "together": together, "ratios": ratios, "ratio": ratio });
    Ok((result, text.join("\n")))
}

/// Trains `count` arms, each on a thread of its own of `threads`.
fn side_by_side(
    subject: &ModelUnderTest,
    count: usize,
    threads: usize,
    repeats: Repeats,
) -> anyhow::Result<Vec<Value>> {
    let pool = robin_experiments::threads::pool(Some(threads))?;
    let occupancy = Occupancy::new(threads);
    let found = pool.broadcast(|thread| {
        occupancy.enter();
        let arm = || -> anyhow::Result<Vec<f64>> {
            let class = (thread.index() % subject.data.num_classes()) as u32;
            let labels = LabelMap::OneVsAll { class };
            let (graph, parameters) = subject.network(&labels, u64::from(class) + 1)?;
            let mut network = subject.executor.network(&graph, parameters)?;
            seconds(&mut *network, &labels, subject, repeats)
        };
        (thread.index() < count).then(|| occupancy.work(arm))
    });
    let all = found.into_iter().flatten();
    all.map(|seconds| Ok(summary(Unit::Step, &seconds?, subject.batch, peak_rss_bytes()))).collect()
}
