//! A run as one page that stands alone: no other file, no script, nothing from a network. It has the
//! plots as SVG, the numbers as tables, and all of the JSON behind a link.
//!
//! Everything that is put into it is escaped where it is put in (`maud` does that); only the plots,
//! whose texts are escaped as they are drawn, are put in as they are.

use super::{
    bytes, chart, close_name, figure, five, grouped, mib, ms, reasons, setting, tries,
    verdict_of_try, words, wrong,
};
use crate::outcome::{
    BYTES_IN, BYTES_OUT, DELIVERIES, EXPECTED, FRAMES, LATENCY, Outcome, READS, Sample, Try,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chart::Thinned;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::time::SystemTime;

const CSS: &str = include_str!("report.css");
/// Counts that are of the window alone, so that a rate can be told.
const OF_WINDOW: [&str; 5] = [DELIVERIES, FRAMES, READS, BYTES_IN, BYTES_OUT];

/// The page of a run that ended at this time.
pub(crate) fn report(outcome: &Outcome, ended: SystemTime) -> String {
    let json = outcome.flat().to_string();
    let ended = humantime::format_rfc3339_seconds(ended).to_string().replace('T', " ");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (outcome.name) " - madang-load" }
                style { (PreEscaped(CSS)) }
            }
            body {
                header {
                    h1 { (title(outcome)) }
                    (verdict(outcome))
                    p {
                        "madang-load " (env!("CARGO_PKG_VERSION")) ", ended " (ended.replace('Z', " UTC"))
                        @if outcome.window.end_ns > 0 {
                            ", measured for " (format!("{:.1}", outcome.window.seconds())) " s"
                        }
                    }
                }
                (why(outcome))
                (section(outcome))
                @for part in &outcome.parts {
                    h2 { (title(part)) " " (verdict(part)) }
                    (section(part))
                }
                footer {
                    p {
                        a download="madang-load.json"
                            href={ "data:application/json;base64," (STANDARD.encode(&json)) } {
                            "All of it as JSON"
                        }
                        " (" (bytes(json.len() as f64)) ")"
                    }
                    p {
                        "Latency counts from the time at which a message was to be sent, whatever the "
                        "server did. Shaded: what was measured."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn title(outcome: &Outcome) -> String {
    if outcome.name == outcome.scenario {
        return outcome.name.clone();
    }
    format!("{} ({})", outcome.name, outcome.scenario)
}

fn verdict(outcome: &Outcome) -> Markup {
    html! {
        @if outcome.passed() {
            span.verdict.good { "\u{2713} passed" }
        } @else {
            span.verdict.bad { "\u{2717} failed" }
        }
    }
}

/// Why the run did not pass.
fn why(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.passed() {
            div.note.bad {
                strong { "Failed because" }
                ul { @for reason in reasons(outcome) { li { (reason) } } }
            }
        }
    }
}

fn section(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.warnings.is_empty() {
            div.note.warn {
                strong { "Mind" }
                ul { @for warning in &outcome.warnings { li { (warning) } } }
            }
        }
        (cards(outcome))
        @if !outcome.settings.is_empty() {
            dl.settings {
                @for (name, value) in &outcome.settings {
                    div { dt { (words(name)) } dd { (setting(value)) } }
                }
            }
        }
        (judged(outcome))
        (search(outcome))
        (plots(outcome))
        (times(outcome))
        div.tables {
            div { (messages(outcome)) }
            div { (connections(outcome)) (figures(outcome)) }
            div { (usage(outcome)) }
        }
    }
}

/// What is asked first.
fn cards(outcome: &Outcome) -> Markup {
    let has = |name: &str| outcome.counts.contains_key(name);
    let mut cards: Vec<(String, String)> = Vec::new();
    if has(DELIVERIES) {
        let rate = outcome.per_second(DELIVERIES).round();
        cards.push(("deliveries a second".to_owned(), figure(rate)));
    }
    if let Some(latency) = outcome.percentiles(LATENCY).filter(|times| times.count > 0) {
        let named = [("p50", latency.p50_us), ("p99", latency.p99_us), ("slowest", latency.max_us)];
        cards
            .extend(named.map(|(name, us)| (format!("latency, {name}"), format!("{} ms", ms(us)))));
    }
    if has(EXPECTED) {
        cards.push(("reach".to_owned(), percent(outcome.reach())));
        let wrong = wrong(outcome);
        let wrong = if wrong.is_empty() { "nothing".to_owned() } else { wrong.join(", ") };
        cards.push(("wrong".to_owned(), wrong));
    }
    if let Some((user, system)) = outcome.server_us_per_delivery() {
        cards.push(("server CPU a delivery".to_owned(), format!("{:.2} \u{b5}s", user + system)));
    }
    html! {
        @if !cards.is_empty() {
            dl.cards { @for (name, value) in cards { div { dt { (name) } dd { (value) } } } }
        }
    }
}

fn judged(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.judged.is_empty() {
            h3 { "Thresholds" }
            div.table.narrow { table {
                tr { th { "asked for" } th.number { "found" } th { "" } }
                @for judged in &outcome.judged {
                    tr {
                        td { (judged.expected) }
                        td.number { (judged.found.map_or("nothing".to_owned(), figure)) }
                        td class=(if judged.held { "good" } else { "bad" }) {
                            (if judged.held { "\u{2713} held" } else { "\u{2717} did not hold" })
                        }
                    }
                }
            } }
        }
    }
}

