//! What a run found, as a table for people: its settings, messages, times, bytes, connections, what
//! the server and the generator used, thresholds, and the verdict. Each part is a section of its own;
//! the tries of a search are a line each.

use super::{
    bytes, endings, figure, five, grouped, mib, ms, reasons, setting, tries, verdict_of_try, words,
    wrong,
};
use crate::outcome::{
    BYTES_IN, BYTES_OUT, CORRUPT, DELIVERIES, DISORDERED, EXPECTED, FOREIGN, FRAMES, LIVE_AT_END,
    LOST, Outcome, READS, RECEIVED, REPEATED, SENT, UNSENT,
};
use std::fmt::Write as _;

/// Columns of a line, beyond which settings go on in the next.
const WIDTH: usize = 100;
/// Columns of the names.
const NAMES: usize = 14;
/// Counts that have a line of their own.
const TOLD: [&str; 14] = [
    SENT, UNSENT, EXPECTED, RECEIVED, DELIVERIES, LOST, REPEATED, DISORDERED, CORRUPT, FOREIGN,
    FRAMES, READS, BYTES_IN, BYTES_OUT,
];

/// The table of a run and its parts.
pub(crate) fn table(outcome: &Outcome) -> String {
    let mut table = Table { out: String::new(), indent: 0 };
    table.section(outcome);
    table.verdict(outcome);
    table.out
}

struct Table {
    out: String,
    indent: usize,
}

impl Table {
    fn section(&mut self, outcome: &Outcome) {
        let scenario = if outcome.name == outcome.scenario {
            String::new()
        } else {
            format!(" ({})", outcome.scenario)
        };
        self.plain(&format!("{}{scenario}", outcome.name));
        self.indent += 2;
        self.settings(outcome);
        self.messages(outcome);
        self.times(outcome);
        self.connections(outcome);
        self.server(outcome);
        self.generators(outcome);
        self.counts_and_figures(outcome);
        self.tries(outcome);
        self.judged(outcome);
        for warning in &outcome.warnings {
            self.line("warning", warning);
        }
        for part in &outcome.parts {
            self.section(part);
            // What fails the whole is said once, at the end.
            self.indent += 2;
            self.line("passed", if part.passed() { "yes" } else { "NO" });
            self.indent -= 2;
        }
        self.indent -= 2;
    }

    fn settings(&mut self, outcome: &Outcome) {
        let settings = outcome
            .settings
            .iter()
            .map(|(name, value)| format!("{} {}", words(name), setting(value)));
        let mut line = String::new();
        let mut name = "settings";
        for one in settings {
            if !line.is_empty() && line.len() + one.len() + NAMES + self.indent + 3 > WIDTH {
                self.line(name, &line);
                (name, line) = ("", String::new());
            }
            let _ = write!(line, "{}{one}", if line.is_empty() { "" } else { ", " });
        }
        if !line.is_empty() {
            self.line(name, &line);
        }
        if outcome.window.end_ns > 0 {
            self.line("measured", &format!("{:.1} s", outcome.window.seconds()));
        }
    }

    fn messages(&mut self, outcome: &Outcome) {
        let has = |name: &str| outcome.counts.contains_key(name);
        let count = |name: &str| grouped(outcome.count(name));
        if has(SENT) {
            self.line("sent", &count(SENT));
        }
        if has(EXPECTED) {
            self.line(
                "received",
                &format!(
                    "{} of {}, reach {:.6}",
                    count(RECEIVED),
                    count(EXPECTED),
                    outcome.reach()
                ),
            );
            let wrong = wrong(outcome);
            let wrong = if wrong.is_empty() { "none".to_owned() } else { wrong.join(", ") };
            self.line("wrong", &wrong);
        } else if has(RECEIVED) {
            self.line("received", &count(RECEIVED));
        }
        let rate = |name: &str, unit: &str| {
            has(name).then(|| format!("{} {unit}/s", figure(outcome.per_second(name).round())))
        };
        let rates = [rate(DELIVERIES, "deliveries"), rate(FRAMES, "frames"), rate(READS, "reads")];
        let rates: Vec<String> = rates.into_iter().flatten().collect();
        if !rates.is_empty() {
            self.line("rate", &rates.join(", "));
        }
        let flow = |name: &str, way: &str| {
            let each = bytes(outcome.per_second(name));
            has(name).then(|| format!("{} {way} ({each}/s)", bytes(outcome.count(name) as f64)))
        };
        let flows: Vec<String> =
            [flow(BYTES_IN, "in"), flow(BYTES_OUT, "out")].into_iter().flatten().collect();
        if !flows.is_empty() {
            self.line("bytes", &flows.join(", "));
        }
    }

