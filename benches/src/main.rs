//! Replays the scenarios of `state/scenarios.js` through [`State`]: bytes and time of each tick, with
//! a replica that must show what was set. The argument is the file that it wrote; the result is JSON.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use madang_engine::room::state::{Belonging, Part, State, StateLimits};
use madang_protocol::replica::Replica;
use madang_protocol::state::{FieldType, FieldValue, Scalar, ScalarValue, Schema};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Values are compared each so many ticks.
const CHECK_EVERY: usize = 20;

/// A change with everything parsed, so that only the state's own work is timed.
enum Op {
    New { name: u64, kind: u32 },
    Set { name: u64, field: usize, value: FieldValue },
    Gone { name: u64 },
}

fn main() {
    let path = std::env::args().nth(1).expect("the scenarios' file is the argument");
    let text = std::fs::read_to_string(path).unwrap();
    let scenarios: Vec<Json> = serde_json::from_str(&text).unwrap();
    let rows: Vec<Json> = scenarios.iter().map(run).collect();
    println!("{}", Json::Array(rows));
}

fn run(scenario: &Json) -> Json {
    let schema: Arc<Schema> = Arc::new(serde_json::from_value(scenario["schema"].clone()).unwrap());
    let ticks = parse(&schema, scenario["ticks"].as_array().unwrap());
    let limits = StateLimits { entities_max: 100_000, bytes_max: 1 << 28 };
    let mut state = State::new(Arc::clone(&schema), limits).unwrap();
    let mut replica = Replica::default();
    replica.apply_snapshot(&schema, &state.snapshot(Part::Members)).unwrap();
    let mut ids = BTreeMap::from([(0, 0)]);
    let mut wanted = BTreeMap::new();
    let (mut bytes, mut sets, mut encodes) = (Vec::new(), Vec::new(), Vec::new());
    for (tick, ops) in ticks.iter().enumerate() {
        let start = Instant::now();
        for op in ops {
            match op {
                Op::New { name, kind } => {
                    ids.insert(*name, state.create(*kind, Belonging::default()).unwrap());
                }
                Op::Set { name, field, value } => state.set(ids[name], *field, value).unwrap(),
                Op::Gone { name } => state.remove(ids.remove(name).unwrap()).unwrap(),
            }
        }
        sets.push(start.elapsed());
        let start = Instant::now();
        let deltas = state.commit();
        encodes.push(start.elapsed());
        let delta = deltas.iter().find(|delta| delta.part == Part::Members);
        bytes.push(delta.map_or(0, |delta| delta.bytes.len()));
        if let Some(delta) = delta {
            replica.apply_delta(&schema, &delta.bytes).unwrap();
            assert_eq!(replica.hash(), delta.hash);
        }
        for op in ops {
            match op {
                Op::Set { name, field, value } => drop(wanted.insert((*name, *field), value)),
                Op::Gone { name } => wanted.retain(|(other, _), _| other != name),
                Op::New { .. } => {}
            }
        }
        if tick % CHECK_EVERY == 0 || tick + 1 == ticks.len() {
            for ((name, field), value) in &wanted {
                let seen = replica.value(&schema, ids[name], *field).unwrap();
                assert!(is_close(&seen, value), "tick {tick}: {seen:?} is not {value:?}");
            }
            assert_eq!(replica.entities().len(), ids.len());
        }
    }
    // The first tick is the start: everything is new in it.
    bytes.remove(0);
    json!({
        "scenario": scenario["name"],
        "encoder": "Madang",
        "bytes_mean": bytes.iter().sum::<usize>() as f64 / bytes.len() as f64,
        "bytes_max": bytes.iter().max(),
        "encode_us": median(encodes.split_off(1)),
        "set_us": median(sets.split_off(1)),
    })
}

/// The median in microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Numbers within half a step of 0.01.
fn is_close(seen: &FieldValue, set: &FieldValue) -> bool {
    match (seen, set) {
        (FieldValue::One(ScalarValue::Vec2(seen)), FieldValue::One(ScalarValue::Vec2(set))) => {
            seen.iter().zip(set).all(|(seen, set)| (seen - set).abs() <= 0.005_001)
        }
        _ => seen == set,
    }
}

fn parse(schema: &Schema, ticks: &[Json]) -> Vec<Vec<Op>> {
    let mut kinds = BTreeMap::from([(0, 0_u32)]);
    let mut lists: BTreeMap<(u64, usize), Vec<ScalarValue>> = BTreeMap::new();
    let mut parsed = Vec::new();
    for tick in ticks {
        let mut ops = Vec::new();
        for op in tick.as_array().unwrap() {
            let name = op[1].as_u64().unwrap();
            match op[0].as_str().unwrap() {
                "new" => {
                    let kind = op[2].as_u64().unwrap() as u32;
                    kinds.insert(name, kind);
                    ops.push(Op::New { name, kind });
                    continue;
                }
                "gone" => {
                    ops.push(Op::Gone { name });
                    continue;
                }
                _ => {}
            }
            let fields = &schema.kinds[kinds[&name] as usize].fields;
            let field = fields.iter().position(|field| op[2] == field.name).unwrap();
            let value = match fields[field].r#type {
                FieldType::One(of) => FieldValue::One(scalar(of, &op[3])),
                FieldType::List(of) => {
                    let list = lists.entry((name, field)).or_default();
                    match op[0].as_str().unwrap() {
                        "push" => list.push(scalar(of, &op[3])),
                        "shift" => drop(list.remove(0)),
                        _ => list[op[3].as_u64().unwrap() as usize] = scalar(of, &op[4]),
                    }
                    FieldValue::List(list.clone())
                }
            };
            ops.push(Op::Set { name, field, value });
        }
        parsed.push(ops);
    }
    parsed
}

fn scalar(of: Scalar, value: &Json) -> ScalarValue {
    match of {
        Scalar::Bool => ScalarValue::Bool(value.as_bool().unwrap()),
        Scalar::Uint => ScalarValue::Uint(value.as_u64().unwrap()),
        Scalar::Text => ScalarValue::Text(value.as_str().unwrap().into()),
        Scalar::Vec2(_) => {
            ScalarValue::Vec2([value[0].as_f64().unwrap(), value[1].as_f64().unwrap()])
        }
        _ => unreachable!("no scenario has a field of this type"),
    }
}