/// The tries of a search, as a plot and a table.
fn search(outcome: &Outcome) -> Markup {
    let tries = tries(outcome);
    let ms_of = |one: &Try| one.latency.p99_us as f64 / 1000.0;
    let points: Vec<_> = tries.iter().map(|one| (one.hz, ms_of(one), one.held)).collect();
    let keys = [("good dot", "held"), ("bad dot", "did not hold")];
    let name = "p99 at each rate";
    html! {
        @if !tries.is_empty() {
            h3 { "Tries" }
            div.plots { (plot(name, &keys, chart::ladder(name, &points))) }
            div.table { table {
                tr {
                    th.number { "Hz of each" } th.number { "deliveries a second" }
                    th.number { "p50, ms" } th.number { "p99, ms" } th.number { "max, ms" }
                    th.number { "reach" } th { "" }
                }
                @for one in &tries {
                    tr {
                        td.number { (figure(one.hz)) }
                        td.number { (figure(one.deliveries_per_second.round())) }
                        @for us in [one.latency.p50_us, one.latency.p99_us, one.latency.max_us] {
                            td.number { (ms(us)) }
                        }
                        td.number { (percent(one.reach)) }
                        td class=(if one.held { "good" } else { "bad" }) {
                            (if one.held { "\u{2713} " } else { "\u{2717} " }) (verdict_of_try(one))
                        }
                    }
                }
            } }
        }
    }
}

/// A part of all; what is missing is never rounded away.
fn percent(part: f64) -> String {
    format!("{} %", (part * 1e6).floor() / 1e4)
}

fn plots(outcome: &Outcome) -> Markup {
    let samples = &outcome.series.samples;
    // Both times are of the same clock; the window may have begun before the first sample.
    let second = |ns: u64| (ns as f64 - outcome.series.start_ns as f64) / 1e9;
    let measured = (second(outcome.window.start_ns), second(outcome.window.end_ns));
    let over_time = |name: &str, unit, keys: &[(&str, &str)], thinned, curves: &[Curve]| {
        let curves: Vec<Vec<Option<f64>>> =
            curves.iter().map(|curve| samples.iter().map(curve).collect()).collect();
        plot(name, keys, chart::over_time(name, unit, &curves, thinned, measured))
    };
    let of_times = outcome.times.iter().map(|(name, times)| {
        let name = format!("{} by percentile", words(name));
        plot(&name, &[], chart::percentiles(&name, times))
    });
    let of_times: Vec<Markup> = of_times.collect();
    html! {
        div.plots {
            @for plot in &of_times { (plot) }
            (over_time(
                "messages over time", "a second",
                &[("curve-0", "received"), ("curve-1", "sent")], Thinned::Mean,
                &[|it| Some(it.received as f64), |it| Some(it.sent as f64)],
            ))
            (over_time(
                "latency over time", "ms",
                &[("curve-0", "p99"), ("curve-1", "p50")], Thinned::Most,
                &[|it| latency_ms(it, 0.99), |it| latency_ms(it, 0.5)],
            ))
            (over_time(
                "CPU over time", "cores",
                &[("curve-0", "server"), ("curve-1", "generator")], Thinned::Mean,
                &[|it| it.server_cores, |it| Some(it.generator_cores)],
            ))
            (over_time(
                "the server's resident memory", "MiB", &[], Thinned::Most,
                &[|it| it.server_resident.map(|bytes| bytes as f64 / f64::from(1 << 20))],
            ))
            (over_time(
                "connections", "live", &[], Thinned::Most, &[|it| Some(it.live as f64)],
            ))
        }
    }
}

