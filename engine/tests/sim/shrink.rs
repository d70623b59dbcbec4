//! Makes the list of steps of a failing run as short as it gets.

use crate::plan::Plan;
use crate::run::run;

/// Runs spent on one failure at most.
const RUNS_MAX: usize = 3_000;

/// A list of steps, none of which can be left out, that still fails. Delta debugging (Zeller and
/// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
pub(crate) fn shrink(plan: &Plan) -> Vec<usize> {
    let mut steps: Vec<usize> = (0..plan.steps.len()).collect();
    let mut chunks = 2;
    let mut runs = 0;
    while steps.len() > 1 && runs < RUNS_MAX {
        let size = steps.len().div_ceil(chunks);
        let smaller = (0..steps.len()).step_by(size).find_map(|start| {
            runs += 1;
            let end = (start + size).min(steps.len());
            let rest = [&steps[..start], &steps[end..]].concat();
            run(plan, &rest).violation.map(|_| rest)
        });
        match smaller {
            Some(rest) => {
                steps = rest;
                chunks = (chunks - 1).max(2);
            }
            None if size == 1 => break,
            None => chunks = (chunks * 2).min(steps.len()),
        }
    }
    steps
}
