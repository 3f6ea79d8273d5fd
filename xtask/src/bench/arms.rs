//! Binary networks side by side, one per thread, as a table trains the arms of an aggregate.

use anyhow::ensure;
use robin_data::LabelMap;
use serde_json::{Value, json};

use super::output::{Unit, line, peak_rss_bytes, summary};
use super::repeats::Repeats;
use super::step::seconds;
use super::subject::Subject;

/// Measures one arm on one thread, `count` arms on all threads, and the one again, because the machine may have
/// changed meanwhile; the ratio is that of the throughputs, against the better of the two lone ones.
pub(super) fn measure(subject: &Subject, count: usize, repeats: Repeats) -> anyhow::Result<(Value, String)> {
    let threads = subject.threads;
    ensure!(
        (1..=threads).contains(&count),
        "--arms is {count}, it must be from 1 to {threads}: each needs a thread of its own"
    );
    let before = side_by_side(subject, 1, 1, repeats)?.remove(0);
    let together = side_by_side(subject, count, threads, repeats)?;
    let after = side_by_side(subject, 1, 1, repeats)?.remove(0);
    let throughput = |result: &Value| result["images_per_second"].as_f64().unwrap_or(f64::NAN);
    let alone = throughput(&before).max(throughput(&after));
    let ratio = together.iter().map(throughput).sum::<f64>() / alone;
    let mut text = vec![line("one arm on one thread", Unit::Step, &before)];
    for (arm, result) in together.iter().enumerate() {
        text.push(line(&format!("arm {} of {count} on {threads} threads", arm + 1), Unit::Step, result));
    }
    text.push(line("one arm on one thread", Unit::Step, &after));
    text.push(format!("{count} arms on {threads} threads: {ratio:.2} times the throughput of one on one"));
    Ok((json!({ "alone": [before, after], "together": together, "ratio": ratio }), text.join("\n")))
}

/// Trains `count` arms, each on a thread of its own of `threads`.
fn side_by_side(
    subject: &Subject,
    count: usize,
    threads: usize,
    repeats: Repeats,
) -> anyhow::Result<Vec<Value>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let found = pool.broadcast(|thread| {
        (thread.index() < count).then(|| -> anyhow::Result<Vec<f64>> {
            let class = (thread.index() % subject.data.num_classes()) as u32;
            let labels = LabelMap::OneVsAll { class };
            let (graph, parameters) = subject.network(&labels, u64::from(class) + 1)?;
            let mut network = subject.executor.network(&graph, parameters)?;
            seconds(&mut *network, &labels, subject, repeats)
        })
    });
    let all = found.into_iter().flatten();
    all.map(|seconds| Ok(summary(Unit::Step, &seconds?, subject.batch, peak_rss_bytes()))).collect()
}