/// A value of each second that has it.
type Curve = fn(&Sample) -> Option<f64>;

fn latency_ms(sample: &Sample, quantile: f64) -> Option<f64> {
    let latency = &sample.latency;
    (latency.count() > 0).then(|| latency.at_us(quantile) as f64 / 1000.0)
}

/// A plot with its title and what its colours mean; nothing where there is nothing to plot.
fn plot(name: &str, keys: &[(&str, &str)], svg: Option<String>) -> Markup {
    html! {
        @if let Some(svg) = svg {
            figure {
                figcaption {
                    (name)
                    @for (class, key) in keys { span class={ "key " (class) } { (key) } }
                }
                (PreEscaped(svg))
            }
        }
    }
}

fn times(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.times.is_empty() {
            h3 { "Times in ms" }
            div.table { table {
                tr {
                    th { "" }
                    @for name in ["p50", "p90", "p99", "p99.9", "max", "count"] { th.number { (name) } }
                }
                @for (name, times) in &outcome.times {
                    @let found = times.percentiles();
                    tr {
                        td { (words(name)) }
                        @for us in five(&found) {
                            td.number { (if found.count == 0 { "-".to_owned() } else { ms(us) }) }
                        }
                        td.number { (grouped(found.count)) }
                    }
                }
            } }
        }
    }
}

fn messages(outcome: &Outcome) -> Markup {
    let is_bytes = |name: &str| [BYTES_IN, BYTES_OUT].contains(&name);
    let amount = |name: &str, count: f64| {
        if is_bytes(name) { bytes(count) } else { figure(count.round()) }
    };
    html! {
        @if !outcome.counts.is_empty() {
            h3 { "Counts" }
            div.table { table {
                tr { th { "" } th.number { "in all" } th.number { "a second" } }
                @for (name, count) in &outcome.counts {
                    tr {
                        td { (words(name)) }
                        td.number { (amount(name, *count as f64)) }
                        td.number {
                            @if OF_WINDOW.contains(&name.as_str()) {
                                (amount(name, outcome.per_second(name)))
                            }
                        }
                    }
                }
            } }
        }
    }
}

fn connections(outcome: &Outcome) -> Markup {
    let is_nothing = outcome.closed.is_empty()
        && outcome.refused.is_empty()
        && outcome.broken == 0
        && outcome.errors == 0;
    html! {
        @if is_nothing && !outcome.parts.is_empty() {
            // The parts say what became of theirs.
        } @else if is_nothing {
            h3 { "Endings" }
            p { "No connection was refused or ended, and there was no error." }
        } @else {
            h3 { "Endings" }
            div.table { table {
                tr { th { "" } th { "meaning" } th.number { "connections" } }
                @for (code, count) in &outcome.closed {
                    tr {
                        td { "closed with " (code) }
                        td { (close_name(*code).map(words).unwrap_or_default()) }
                        td.number { (grouped(*count)) }
                    }
                }
                @for (status, count) in &outcome.refused {
                    tr { td { "refused with " (status) } td {} td.number { (grouped(*count)) } }
                }
                @if outcome.broken > 0 {
                    tr { td { "broken off" } td {} td.number { (grouped(outcome.broken)) } }
                }
            } }
            @if outcome.errors > 0 {
                p.bad {
                    (grouped(outcome.errors)) " errors, the first: "
                    (outcome.first_error.as_deref().unwrap_or("unknown"))
                }
            }
        }
    }
}

fn figures(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.figures.is_empty() {
            h3 { "Figures" }
            div.table { table {
                @for (name, value) in &outcome.figures {
                    tr { td { (words(name)) } td.number { (figure(*value)) } }
                }
            } }
        }
    }
}

