//! A distribution of times, which can be sent to another process and added to another.

use hdrhistogram::Histogram;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest time, in microseconds: a minute. What took longer counts as that.
const US_MAX: u64 = 60_000_000;
/// Digits that are kept of a run's times.
const DIGITS: u8 = 3;
/// Digits that are kept of one second's times, of which there may be thousands.
const DIGITS_COARSE: u8 = 2;

/// Times in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Times(Histogram<u64>);

/// Times that are recorded much more often than they are asked for: by the same steps as those of
/// [`Times`], without what else a histogram keeps.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Box<[u32]>);

/// Steps between a time and its double, as a power of two: three decimal digits.
const STEP_BITS: u32 = 10;

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(vec![0; step(US_MAX) + 1].into_boxed_slice())
    }

    /// One more.
    #[inline]
    pub(crate) fn record_us(&mut self, us: u64) {
        let count = &mut self.0[step(us.min(US_MAX))];
        *count = count.saturating_add(1);
    }

    /// Moves all to others.
    pub(crate) fn move_to(&mut self, all: &mut [&mut Times]) {
        for (step, count) in self.0.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            for times in &mut *all {
                times.record_all_us(time_of(step), u64::from(*count));
            }
            *count = 0;
        }
    }
}

/// The step of a time: below two kilosteps its own, above one of a thousand for each doubling.
#[inline]
fn step(us: u64) -> usize {
    let low = (2 << STEP_BITS) - 1;
    let shift = u64::BITS - (us | low).leading_zeros() - (STEP_BITS + 1);
    ((shift as usize) << STEP_BITS) + (us >> shift) as usize
}

/// The lowest time of a step.
fn time_of(step: usize) -> u64 {
    let shift = (step >> STEP_BITS).saturating_sub(1);
    ((step - (shift << STEP_BITS)) as u64) << shift
}

/// What people ask of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

/// The form in which times travel: the digits, and each value with how often it came.
#[derive(Serialize, Deserialize)]
struct Packed(u8, Vec<(u64, u64)>);

impl Times {
    /// None yet; three digits are kept, for a whole run.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, US_MAX, DIGITS).expect("the bounds are in order"))
    }

    /// None yet; two digits are kept and memory grows with the longest, for one of many seconds.
    pub(crate) fn coarse() -> Self {
        Self(Histogram::new(DIGITS_COARSE).expect("so many digits are possible"))
    }

    /// One more.
    pub(crate) fn record_us(&mut self, us: u64) {
        let recorded = self.0.record(us.min(US_MAX));
        debug_assert!(recorded.is_ok(), "{recorded:?}");
    }

    /// So many more of a time that is at most the longest.
    fn record_all_us(&mut self, us: u64, count: u64) {
        let recorded = self.0.record_n(us, count);
        debug_assert!(recorded.is_ok(), "{recorded:?}");
    }

    /// All of another's.
    pub(crate) fn add(&mut self, other: &Self) {
        // A histogram that does not grow takes whatever another holds: nothing is above the bound.
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok(), "{added:?}");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this part of all, from 0 to 1, does not exceed; 0 of none.
    pub(crate) fn at_us(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.0.len(),
            p50_us: self.at_us(0.5),
            p90_us: self.at_us(0.9),
            p99_us: self.at_us(0.99),
            p999_us: self.at_us(0.999),
            max_us: self.0.max(),
        }
    }

    /// For those who draw it.
    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.0.iter_recorded().map(|step| {
            let value = step.value_iterated_to();
            (value, step.count_at_value())
        });
        Packed(self.0.sigfig(), counts.collect()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Packed(digits, counts) = Packed::deserialize(deserializer)?;
        let mut times = if digits == DIGITS { Self::new() } else { Self::coarse() };
        for (value, count) in counts {
            // A value is the highest of its step, and the last step is around the longest time.
            times.0.record_n(value.min(US_MAX), count).map_err(D::Error::custom)?;
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_out(mut times: Times) -> Times {
        for number in 0..10_000_u64 {
            times.record_us(number * number % 3_000_017);
        }
        times.record_us(u64::MAX);
        times
    }

    #[test]
    fn times_travel_without_loss() {
        for times in [spread_out(Times::new()), spread_out(Times::coarse()), Times::new()] {
            let text = serde_json::to_string(&times).unwrap();
            let back: Times = serde_json::from_str(&text).unwrap();
            assert_eq!(back.percentiles(), times.percentiles());
            assert_eq!(serde_json::to_string(&back).unwrap(), text);
        }
    }

    #[test]
    fn recorded_times_are_what_a_histogram_would_have() {
        let (mut recorder, mut direct) = (Recorder::new(), Times::new());
        let mut us = 0;
        while us < 3 * US_MAX {
            recorder.record_us(us);
            direct.record_us(us);
            us += 1 + us / 700;
        }
        let (mut moved, mut coarse) = (Times::new(), Times::coarse());
        recorder.move_to(&mut [&mut moved, &mut coarse]);
        assert_eq!(serde_json::to_string(&moved).unwrap(), serde_json::to_string(&direct).unwrap());
        assert_eq!(coarse.count(), direct.count());
        recorder.move_to(&mut [&mut moved]);
        assert_eq!(moved.count(), direct.count(), "none is left");
    }

    #[test]
    fn coarse_times_add_to_fine_ones_and_to_coarse_ones() {
        for mut sum in [Times::new(), Times::coarse()] {
            sum.record_us(5);
            sum.add(&spread_out(Times::coarse()));
            assert_eq!(sum.count(), 10_002);
            assert!(sum.percentiles().max_us >= US_MAX / 100 * 99);
        }
        assert_eq!(Times::new().percentiles(), Percentiles::default());
    }
}
