//! Whether a convolution and its rectifier are one call or two: tried on the first operands of each size. The one call is taken
//! where it is quicker and was seen to compute the same, also over what lay in its output before, and with a bias that is no number.

use std::time::Instant;

use super::super::algorithms::Trial;
use super::super::device::Address;
use super::super::{Device, Error, Plain, Precision, Result};

/// How both are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Way {
    /// First the convolution, then our kernel.
    Apart,
    /// In one call, told to keep what is no number or not: some engines know one of these only.
    Together {
        /// Whether it is told so.
        keeps_nan: bool,
    },
}

/// Calls of each way before those that count, and that count.
const CALLS: [usize; 2] = [2, 10];

/// Both ways on the same operands.
pub(super) struct Rehearsal<'a> {
    pub(super) device: &'a dyn Device,
    pub(super) precision: Precision,
    /// f32 values, and how many.
    pub(super) output: (Address, usize),
    /// f32 values, one for each channel, and how many.
    pub(super) bias: (Address, usize),
    pub(super) apart: &'a dyn Fn() -> Result<()>,
    /// With the bias at this address, told to keep what is no number or not.
    pub(super) together: &'a dyn Fn(Address, bool) -> Result<()>,
}

impl Rehearsal<'_> {
    /// All ways, and what they took: on the device, and to ask it. The output is anything afterwards.
    pub(super) fn trials(&self) -> Result<Vec<Trial<Way>>> {
        let trial = |algorithm, time| Trial { algorithm, time, workspace: 0, repeatable: true };
        // The first wins where two take as long.
        let mut trials = vec![trial(Way::Apart, Ok(self.measured(self.apart)?))];
        for keeps_nan in [true, false] {
            let time = match self.objection(keeps_nan)? {
                Some(reason) => Err(reason),
                None => Ok(self.measured(&|| (self.together)(self.bias.0, keeps_nan))?),
            };
            trials.push(trial(Way::Together { keeps_nan }, time));
        }
        tracing::debug!(?trials, "milliseconds of a convolution with its rectifier");
        Ok(trials)
    }

    /// What speaks against the one call, if anything does.
    fn objection(&self, keeps_nan: bool) -> Result<Option<String>> {
        let together = |bias| (self.together)(bias, keeps_nan);
        (self.apart)()?;
        let expected = self.read(self.output)?;
        self.write(&vec![f32::NAN; expected.len()], self.output.0)?;
        match together(self.bias.0) {
            Err(Error::Call { library: "cuDNN", reason, .. }) => return Ok(Some(reason)),
            called => called?,
        }
        if !agree(&expected, &self.read(self.output)?, self.precision) {
            return Ok(Some("its values are others".to_owned()));
        }
        let mut bias = self.read(self.bias)?;
        bias[0] = f32::NAN;
        let Some(broken) = self.device.allocate(size_of_val(&*bias))? else {
            return Ok(Some("there is no room to try it".to_owned()));
        };
        let found =
            self.write(&bias, broken).and_then(|()| together(broken)).and_then(|()| self.read(self.output));
        // SAFETY: it was allocated above, and is read no more once the output was.
        unsafe { self.device.release(broken) };
        let hidden = found?.chunks(bias.len()).any(|pixel| !pixel[0].is_nan());
        Ok(hidden.then(|| "it hides what is no number".to_owned()))
    }

    fn measured(&self, call: &dyn Fn() -> Result<()>) -> Result<f32> {
        let [before, counting] = CALLS;
        (0..before).try_for_each(|_| call())?;
        self.device.synchronize()?;
        let start = Instant::now();
        (0..counting).try_for_each(|_| call())?;
        self.device.synchronize()?;
        Ok(start.elapsed().as_secs_f32() * 1e3 / counting as f32)
    }

    fn read(&self, (from, len): (Address, usize)) -> Result<Vec<f32>> {
        let mut values = vec![0.0; len];
        // SAFETY: whoever made this said that there are so many.
        unsafe { self.device.download(from, f32::as_bytes_mut(&mut values)) }?;
        Ok(values)
    }

    fn write(&self, values: &[f32], to: Address) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.device.upload(f32::as_bytes(values), to) }
    }
}

