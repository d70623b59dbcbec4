//! What those who watch with a delay have been shown, and whether something wakes them. There is
//! one for each log and delay that somebody watches, and no more: the delay is theirs to choose.

use super::log::Shown;
use super::rooms::LogKey;
use std::collections::BTreeMap;

/// All of them, by log and delay in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Dues {
    all: BTreeMap<(LogKey, u64), Due>,
}

/// One of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    upto: Shown,
    has_timer: bool,
}

impl Dues {
    /// The one of those who watch.
    pub(super) fn get_mut(&mut self, group: (LogKey, u64)) -> &mut Due {
        self.all.entry(group).or_default()
    }

    /// Its timer has expired. Whether there is anybody to show something.
    pub(super) fn expired(&mut self, group: (LogKey, u64), is_watched: bool) -> bool {
        let Some(due) = self.all.get_mut(&group) else { return false };
        due.has_timer = false;
        if !is_watched {
            self.all.remove(&group);
        }
        is_watched
    }

    /// Nobody is there any more. While a timer waits it stays, so that who comes meanwhile does not
    /// start another.
    pub(super) fn left(&mut self, group: (LogKey, u64)) {
        if self.all.get(&group).is_some_and(|due| !due.has_timer) {
            self.all.remove(&group);
        }
    }

    /// The log is gone.
    pub(super) fn forget(&mut self, log: LogKey) {
        let stale: Vec<_> =
            self.all.range((log, 0)..=(log, u64::MAX)).map(|(key, _)| *key).collect();
        for key in stale {
            self.all.remove(&key);
        }
    }
}

impl Due {
    /// Whether a timer is to be started: none waits yet.
    pub(super) fn starts_timer(&mut self) -> bool {
        !std::mem::replace(&mut self.has_timer, true)
    }

    /// Whether there is something new in what is shown now.
    pub(super) fn shows(&mut self, upto: Shown) -> bool {
        std::mem::replace(&mut self.upto, upto) != upto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_that_nobody_watches_with_any_more_cost_nothing() {
        let mut dues = Dues::default();
        for delay_ms in 1..=1000 {
            // The room is quiet: no timer is started.
            dues.get_mut((7, delay_ms)).shows(Shown::default());
            dues.left((7, delay_ms));
        }
        assert!(dues.all.is_empty());
    }

    #[test]
    fn a_timer_that_waits_is_not_started_twice() {
        let mut dues = Dues::default();
        assert!(dues.get_mut((7, 30)).starts_timer());
        dues.left((7, 30));
        assert!(!dues.get_mut((7, 30)).starts_timer());
        assert!(dues.expired((7, 30), true));
        assert!(dues.get_mut((7, 30)).starts_timer());
        dues.left((7, 30));
        assert!(!dues.expired((7, 30), false));
        assert!(dues.all.is_empty());
        assert!(!dues.expired((7, 30), true), "nobody has come since");
    }

    #[test]
    fn a_log_that_is_gone_takes_all_of_its_delays_along() {
        let mut dues = Dues::default();
        for group in [(6, 1), (7, 1), (7, 30), (8, 1)] {
            assert!(dues.get_mut(group).starts_timer());
        }
        dues.forget(7);
        assert_eq!(dues.all.keys().copied().collect::<Vec<_>>(), [(6, 1), (8, 1)]);
    }
}
