//! Graphs that no model has, on this processor as the device against `candle`: every kernel, and all that is asked of a GPU, but
//! cuBLAS and cuDNN.

mod processor;

use robin_cuda::{Cuda, Precision};
use robin_nn::graph::Rounding;
use robin_nn::{Executor, Graph};
use robin_testkit::graphs::{assert_agrees, at_the_images, branches, finish, odd_sequences, random};

use processor::as_device;

fn agree_with_the_reference(graphs: impl IntoIterator<Item = Graph>) {
    let Some(host) = as_device() else { return };
    let cuda = Cuda::on(host, Precision::F32);
    graphs.into_iter().for_each(|graph| assert_agrees(&cuda, &graph));
}

#[test]
fn whatever_is_done_to_the_images_agrees_with_the_reference() {
    agree_with_the_reference(at_the_images());
}

#[test]
fn odd_sequences_agree_with_the_reference() {
    agree_with_the_reference(odd_sequences());
}

#[test]
fn branches_agree_with_the_reference() {
    agree_with_the_reference(branches());
}

#[test]
fn random_graphs_agree_with_the_reference() {
    agree_with_the_reference((0..30).map(random));
}

#[test]
fn what_it_does_not_run_is_refused_by_name() {
    let Some(host) = as_device() else { return };
    let begin = || Graph::builder("refused", [2, 4, 4]);
    for (graph, layer) in [
        (begin().silu(), "silu"),
        (begin().group_norm("norm", 2), "norm"),
        (begin().round(Rounding::Nearest), "round"),
    ] {
        let error = Cuda::on(host.clone(), Precision::F32).supports(&finish(graph)).unwrap_err().to_string();
        assert!(error.contains("the executor cuda-") && error.contains(layer), "{error}");
    }
}
