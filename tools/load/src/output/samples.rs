//! Outcomes for the tests of what shows them: made up, but such as runs have.

use crate::outcome::{
    BYTES_IN, BYTES_OUT, CONNECT, DELIVERIES, EXPECTED, FRAMES, Generator, Judged, LATENCY,
    LATENESS, LIVE_AT_END, LOST, Outcome, Percentiles, READS, RECEIVED, SENT, Sample, Series,
    ServerUse, Times, Try, UNSENT, Window,
};
use crate::process::Memory;

const SECOND_NS: u64 = 1_000_000_000;
/// When these runs begin: any time of a monotonic clock.
const START_NS: u64 = 77 * SECOND_NS;
const WARM_UP: u64 = 3;
const MEASURED: u64 = 15;

/// 1,000 connections in rooms of 10 for 15 seconds; all is well.
pub(crate) fn relay() -> Outcome {
    let mut outcome = Outcome::new("relay");
    outcome.set("protocol", "raw");
    outcome.set("class", "reliable");
    outcome.set("connections", 1000_u64);
    outcome.set("rooms_of", 10_u64);
    outcome.set("hz", 20.0);
    outcome.set("payload_bytes", 64_u64);
    outcome.set("echo", false);
    outcome.set("url", "ws://127.0.0.1:7700");
    outcome.window = Window {
        start_ns: START_NS + WARM_UP * SECOND_NS,
        end_ns: START_NS + (WARM_UP + MEASURED) * SECOND_NS,
    };
    let deliveries = 180_000 * MEASURED;
    for (name, count) in [
        (SENT, 20_000 * MEASURED),
        (UNSENT, 0),
        (EXPECTED, deliveries),
        (RECEIVED, deliveries),
        (DELIVERIES, deliveries),
        (FRAMES, 178_450 * MEASURED),
        (READS, 141_200 * MEASURED),
        (BYTES_IN, 178_450 * 66 * MEASURED),
        (BYTES_OUT, 20_000 * 70 * MEASURED),
        (LIVE_AT_END, 997),
    ] {
        outcome.add(name, count);
    }
    let mut latency = Times::new();
    let mut series = Series { start_ns: START_NS, samples: Vec::new() };
    for second in 0..=WARM_UP + MEASURED {
        let sample = second_of(second);
        if second >= WARM_UP {
            latency.add(&sample.latency);
        }
        *series.at(START_NS + second * SECOND_NS).unwrap() = sample;
    }
    outcome.series = series;
    outcome.add_times(LATENCY, &latency);
    outcome.add_times(LATENESS, &drawn(9, 5_000, 4, 90));
    outcome.add_times(CONNECT, &drawn(11, 1_000, 300, 2_000));
    outcome.closed.extend([(1000, 2), (4008, 1)]);
    outcome.server = Some(ServerUse {
        user_us: deliveries * 9 / 10,
        system_us: deliveries * 3,
        wall_us: MEASURED * 1_000_000,
        before: Some(Memory { anonymous: 2 << 20, resident: 6 << 20 }),
        opened: Some(Memory { anonymous: 3 << 20, resident: 7 << 20 }),
        memory: Memory { anonymous: 4 << 20, resident: 8 << 20 },
        connections: 1000,
    });
    outcome.generators = vec![
        Generator { cores: 0.46, waited_cores: Some(0.02), late_p99_us: 90, late_max_us: 2_400 },
        Generator { cores: 0.44, waited_cores: None, late_p99_us: 85, late_max_us: 1_900 },
    ];
    outcome.figures.insert("fairness".to_owned(), 0.9987);
    outcome.judged.push(Judged { expected: "p99<20ms".to_owned(), found: Some(6.4), held: true });
    outcome.judged.push(Judged { expected: "reach>=1".to_owned(), found: Some(1.0), held: true });
    outcome
}

/// Players and an audience beside each other; the audience loses something.
pub(crate) fn mix() -> Outcome {
    let mut players = relay();
    players.name = "players".to_owned();
    let mut audience = relay();
    (audience.name, audience.scenario) = ("audience".to_owned(), "spectate".to_owned());
    audience.add(LOST, 12);
    audience.fail("12 messages lost".to_owned());
    audience.warn("the audience waited for a core 0.36 seconds a second");
    let mut outcome = Outcome::new("mix");
    outcome.set("file", "evening.toml");
    outcome.window = players.window;
    outcome.parts = vec![players, audience];
    outcome
}

