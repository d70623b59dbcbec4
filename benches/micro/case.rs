//! One thing that is measured: how it is counted and how it is timed.

use crate::ALLOCATOR;
use criterion::{Criterion, Throughput};
use stats_alloc::Region;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How often a case is done before anything is counted, so that buffers have the size that they keep.
const WARM_UP: u32 = 300;
/// How often it is done while its allocations are counted.
const COUNTED: u32 = 200;

/// One thing that is measured.
pub(crate) struct Case {
    group: &'static str,
    name: &'static str,
    /// What the work is counted in, and how many of them one time is.
    unit: &'static str,
    units: u64,
    allowed: Allowed,
    work: Box<dyn Work>,
}

/// Allocations that one time may take.
#[derive(Clone, Copy, Debug)]
enum Allowed {
    Any,
    Exactly(u64),
    AtMost(u64),
}

/// Allocations of one time: whole ones, because what grows now and then is rounded up to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
}

/// What is done each time, and what is done before it that does not count.
trait Work {
    /// Whether there is something to prepare.
    fn is_prepared(&self) -> bool;
    fn prepare(&mut self);
    fn run(&mut self);
}

struct Plain<F>(F);

impl<T, F: FnMut() -> T> Work for Plain<F> {
    fn is_prepared(&self) -> bool {
        false
    }

    fn prepare(&mut self) {}

    fn run(&mut self) {
        black_box((self.0)());
    }
}

struct Prepared<S> {
    state: S,
    prepare: fn(&mut S),
    run: fn(&mut S),
}

impl<S> Work for Prepared<S> {
    fn is_prepared(&self) -> bool {
        true
    }

    fn prepare(&mut self) {
        (self.prepare)(&mut self.state);
    }

    fn run(&mut self) {
        (self.run)(black_box(&mut self.state));
    }
}

impl Case {
    /// Something that can be done again and again.
    pub(crate) fn new<T>(
        (group, name): (&'static str, &'static str),
        work: impl FnMut() -> T + 'static,
    ) -> Self {
        Self::of(group, name, Box::new(Plain(work)))
    }

    /// Something that is prepared each time; preparing is neither counted nor timed.
    pub(crate) fn prepared<S: 'static>(
        (group, name): (&'static str, &'static str),
        state: S,
        prepare: fn(&mut S),
        run: fn(&mut S),
    ) -> Self {
        Self::of(group, name, Box::new(Prepared { state, prepare, run }))
    }

    fn of(group: &'static str, name: &'static str, work: Box<dyn Work>) -> Self {
        Self { group, name, unit: "message", units: 1, allowed: Allowed::Any, work }
    }

    /// Each time is so many of these.
    pub(crate) fn per(mut self, units: u64, unit: &'static str) -> Self {
        (self.units, self.unit) = (units, unit);
        self
    }

    /// Each time takes so many allocations.
    pub(crate) fn allocates(mut self, allocations: u64) -> Self {
        self.allowed = Allowed::Exactly(allocations);
        self
    }

    /// Each time takes so many allocations or fewer, also with a debug build's own checks.
    pub(crate) fn allocates_at_most(mut self, allocations: u64) -> Self {
        self.allowed = Allowed::AtMost(allocations);
        self
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    pub(crate) fn group_and_name(&self) -> [&'static str; 2] {
        [self.group, self.name]
    }

    pub(crate) fn units(&self) -> (u64, &'static str) {
        (self.units, self.unit)
    }

    /// Counts one time's allocations.
    pub(crate) fn count(&mut self) -> Count {
        for _ in 0..WARM_UP {
            self.work.prepare();
            self.work.run();
        }
        let (mut allocations, mut bytes) = (0, 0);
        for _ in 0..COUNTED {
            self.work.prepare();
            let region = Region::new(ALLOCATOR);
            self.work.run();
            let change = region.change();
            allocations += (change.allocations + change.reallocations) as u64;
            bytes += change.bytes_allocated as u64;
        }
        let times = u64::from(COUNTED);
        Count { allocations: allocations.div_ceil(times), bytes: bytes.div_ceil(times) }
    }

    /// What is wrong with that count, if anything is.
    pub(crate) fn complaint(&self, Count { allocations, .. }: Count) -> Option<String> {
        let allowed = match self.allowed {
            Allowed::Exactly(allowed) if allowed != allocations => format!("{allowed}"),
            Allowed::AtMost(allowed) if allowed < allocations => format!("at most {allowed}"),
            _ => return None,
        };
        Some(format!("{} takes {allocations} allocations instead of {allowed}", self.name()))
    }

    /// Has criterion time it.
    pub(crate) fn time(&mut self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(self.group);
        group.throughput(Throughput::Elements(self.units));
        let work = &mut self.work;
        group.bench_function(self.name, |bencher| {
            if work.is_prepared() {
                bencher.iter_custom(|times| {
                    let mut total = Duration::ZERO;
                    for _ in 0..times {
                        work.prepare();
                        let start = Instant::now();
                        work.run();
                        total += start.elapsed();
                    }
                    total
                });
            } else {
                bencher.iter(|| work.run());
            }
        });
        group.finish();
    }
}