/// Whether both are the same up to the order of sums, and in TF32 up to what it rounds away.
fn agree(expected: &[f32], found: &[f32], precision: Precision) -> bool {
    let finite = expected.iter().filter(|value| value.is_finite());
    let largest = finite.fold(0.0_f32, |most, value| most.max(value.abs()));
    let tolerance = largest * if precision == Precision::F32 { 1e-4 } else { 1e-2 };
    expected
        .iter()
        .zip(found)
        .all(|(a, b)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance)
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::super::super::algorithms::{AlgorithmCache, Selection};
    use super::super::super::host::Host;
    use super::*;

    const CHANNELS: usize = 8;
    const VALUES: usize = 2 * CHANNELS;

    fn refusal(reason: &str) -> Error {
        let call = "cudnnConvolutionBiasActivationForward";
        Error::Call { library: "cuDNN", call, reason: reason.to_owned(), in_use: 0 }
    }

    /// What the one call makes of `value + bias`, told to keep what is no number or not.
    type Make<'a> = &'a dyn Fn(f32, bool) -> Result<f32>;

    /// What is chosen if the calls take so long, and the one call makes `make` of all values from `from` on.
    fn chosen([apart, together]: [u64; 2], make: Make<'_>, from: usize) -> Result<Option<Way>> {
        let Some(host) = Host::new()? else { return Ok(None) };
        let [output, bias] = [(); 2].map(|()| host.allocate(4 * VALUES).unwrap().unwrap());
        let sums = |bias: Address| -> Result<Vec<f32>> {
            let mut values = vec![0.0; CHANNELS];
            // SAFETY: so many were allocated.
            unsafe { host.download(bias, f32::as_bytes_mut(&mut values)) }?;
            Ok((0..VALUES).map(|at| at as f32 - 5.0 + values[at % CHANNELS]).collect())
        };
        let put = |values: &[f32], from: usize| {
            // SAFETY: as above.
            unsafe { host.upload(f32::as_bytes(&values[from..]), output + 4 * from as u64) }
        };
        // SAFETY: as above.
        unsafe { host.upload(f32::as_bytes(&[0.5_f32; CHANNELS]), bias) }?;
        let rectified = |x: f32| if x <= 0.0 { 0.0 } else { x };
        let apart = || {
            sleep(Duration::from_millis(apart));
            let values: Vec<f32> = sums(bias)?.into_iter().map(rectified).collect();
            put(&values, 0)
        };
        let together = |bias: Address, keeps_nan: bool| {
            sleep(Duration::from_millis(together));
            let values = sums(bias)?.into_iter().map(|x| make(x, keeps_nan)).collect::<Result<Vec<f32>>>()?;
            put(&values, from)
        };
        let rehearsal = Rehearsal {
            device: &*host,
            precision: Precision::F32,
            output: (output, VALUES),
            bias: (bias, CHANNELS),
            apart: &apart,
            together: &together,
        };
        let cache: AlgorithmCache<u8, Way> = AlgorithmCache::default();
        let chosen = cache.choose(&0, Selection::Fastest, 0, || rehearsal.trials());
        for address in [output, bias] {
            // SAFETY: nobody reads it any more.
            unsafe { host.release(address) };
        }
        Ok(Some(chosen?.algorithm))
    }

    fn right(x: f32, _keeps_nan: bool) -> Result<f32> {
        Ok(if x <= 0.0 { 0.0 } else { x })
    }

    #[test]
    fn the_quicker_way_is_taken() {
        for apart in [0, 9] {
            let found = chosen([apart, 3], &right, 0).unwrap();
            assert!(found.is_none_or(|way| (way == Way::Apart) == (apart == 0)), "{apart}: {found:?}");
        }
    }

    #[test]
    fn one_call_that_is_refused_or_wrong_is_not_taken_however_quick() {
        let wrong: [(&str, Make<'_>, usize); 4] = [
            ("refused", &|_, _| Err(refusal("CUDNN_STATUS_NOT_SUPPORTED")), 0),
            ("no rectifier", &|x, _| Ok(x), 0),
            ("hides what is no number", &|x, _| Ok(x.max(0.0)), 0),
            ("leaves what was there", &right, 1),
        ];
        for (what, make, from) in wrong {
            let found = chosen([4, 0], make, from).unwrap();
            assert!(found.is_none_or(|way| way == Way::Apart), "{what}");
        }
    }

    #[test]
    fn an_engine_that_knows_one_rule_for_what_is_no_number_is_taken_with_it() {
        let strict: Make<'_> =
            &|x, keeps_nan| if keeps_nan { Err(refusal("BAD_PARAM")) } else { right(x, false) };
        let found = chosen([4, 0], strict, 0).unwrap();
        assert!(found.is_none_or(|way| way == Way::Together { keeps_nan: false }), "{found:?}");
    }

    #[test]
    fn a_device_that_fails_is_no_refusal() {
        let lost = |_, _| {
            let reason = "CUDA_ERROR_ILLEGAL_ADDRESS".to_owned();
            Err(Error::Call { library: "the driver", call: "cuLaunchKernel", reason, in_use: 0 })
        };
        assert!(!matches!(chosen([0, 0], &lost, 0), Ok(Some(_))));
    }

    #[test]
    fn only_the_order_of_sums_may_differ() {
        let [a, b] = [[1.0, f32::NAN, f32::INFINITY, 0.0], [1.00005, f32::NAN, f32::INFINITY, 0.0]];
        assert!(agree(&a, &b, Precision::F32));
        assert!(!agree(&a, &[1.001, f32::NAN, f32::INFINITY, 0.0], Precision::F32));
        assert!(agree(&a, &[1.001, f32::NAN, f32::INFINITY, 0.0], Precision::Tf32));
        assert!(!agree(&a, &[1.0, 0.0, f32::INFINITY, 0.0], Precision::F32));
        assert!(!agree(&a, &[1.0, f32::NAN, 0.0, 0.0], Precision::F32));
        assert!(!agree(&a, &[1.0, f32::NAN, f32::INFINITY, f32::NAN], Precision::F32));
    }
}