/// The best of five tries, of which one did not hold.
pub(crate) fn search() -> Outcome {
    let mut outcome = relay();
    // Not in order: a search goes back and forth.
    for (hz, p99_us) in [(10_u32, 180_u32), (20, 420), (80, 61_000), (40, 2_100), (60, 9_300)] {
        let held = p99_us < 50_000;
        let most_us = u64::from(p99_us);
        outcome.tries.push(Try {
            hz: f64::from(hz),
            deliveries_per_second: f64::from(hz) * 9_000.0,
            latency: drawn(most_us, 20_000, most_us / 2, most_us).percentiles(),
            reach: 1.0,
            server_us_per_delivery: Some(0.9),
            generator_limited: false,
            held,
            broken: if held { Vec::new() } else { vec!["p99<50ms".to_owned()] },
        });
    }
    outcome.figures.insert("found_hz".to_owned(), 60.0);
    outcome
}

/// A run that failed in every way, with texts that are not to be believed.
pub(crate) fn hostile() -> Outcome {
    let evil = "</script><script>alert(1)</script>\"'&\x1b[2J";
    let mut outcome = relay();
    outcome.name = format!("name {evil}");
    outcome.scenario = format!("scenario {evil}");
    outcome.set(&format!("setting {evil}"), evil);
    outcome.add(&format!("count {evil}"), 1);
    outcome.add(LOST, 31_337);
    outcome.add_times(&format!("times {evil}"), &drawn(1, 100, 1, 2));
    outcome.figures.insert(format!("figure {evil}"), f64::NAN);
    outcome.errors = 3;
    outcome.first_error = Some(format!("error {evil}"));
    outcome.broken = 40;
    outcome.refused.insert(503, 17);
    let expected = format!("expected {evil}");
    outcome.judged.push(Judged { expected, found: None, held: false });
    outcome.generators[0].cores = 0.99;
    outcome.warn(&format!("warning {evil}"));
    outcome.judge();
    outcome.tries.push(Try {
        hz: f64::INFINITY,
        deliveries_per_second: 0.0,
        latency: Percentiles::default(),
        reach: 0.0,
        server_us_per_delivery: None,
        generator_limited: true,
        held: false,
        broken: vec![format!("broken {evil}")],
    });
    let mut part = Outcome::new("part");
    part.name = format!("part {evil}");
    part.fail(format!("failure {evil}"));
    outcome.parts.push(part);
    outcome
}

/// A second of [`relay`]; one of them is bad.
pub(crate) fn second_of(second: u64) -> Sample {
    let is_warm = second > 0;
    let is_bad = second == 12;
    let draw = (second * 7919 + 13) % 1000;
    let mut sample = Sample {
        sent: if is_warm { 19_980 + draw / 25 } else { 4_000 },
        received: if is_warm { 179_600 + draw } else { 36_000 },
        bytes_in: 11_777_700,
        bytes_out: 1_400_000,
        live: if is_warm { 1000 } else { 640 },
        generator_cores: 0.88 + draw as f64 / 20_000.0,
        server_cores: Some(if is_warm { 0.69 + draw as f64 / 10_000.0 } else { 0.2 }),
        server_resident: Some((7 << 20) + second * 60_000),
        ..Sample::default()
    };
    let (least, most) = if is_bad { (400, 14_000) } else { (90, 900 + draw) };
    sample.latency.add(&drawn(second, 2_000, least, most));
    sample
}

/// So many times, of which one in a thousand is much longer.
fn drawn(seed: u64, count: u64, least_us: u64, most_us: u64) -> Times {
    let mut times = Times::new();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for number in 0..count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // More of the short ones than of the long.
        let part = (state % 1000) as f64 / 1000.0;
        let mut us = least_us as f64 + (most_us - least_us) as f64 * part.powi(4);
        if number % 1000 == 999 {
            us *= 3.5;
        }
        times.record_us(us as u64);
    }
    times
}
