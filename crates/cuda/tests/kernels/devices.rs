use robin_cuda::kernels::attack::{self, Ball};
use robin_cuda::kernels::driver::{Gpu, compile};
use robin_cuda::kernels::host::Host;
use robin_cuda::kernels::{Context, Error, Precision, Storage};

#[test]
fn buffers_are_used_again_and_a_full_memory_is_an_error() {
    let Some(host) = Host::with_limit(4096).unwrap() else { return };
    let context = Context::new(host, Precision::F32);
    let first = context.zeros::<f32>(256).unwrap();
    drop(first);
    let again = context.buffer::<f32>(256).unwrap();
    // What was given back is let go before memory is said to be full.
    drop(again);
    let large = context.buffer::<f32>(1024).unwrap();
    let error = context.buffer::<f32>(1).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { needed: 256, in_use: 4096, total: 4096, .. }), "{error}");
    drop(large);
}

#[test]
fn a_machine_without_a_gpu_says_what_is_missing() {
    // With a GPU this is a test that it opens.
    match Gpu::open(0) {
        Ok(_) => {}
        Err(error @ (Error::MissingLibrary { .. } | Error::NoDevice { .. })) => {
            let text = error.to_string();
            assert!(text.contains("driver") || text.contains("this machine has 0"), "{text}");
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn kernels_compile_for_gpus_where_nvrtc_is() {
    for storage in [Storage::F32, Storage::Bf16] {
        for capability in [80, 90] {
            match compile(storage, capability) {
                Ok(text) => {
                    let text = String::from_utf8(text).unwrap();
                    assert!(
                        text.contains(&format!(".target sm_{capability}"))
                            && text.contains(".entry step_linf")
                    );
                    assemble(&text, capability);
                }
                Err(Error::MissingLibrary { library, .. }) => {
                    println!("not tested: no {library} on this machine");
                    return;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// As a GPU: what is recorded is done when it is asked for again, and nothing may wait or need more memory meanwhile.
#[test]
fn work_is_recorded_and_done_again() {
    let Some(host) = Host::new().unwrap() else { return };
    let context = Context::new(host, Precision::F32).beside();
    let images = context.upload(&[0.5_f32; 8]).unwrap();
    let (clean, gradient) = (context.upload(&[0.5_f32; 8]).unwrap(), context.upload(&[1.0_f32; 8]).unwrap());
    let ball = Ball::L2 { epsilon: 1.0, step: 8.0_f64.sqrt() / 16.0 };
    let step = || attack::step(&context, ball, &images, &clean, &gradient, 8, None);
    step().unwrap();
    let recording = context.record(step).unwrap().unwrap();
    let close = |expected: f32| images.to_vec().unwrap().iter().all(|x| (x - expected).abs() < 1e-6);
    assert!(close(0.5625), "recording does nothing");
    for _ in 0..2 {
        // SAFETY: all its buffers are still there.
        unsafe { recording.replay() }.unwrap();
    }
    assert!(close(0.6875));
    let waiting = context.record(|| images.to_vec().map(|_| ())).unwrap_err().to_string();
    assert!(waiting.contains("work is being recorded"), "{waiting}");
    let more = context.record(|| context.buffer::<f32>(1 << 20).map(|_| ())).unwrap_err().to_string();
    assert!(more.contains("while work is recorded"), "{more}");
    step().unwrap();
    assert!(close(0.75), "the device goes on");
}

/// Makes machine code of PTX, where `ptxas` is.
fn assemble(text: &str, capability: usize) {
    let folder = std::env::temp_dir().join(format!("robin-ptx-{}-{capability}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("kernels.ptx");
    std::fs::write(&file, text.trim_end_matches('\0')).unwrap();
    let arguments = [format!("-arch=sm_{capability}"), "-o".to_owned(), "/dev/null".to_owned()];
    match std::process::Command::new("ptxas").args(arguments).arg(&file).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => println!("not assembled: no ptxas on this machine"),
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
