//! Showing a run while it goes on, and what it found.

use super::options::Asked;
use crate::conductor::{Section, Tick};
use crate::outcome::{LATENCY, Outcome, Sample, Times};
use crate::output::{self, Live, Look, Phase};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Shows sections that run at the same time as one.
pub(super) struct Watcher {
    live: Option<Live>,
    /// The last of each section.
    looks: Vec<Option<Look>>,
    total: Duration,
    generators: usize,
}

impl Watcher {
    /// Of a run that is called so.
    pub(super) fn new(title: &str, sections: &[Section], asked: &Asked) -> Self {
        let is_shown = !asked.json && !asked.quiet;
        let span = |section: &Section| {
            section.after + section.jobs.first().map_or(Duration::ZERO, crate::job::Job::span)
        };
        Self {
            live: is_shown.then(|| Live::new(title, asked.plain)),
            looks: sections.iter().map(|_| None).collect(),
            total: sections.iter().map(span).max().unwrap_or_default(),
            generators: sections.iter().map(|section| section.jobs.len()).sum(),
        }
    }

    /// A section has come further.
    pub(super) fn see(&mut self, tick: &Tick<'_>) {
        let Some(live) = &mut self.live else { return };
        let troubles = tick.troubles;
        let look = Look {
            phase: tick.phase,
            elapsed: tick.elapsed,
            total: Some(self.total),
            sample: tick.sample.clone(),
            generators: self.generators,
            lost: troubles.lost,
            repeated: troubles.repeated,
            errors: troubles.errors,
            closed: troubles.closed.clone(),
        };
        self.looks[tick.section] = Some(look);
        // The first section that is not over gives the beat.
        let beat = self
            .looks
            .iter()
            .position(|look| look.as_ref().is_some_and(|look| look.phase != Phase::Draining));
        if beat.unwrap_or(tick.section) == tick.section
            && let Some(sum) = sum(&self.looks)
        {
            live.show(&sum);
        }
    }

    /// The run is over, or could not be run.
    pub(super) fn finish(self) {
        if let Some(live) = self.live {
            live.finish();
        }
    }
}

/// All sections as one.
fn sum(looks: &[Option<Look>]) -> Option<Look> {
    let mut known = looks.iter().flatten();
    let mut sum = known.next()?.clone();
    for look in known {
        // What is still to be measured says more than what is over.
        if sum.phase == Phase::Draining {
            sum.phase = look.phase;
        }
        sum.elapsed = sum.elapsed.max(look.elapsed);
        let ended = Sample { latency: Times::coarse(), ..look.sample.clone() };
        let is_over = look.phase == Phase::Draining;
        sum.sample.merge(if is_over { &ended } else { &look.sample });
        sum.lost += look.lost;
        sum.repeated += look.repeated;
        sum.errors += look.errors;
        for (code, count) in &look.closed {
            *sum.closed.entry(*code).or_default() += count;
        }
    }
    Some(sum)
}

/// Sees to it, before anything is run, that files can be written.
pub(super) fn prepare(asked: &Asked) -> Result<(), String> {
    for (option, path) in [("--html", &asked.html), ("--hgrm", &asked.hgrm)] {
        if let Some(path) = path {
            let created = File::create(path).map(drop);
            created.map_err(|error| format!("{option} {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Says what a run found, in every form that was asked for.
pub(super) fn show(outcome: &Outcome, asked: &Asked) -> Result<(), String> {
    if asked.json {
        println!("{}", outcome.flat());
    } else {
        print!("{}", output::table(outcome));
    }
    if let Some(path) = &asked.html {
        write("--html", path, &output::report(outcome, SystemTime::now()))?;
    }
    if let Some(path) = &asked.hgrm {
        for (path, times) in distributions(outcome, path) {
            write("--hgrm", &path, &output::hgrm(times))?;
        }
    }
    Ok(())
}

/// The latencies of a run; or those of its parts, each in a file that has the part's name behind its own.
fn distributions<'a>(outcome: &'a Outcome, path: &Path) -> Vec<(PathBuf, &'a Times)> {
    if let Some(times) = outcome.times.get(LATENCY) {
        return vec![(path.to_owned(), times)];
    }
    let of_part = |part: &'a Outcome| {
        let times = part.times.get(LATENCY)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let end = path.extension().map(|end| format!(".{}", end.to_string_lossy()));
        let name = format!("{stem}-{}{}", part.name, end.unwrap_or_default());
        Some((path.with_file_name(name), times))
    };
    outcome.parts.iter().filter_map(of_part).collect()
}

fn write(option: &str, path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{option} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_mix_has_a_file_of_its_own() {
        let mut mix = Outcome::new("mix");
        for name in ["a", "b", "idle"] {
            let mut part = Outcome::new(name);
            if name != "idle" {
                part.add_times(LATENCY, &Times::new());
            }
            mix.parts.push(part);
        }
        let files = |outcome: &Outcome| -> Vec<_> {
            let all = distributions(outcome, Path::new("out/run.hgrm"));
            all.into_iter().map(|(path, _)| path.display().to_string()).collect()
        };
        assert_eq!(files(&mix), ["out/run-a.hgrm", "out/run-b.hgrm"]);
        assert_eq!(files(&mix.parts[0]), ["out/run.hgrm"]);
    }
}