    fn times(&mut self, outcome: &Outcome) {
        if outcome.times.is_empty() {
            return;
        }
        let titles = ["p50", "p90", "p99", "p99.9", "max"].map(|title| format!("{title:>10}"));
        self.line("times in ms", &format!("{}{:>14}", titles.concat(), "count"));
        for (name, times) in &outcome.times {
            let found = times.percentiles();
            let columns = five(&found).map(|us| match found.count {
                0 => format!("{:>10}", "-"),
                _ => format!("{:>10}", ms(us)),
            });
            self.line(&words(name), &format!("{}{:>14}", columns.concat(), grouped(found.count)));
        }
    }

    fn connections(&mut self, outcome: &Outcome) {
        let mut said = endings(outcome);
        if outcome.counts.contains_key(LIVE_AT_END) {
            said.insert(0, format!("{} live at the end", grouped(outcome.count(LIVE_AT_END))));
        }
        if !said.is_empty() {
            self.line("connections", &said.join(", "));
        }
    }

    fn server(&mut self, outcome: &Outcome) {
        let Some(server) = &outcome.server else { return };
        let cores = format!("{:.2} cores", server.cores());
        let cpu = match outcome.server_us_per_delivery() {
            Some((user, system)) => format!(
                "{cores}, {:.3} us a delivery ({user:.3} user, {system:.3} system)",
                user + system
            ),
            None => cores,
        };
        self.line("server CPU", &cpu);
        let (resident, anonymous) = (mib(server.memory.resident), mib(server.memory.anonymous));
        self.line("server memory", &format!("{resident} resident, {anonymous} anonymous"));
        if let Some(each) = server.resident_kib_per_connection() {
            let connections = grouped(server.connections);
            self.line("", &format!("{each:.2} KiB resident for each of {connections} connections"));
        }
    }

    fn generators(&mut self, outcome: &Outcome) {
        for (place, generator) in outcome.generators.iter().enumerate() {
            let waited = generator.waited_cores.filter(|waited| *waited >= 0.005);
            let waited = waited.map(|waited| format!(", {waited:.2} without a core"));
            let text = format!(
                "{:.2} cores{}, late by {} ms at p99 and {} at most{}",
                generator.cores,
                waited.unwrap_or_default(),
                ms(generator.late_p99_us),
                ms(generator.late_max_us),
                if generator.is_limited() { ": AT ITS LIMIT" } else { "" },
            );
            self.line(if place == 0 { "generator" } else { "" }, &text);
        }
    }

    fn counts_and_figures(&mut self, outcome: &Outcome) {
        let told = |name: &str| TOLD.contains(&name) || name == LIVE_AT_END;
        let counts = outcome.counts.iter().filter(|(name, _)| !told(name));
        let counts: Vec<_> =
            counts.map(|(name, count)| format!("{} {}", words(name), grouped(*count))).collect();
        if !counts.is_empty() {
            self.line("counts", &counts.join(", "));
        }
        let figures = outcome.figures.iter();
        let figures: Vec<_> =
            figures.map(|(name, value)| format!("{} {}", words(name), figure(*value))).collect();
        if !figures.is_empty() {
            self.line("figures", &figures.join(", "));
        }
    }

