//! The JSON of an outcome: one object, whose fields are the names of settings, counts, times and
//! figures; a dot in a name nests. The tool's README lists them.

use super::{BYTES_IN, DELIVERIES, EXPECTED, FRAMES, MIX, Outcome, Sample, ServerUse};
use serde_json::{Map, Value, json};

impl Outcome {
    /// Everything that programs ask for.
    pub(crate) fn flat(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "name", &self.name);
        put(&mut object, "scenario", &self.scenario);
        for (name, setting) in &self.settings {
            put(&mut object, name, setting);
        }
        put(&mut object, "window_seconds", self.window.seconds());
        for (name, count) in &self.counts {
            put(&mut object, name, count);
        }
        if self.counts.contains_key(EXPECTED) {
            put(&mut object, "reach", self.reach());
        }
        let rates = [
            (DELIVERIES, "deliveries_per_second"),
            (FRAMES, "frames_per_second"),
            (BYTES_IN, "bytes_per_second"),
        ];
        for (name, rate) in rates {
            if self.counts.contains_key(name) {
                put(&mut object, rate, self.per_second(name));
            }
        }
        for (name, times) in &self.times {
            put(&mut object, name, times.percentiles());
        }
        put(&mut object, "closed", &self.closed);
        put(&mut object, "refused", &self.refused);
        put(&mut object, "broken", self.broken);
        put(&mut object, "errors", self.errors);
        put(&mut object, "first_error", &self.first_error);
        let cores: f64 = self.generators.iter().map(|generator| generator.cores).sum();
        put(&mut object, "generator_cpu", cores);
        put(&mut object, "generator_limited", self.is_generator_limited());
        put(&mut object, "generators", &self.generators);
        if let Some(server) = &self.server {
            self.put_server(&mut object, server);
        }
        for (name, figure) in &self.figures {
            put(&mut object, name, figure);
        }
        for part in &self.parts {
            // Whoever writes a mix may call a section as something else is called.
            let name = match self.scenario.as_str() {
                MIX => format!("load.{}", part.name),
                _ => part.name.clone(),
            };
            put(&mut object, &name, part.flat());
        }
        let series: Vec<_> = self.series.samples.iter().map(second).collect();
        put(&mut object, "series", series);
        if !self.tries.is_empty() {
            put(&mut object, "tries", &self.tries);
        }
        put(&mut object, "judged", &self.judged);
        put(&mut object, "warnings", &self.warnings);
        put(&mut object, "failures", &self.failures);
        put(&mut object, "passed", self.passed());
        Value::Object(object)
    }

    fn put_server(&self, object: &mut Map<String, Value>, server: &ServerUse) {
        if let Some((user, system)) = self.server_us_per_delivery() {
            put(object, "server.us_per_delivery", user + system);
            put(object, "server.user_us_per_delivery", user);
            put(object, "server.system_us_per_delivery", system);
        }
        put(object, "server.cpu_seconds", (server.user_us + server.system_us) as f64 / 1e6);
        put(object, "server.cores", server.cores());
        put(object, "server.memory", server.memory);
        put(object, "server.before", server.before);
        put(object, "server.opened", server.opened);
        put(object, "server.connections", server.connections);
        put(object, "server.resident_kib_per_connection", server.resident_kib_per_connection());
    }
}

fn second(sample: &Sample) -> Value {
    json!({
        "sent": sample.sent,
        "received": sample.received,
        "bytes_in": sample.bytes_in,
        "bytes_out": sample.bytes_out,
        "p50_us": sample.latency.at_us(0.5),
        "p99_us": sample.latency.at_us(0.99),
        "live": sample.live,
        "generator_cores": sample.generator_cores,
        "server_cores": sample.server_cores,
        "server_resident": sample.server_resident,
    })
}

/// Puts a value where its name says. What was there gives way.
fn put(object: &mut Map<String, Value>, name: &str, value: impl serde::Serialize) {
    let Some((outer, inner)) = name.split_once('.') else {
        let value = serde_json::to_value(value).expect("every value of an outcome has a JSON form");
        object.insert(name.to_owned(), value);
        return;
    };
    let nested = object.entry(outer).or_insert_with(|| json!({}));
    if !nested.is_object() {
        *nested = json!({});
    }
    if let Value::Object(nested) = nested {
        put(nested, inner, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Generator, LATENCY, RECEIVED, Times, Window};
    use super::*;
    use crate::process::Memory;

    #[test]
    fn the_json_is_flat_and_dots_nest() {
        let mut outcome = Outcome::new("relay");
        outcome.set("hz", 20.0);
        outcome.window = Window { start_ns: 0, end_ns: 2_000_000_000 };
        outcome.add(EXPECTED, 10);
        outcome.add(RECEIVED, 5);
        outcome.add(DELIVERIES, 4);
        outcome.add("slow.received", 3);
        outcome.add_times(LATENCY, &Times::new());
        outcome.generators = vec![Generator { cores: 0.5, ..Generator::default() }; 2];
        outcome.server = Some(ServerUse {
            user_us: 4,
            system_us: 8,
            wall_us: 24,
            before: Some(Memory { anonymous: 0, resident: 1024 }),
            memory: Memory { anonymous: 1, resident: 5 * 1024 },
            connections: 2,
            ..ServerUse::default()
        });
        outcome.figures.insert("server.side_cores".to_owned(), 0.25);
        outcome.parts.push(Outcome::new("players"));
        let found = outcome.flat();
        assert_eq!(found["scenario"], "relay");
        assert_eq!((&found["hz"], &found["reach"]), (&json!(20.0), &json!(0.5)));
        assert_eq!(found["deliveries_per_second"], 2.0);
        assert_eq!(found["slow"]["received"], 3);
        assert_eq!(found["latency"]["p99_us"], 0);
        assert_eq!(found["generator_cpu"], 1.0);
        assert_eq!(found["server"]["us_per_delivery"], 3.0);
        assert_eq!(found["server"]["cores"], 0.5);
        assert_eq!(found["server"]["memory"]["resident"], 5 * 1024);
        assert_eq!(found["server"]["resident_kib_per_connection"], 2.0);
        assert_eq!(found["server"]["side_cores"], 0.25);
        assert_eq!(found["players"]["passed"], true);
        assert_eq!(found["passed"], true);
    }
}