/// What the server and this tool used.
fn usage(outcome: &Outcome) -> Markup {
    let mut lines: Vec<(String, String)> = Vec::new();
    if let Some(server) = &outcome.server {
        lines.push(("server".to_owned(), format!("{:.2} cores", server.cores())));
        if let Some((user, system)) = outcome.server_us_per_delivery() {
            let text = format!("{:.3} \u{b5}s: {user:.3} user, {system:.3} system", user + system);
            lines.push(("CPU of a delivery".to_owned(), text));
        }
        let looks = [
            ("before", server.before),
            ("all connected", server.opened),
            ("at the end", Some(server.memory)),
        ];
        for (when, memory) in looks {
            if let Some(memory) = memory {
                let text = format!(
                    "{} resident, {} anonymous",
                    mib(memory.resident),
                    mib(memory.anonymous)
                );
                lines.push((format!("memory {when}"), text));
            }
        }
        if let Some(each) = server.resident_kib_per_connection() {
            let text = format!("{each:.2} KiB resident, of {}", grouped(server.connections));
            lines.push(("memory of a connection".to_owned(), text));
        }
    }
    for (place, generator) in outcome.generators.iter().enumerate() {
        let waited = generator.waited_cores.map(|waited| format!(", {waited:.2} without a core"));
        let limit = if generator.is_limited() { ": at its limit" } else { "" };
        let text = format!(
            "{:.2} cores{}, late by {} ms at p99, {} at most{limit}",
            generator.cores,
            waited.unwrap_or_default(),
            ms(generator.late_p99_us),
            ms(generator.late_max_us),
        );
        lines.push((format!("generator {}", place + 1), text));
    }
    html! {
        @if !lines.is_empty() {
            h3 { "Server and generator" }
            div.table { table {
                @for (name, value) in lines { tr { td { (name) } td { (value) } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::outcome::Outcome;
    use std::time::Duration;

    fn page(outcome: &Outcome) -> String {
        report(outcome, SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_345_600))
    }

    /// The text behind the link.
    fn json_of(page: &str) -> String {
        let (_, rest) = page.split_once("data:application/json;base64,").unwrap();
        let (text, _) = rest.split_once('"').unwrap();
        String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn a_page_says_what_ran_when_and_how_it_went() {
        let text = page(&samples::relay());
        for wanted in [
            "<title>relay - madang-load</title>",
            "ended 2025-11-28 16:00:00 UTC, measured for 15.0 s",
            "\u{2713} passed",
            "<dt>deliveries a second</dt><dd>180,000</dd>",
            "<dt>reach</dt><dd>100 %</dd>",
            "<td>p99&lt;20ms</td><td class=\"number\">6.40</td>",
            "closed with 4008</td><td>slow consumer</td>",
            "8.0 MiB resident",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing");
        }
        // Three distributions; messages, latency, CPU, memory and connections over time.
        assert_eq!(text.matches("<svg").count(), 8);
        assert_eq!(json_of(&text), samples::relay().flat().to_string());
    }

    #[test]
    fn a_page_stands_alone() {
        let text = page(&samples::mix());
        for word in ["<script", "src=", "url(", "@import", "http://", "https://", "<link"] {
            assert!(!text.contains(word), "{word}");
        }
        let links = text.matches("href=").count();
        assert_eq!((links, text.matches("href=\"data:").count()), (1, 1));
    }

    #[test]
    fn everything_is_escaped() {
        let text = page(&samples::hostile());
        assert!(!text.contains("<script") && !text.contains("</script"));
        for where_from in [
            "name", "setting", "count", "times", "figure", "error", "expected", "warning",
            "failure", "broken",
        ] {
            let escaped = format!("{where_from} &lt;/script&gt;&lt;script&gt;alert(1)");
            assert!(text.contains(&escaped), "{where_from} is missing");
        }
        assert!(text.contains("\u{2717} failed") && text.contains("31,337 lost"));
        assert!(json_of(&text).contains("\"lost\":31337,"));
    }

    #[test]
    fn a_run_of_nothing_has_a_page() {
        let text = page(&Outcome::new("idle"));
        assert!(text.contains("<h1>idle</h1>") && !text.contains("<svg"), "{text}");
        assert!(text.contains("No connection was refused or ended"));
    }

    #[test]
    fn a_mix_has_a_section_for_each_load_and_says_what_failed() {
        let text = page(&samples::mix());
        assert!(text.contains("<h2>players (relay) <span class=\"verdict good\">"));
        assert!(text.contains("<h2>audience (spectate) <span class=\"verdict bad\">"));
        assert!(text.contains("<li>audience: 12 messages lost</li>"));
    }

    #[test]
    fn a_search_has_its_tries_as_a_plot_and_a_table() {
        let text = page(&samples::search());
        assert_eq!(text.matches("<circle").count(), 5);
        let (_, table) = text.split_once("Hz of each</th>").unwrap();
        let places = ["10", "20", "40", "60", "80"]
            .map(|rate| table.find(&format!("<tr><td class=\"number\">{rate}</td>")).unwrap());
        assert!(places.is_sorted());
        assert_eq!(
            table.matches("\u{2713} held").count(),
            4,
            "the table of thresholds is before it"
        );
        assert!(text.contains("\u{2717} p99&lt;50ms did not hold"));
    }
}
