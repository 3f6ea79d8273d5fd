//! What happens when there is no room.

use anyhow::bail;
use robin_cuda::kernels::Error;

use super::model_under_test::ModelUnderTest;
use super::report::Finding;

/// Bytes that no device has.
const TOO_MANY: usize = 1 << 46;

pub(super) fn check(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (precision, cuda) in subject.executors() {
        let context = cuda.context()?;
        let kept = context.upload(&[1.0_f32, 2.0])?;
        match context.buffer::<u8>(TOO_MANY) {
            Err(Error::OutOfMemory { needed, .. }) if needed >= TOO_MANY => {}
            Err(other) => bail!("{precision}: another error: {other}"),
            Ok(_) => bail!("{precision}: {TOO_MANY} bytes were found"),
        }
        // The device goes on.
        let off = kept.to_vec()?.iter().zip([1.0, 2.0]).filter(|(a, b)| **a != *b).count();
        findings.push(Finding {
            what: format!("values lost in {precision}"),
            found: off as f64,
            allowed: 0.0,
        });
    }
    Ok(findings)
}