    fn tries(&mut self, outcome: &Outcome) {
        let tries = tries(outcome);
        if tries.is_empty() {
            return;
        }
        let titles = ["deliveries/s", "p50 ms", "p99 ms", "max ms"].map(|it| format!("{it:>14}"));
        self.line("tried, Hz", &titles.concat());
        for one in tries {
            let times = [one.latency.p50_us, one.latency.p99_us, one.latency.max_us];
            let times = times.map(|us| format!("{:>14}", ms(us))).concat();
            let deliveries = figure(one.deliveries_per_second.round());
            let verdict = verdict_of_try(one);
            self.line(&figure(one.hz), &format!("{deliveries:>14}{times}  {verdict}"));
        }
    }

    fn judged(&mut self, outcome: &Outcome) {
        for (place, judged) in outcome.judged.iter().enumerate() {
            let found = judged.found.map_or("nothing".to_owned(), figure);
            let verdict = if judged.held { "held" } else { "DID NOT HOLD" };
            let name = if place == 0 { "thresholds" } else { "" };
            self.line(name, &format!("{}: {found}, {verdict}", judged.expected));
        }
    }

    fn verdict(&mut self, outcome: &Outcome) {
        if outcome.passed() {
            return self.plain("passed");
        }
        self.plain("FAILED");
        self.indent += 2;
        for why in reasons(outcome) {
            self.plain(&why);
        }
        self.indent -= 2;
    }

    fn line(&mut self, name: &str, value: &str) {
        self.plain(&format!("{name:<NAMES$} {}", value.trim_end()));
    }

    /// What comes from elsewhere (an error's text, say) may have control characters in it: a
    /// terminal must not obey them.
    fn plain(&mut self, text: &str) {
        let indent = self.indent;
        let text: String =
            text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
        let _ = writeln!(self.out, "{:indent$}{}", "", text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_run_is_one_section_and_a_verdict() {
        let text = table(&samples::relay());
        for wanted in [
            "relay\n  settings       protocol raw, class reliable, connections 1,000, rooms of 10, hz 20",
            "sent           300,000\n",
            "received       2,700,000 of 2,700,000, reach 1.000000\n",
            "  wrong          none\n",
            "  rate           180,000 deliveries/s",
            "server CPU     0.70 cores, 3.900 us a delivery",
            "closed with 4008 slow_consumer",
            "thresholds     p99<20ms: ",
            "\npassed\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn a_mix_has_a_section_for_each_load() {
        let text = table(&samples::mix());
        assert!(text.contains("\n  players (relay)\n    settings "), "{text}");
        assert!(text.contains("\n  audience (spectate)\n    settings "), "{text}");
        assert!(text.ends_with("FAILED\n  audience: 12 messages lost\n"), "{text}");
    }

    #[test]
    fn a_search_has_a_line_for_each_try_by_rate() {
        let text = table(&samples::search());
        let (_, tries) = text.split_once("tried, Hz ").unwrap();
        let rates: Vec<_> = tries.lines().skip(1).take(5).map(str::trim).collect();
        let starts = ["10 ", "20 ", "40 ", "60 ", "80 "];
        assert!(rates.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{text}");
        assert!(rates[3].ends_with("  held") && rates[4].ends_with("  p99<50ms did not hold"));
        assert!(text.ends_with("\npassed\n"), "a try that does not hold is what a search is for");
    }

    #[test]
    fn an_empty_run_has_a_table_too() {
        assert_eq!(table(&Outcome::new("idle")), "idle\npassed\n");
    }

    #[test]
    fn what_came_from_elsewhere_cannot_move_the_cursor() {
        let text = table(&samples::hostile());
        assert!(!text.contains('\x1b') && text.contains("?[2J"), "{text}");
    }
}
