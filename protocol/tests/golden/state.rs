//! Room state: parts that follow a few ticks, and bytes that must be refused.

use super::files::{Row, check, hex, unhex};
use madang_protocol::replica::{Replica, put_id};
use madang_protocol::state::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn field(name: &str, r#type: FieldType, visibility: Visibility) -> Field {
    Field { name: name.into(), r#type, visibility }
}

/// A room, an actor with a field of every type, and a thing of two fields.
fn schema() -> Schema {
    let one = |name, scalar| field(name, FieldType::One(scalar), Visibility::Everyone);
    let list = |name, scalar| field(name, FieldType::List(scalar), Visibility::Everyone);
    let cents = Number::Quantised { min: 0.0, step: 0.25, steps: 4000 };
    let fine = Number::Quantised { min: -1.0, step: 1.0 / 1024.0, steps: u32::MAX };
    let room = vec![
        one("turn", Scalar::Uint),
        one("title", Scalar::Text),
        list("board", Scalar::Uint),
        list("chat", Scalar::Text),
    ];
    let actor = vec![
        one("alive", Scalar::Bool),
        one("score", Scalar::Int),
        one("count", Scalar::Uint),
        one("speed", Scalar::Number(Number::F32)),
        one("time", Scalar::Number(Number::F64)),
        one("angle", Scalar::Number(fine)),
        one("name", Scalar::Text),
        one("blob", Scalar::Bytes),
        one("at", Scalar::Vec2(cents)),
        one("velocity", Scalar::Vec3(Number::F32)),
        one("exact", Scalar::Vec2(Number::F64)),
        list("flags", Scalar::Bool),
        list("path", Scalar::Vec2(cents)),
        list("levels", Scalar::Int),
        list("points", Scalar::Vec3(Number::F64)),
        list("parts", Scalar::Bytes),
    ];
    let thing = vec![
        one("at", Scalar::Vec3(cents)),
        field("secret", FieldType::One(Scalar::Int), Visibility::Owner),
    ];
    let kinds = [("room", room), ("actor", actor), ("thing", thing)];
    let kinds = kinds.map(|(name, fields)| Kind { name: name.into(), fields });
    Schema { kinds: kinds.into() }
}

type Cells = BTreeMap<usize, FieldValue>;
type Picture = BTreeMap<u32, (u32, Cells)>;

fn whole(scalar: ScalarValue) -> FieldValue {
    FieldValue::One(scalar)
}

fn uints(values: &[u64]) -> FieldValue {
    FieldValue::List(values.iter().map(|value| ScalarValue::Uint(*value)).collect())
}

fn texts(values: &[&str]) -> FieldValue {
    FieldValue::List(values.iter().map(|value| ScalarValue::Text((*value).into())).collect())
}

/// What one audience sees, tick by tick.
fn everyone() -> Vec<Picture> {
    use ScalarValue::*;
    let mut board = [0; 64];
    (board[12], board[60]) = (1, 200);
    let list = |values: &[ScalarValue]| FieldValue::List(values.to_vec());
    let room = Cells::from([
        (1, whole(Text("마당".into()))),
        (2, uints(&board)),
        (3, texts(&["a", "b", "c"])),
    ]);
    let actor = Cells::from([
        (0, whole(Bool(true))),
        (1, whole(Int(-3))),
        (2, whole(Uint(300))),
        (3, whole(Number(0.5))),
        (4, whole(Number(-1.25e300))),
        (5, whole(Number(4_194_302.999_023_437_5))),
        (6, whole(Text("one 🎪".into()))),
        (7, whole(Bytes(vec![0, 255, 7, 8, 9]))),
        (8, whole(Vec2([500.0, 250.25]))),
        (9, whole(Vec3([1.0, -2.0, -0.0]))),
        (10, whole(Vec2([0.1, -0.0]))),
        (11, list(&[Bool(true), Bool(false), Bool(true)])),
        (12, list(&[Vec2([0.0, 1.0]), Vec2([1000.0, 2.5])])),
        (13, list(&[Int(-9_007_199_254_740_991), Int(0), Int(9_007_199_254_740_991)])),
        (14, list(&[Vec3([1.0, 2.0, 3.5])])),
        (15, list(&[Bytes(vec![]), Bytes(vec![1, 2])])),
    ]);
    let first = Picture::from([(0, (0, room)), (1, (1, actor)), (300, (2, Cells::new()))]);
    let mut moved = first.clone();
    let set = |picture: &mut Picture, id: u32, field, value| {
        picture.get_mut(&id).unwrap().1.insert(field, value);
    };
    (board[12], board[28]) = (0, 1);
    set(&mut moved, 0, 0, whole(Uint(1)));
    set(&mut moved, 0, 2, uints(&board));
    set(&mut moved, 1, 8, whole(Vec2([500.25, 249.75])));
    set(&mut moved, 300, 0, whole(Vec3([0.25, 0.0, 1000.0])));
    let mut edited = moved.clone();
    set(&mut edited, 0, 3, texts(&["a", "x", "y", "c"]));
    set(&mut edited, 1, 1, whole(Int(9_007_199_254_740_991)));
    set(&mut edited, 1, 2, whole(Uint(9_007_199_254_740_991)));
    set(&mut edited, 1, 3, whole(Number(-0.0)));
    set(&mut edited, 1, 5, whole(Number(-1.0)));
    set(&mut edited, 1, 7, whole(Bytes(vec![1, 2, 3, 4])));
    set(&mut edited, 1, 11, list(&[Bool(false), Bool(false), Bool(false)]));
    set(&mut edited, 1, 12, list(&[Vec2([1000.0, 2.5])]));
    set(&mut edited, 1, 13, list(&[Int(1)]));
    set(&mut edited, 1, 15, list(&[]));
    edited.insert(5, (2, Cells::from([(0, whole(Vec3([1.0, 2.0, 3.0])))])));
    let mut zeroed = edited.clone();
    zeroed.remove(&300);
    set(&mut zeroed, 1, 1, whole(Int(-9_007_199_254_740_991)));
    set(&mut zeroed, 1, 2, whole(Uint(0)));
    set(&mut zeroed, 1, 6, whole(Text(String::new())));
    set(&mut zeroed, 0, 3, texts(&[]));
    zeroed.insert(u32::MAX, (1, Cells::new()));
    let mut last = zeroed.clone();
    last.remove(&1);
    last.remove(&u32::MAX);
    set(&mut last, 0, 3, texts(&["again"]));
    vec![first, moved, edited, zeroed, last]
}

/// An owner's part: only entities that have something for it, no room.
fn owner() -> Vec<Picture> {
    let thing = |secret| (2, Cells::from([(1, whole(ScalarValue::Int(secret)))]));
    vec![
        Picture::new(),
        Picture::from([(7, thing(64)), (135, thing(-65))]),
        Picture::from([(7, thing(65)), (135, thing(0)), (136, thing(1))]),
        Picture::from([(136, thing(1))]),
        Picture::new(),
    ]
}

fn cell(schema: &Schema, kind: u32, cells: &Cells, field: usize) -> Cell {
    let field_type = schema.kinds[kind as usize].fields[field].r#type;
    cells.get(&field).map_or(field_type.zero(), |value| field_type.cell(value).unwrap())
}

/// Compares whole pictures, where the engine tracks changes: the bytes are the same.
fn snapshot(schema: &Schema, picture: &Picture) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = None;
    for (id, (kind, cells)) in picture {
        put_id(&mut out, *id, before);
        before = Some(*id);
        put_uint(&mut out, u64::from(*kind));
        put_entity(schema, *kind, cells, &mut out, 0);
    }
    out
}

fn put_entity(schema: &Schema, kind: u32, cells: &Cells, out: &mut Vec<u8>, shift: u32) {
    let fields = &schema.kinds[kind as usize].fields;
    let set = |place: &usize| cell(schema, kind, cells, *place) != fields[*place].r#type.zero();
    let places: Vec<usize> = (0..fields.len()).filter(set).collect();
    let mask = places.iter().fold(0_u64, |mask, place| mask | 1 << place);
    if shift == 0 {
        put_uint(out, mask);
    } else {
        put_uint(out, mask << 1 | 1);
        put_uint(out, u64::from(kind));
    }
    for place in places {
        fields[place].r#type.put(&cell(schema, kind, cells, place), None, out);
    }
}

fn delta(schema: &Schema, old: &Picture, new: &Picture) -> Vec<u8> {
    let ids: std::collections::BTreeSet<u32> = old.keys().chain(new.keys()).copied().collect();
    let mut out = Vec::new();
    let mut before = None;
    for id in ids {
        let mut entry = Vec::new();
        match (old.get(&id), new.get(&id)) {
            (Some(_), None) => put_uint(&mut entry, 0),
            (None, Some((kind, cells))) => put_entity(schema, *kind, cells, &mut entry, 1),
            (Some((kind, old)), Some((_, new))) => {
                let fields = &schema.kinds[*kind as usize].fields;
                let pair =
                    |place| (cell(schema, *kind, old, place), cell(schema, *kind, new, place));
                let places = (0..fields.len()).filter(|place| {
                    let (old, new) = pair(*place);
                    old != new
                });
                let places: Vec<usize> = places.collect();
                if places.is_empty() {
                    continue;
                }
                put_uint(&mut entry, places.iter().fold(0, |mask, place| mask | 2 << place));
                for place in places {
                    let (old, new) = pair(place);
                    fields[place].r#type.put(&new, Some(&old), &mut entry);
                }
            }
            (None, None) => {}
        }
        put_id(&mut out, id, before);
        before = Some(id);
        out.extend(entry);
    }
    out
}

fn plain(value: &ScalarValue) -> Json {
    match value {
        ScalarValue::Bool(value) => json!(value),
        ScalarValue::Int(value) => json!(value),
        ScalarValue::Uint(value) => json!(value),
        ScalarValue::Number(value) => json!(value),
        ScalarValue::Text(value) => json!(value),
        ScalarValue::Bytes(value) => json!({ "hex": hex(value) }),
        ScalarValue::Vec2(value) => json!(value),
        ScalarValue::Vec3(value) => json!(value),
    }
}

/// `[[id, kind, [value of each field]]]`.
fn entities(schema: &Schema, replica: &Replica) -> String {
    let all = replica.entities().iter().map(|(id, entity)| {
        let fields = 0..entity.cells.len();
        let values = fields.map(|field| match replica.value(schema, *id, field).unwrap() {
            FieldValue::One(value) => plain(&value),
            FieldValue::List(values) => values.iter().map(plain).collect(),
        });
        json!([id, entity.kind, values.collect::<Vec<_>>()])
    });
    Json::Array(all.collect()).to_string()
}

fn put_row(
    rows: &mut Vec<Row>,
    schema: &Schema,
    name: &str,
    form: &str,
    bytes: &[u8],
    replica: &Replica,
) {
    let row = Row::new(name).text(form, &hex(bytes)).raw("hash", &replica.hash().to_string());
    rows.push(row.raw("entities", &entities(schema, replica)));
}

#[test]
fn state_has_these_bytes_and_these_hashes() {
    let schema = schema();
    let mut rows = vec![Row::new("schema").raw("schema", &serde_json::to_string(&schema).unwrap())];
    for (part, pictures) in [("everyone", everyone()), ("owner", owner())] {
        let mut replica = Replica::default();
        let bytes = snapshot(&schema, &pictures[0]);
        replica.apply_snapshot(&schema, &bytes).unwrap();
        put_row(&mut rows, &schema, &format!("{part}, tick 0"), "snapshot", &bytes, &replica);
        for (tick, pair) in (1..).zip(pictures.windows(2)) {
            let bytes = delta(&schema, &pair[0], &pair[1]);
            replica.apply_delta(&schema, &bytes).unwrap();
            let mut fresh = Replica::default();
            fresh.apply_snapshot(&schema, &snapshot(&schema, &pair[1])).unwrap();
            assert_eq!(fresh, replica, "{part} {tick}");
            assert_eq!(fresh.hash(), replica.hash());
            put_row(&mut rows, &schema, &format!("{part}, tick {tick}"), "delta", &bytes, &replica);
        }
    }
    rows.extend(rejected(&schema));
    check("state.json", rows);
}

/// Each against the first picture of everyone.
fn rejected(schema: &Schema) -> Vec<Row> {
    let pictures = everyone();
    let bytes = snapshot(schema, &pictures[0]);
    let mut replica = Replica::default();
    replica.apply_snapshot(schema, &bytes).unwrap();
    let mut rows = Vec::new();
    for (name, hex_text, why) in SNAPSHOTS {
        let bytes = unhex(hex_text);
        let before = replica.clone();
        assert!(replica.apply_snapshot(schema, &bytes).is_err(), "{name}");
        assert_eq!(before, replica, "{name}");
        rows.push(Row::new(name).text("bad_snapshot", &hex(&bytes)).text("why", why));
    }
    for (name, hex_text, why) in DELTAS {
        let bytes = unhex(hex_text);
        let before = replica.clone();
        assert!(replica.apply_delta(schema, &bytes).is_err(), "{name}");
        assert_eq!(before, replica, "{name}");
        rows.push(Row::new(name).text("bad_delta", &hex(&bytes)).text("why", why));
    }
    rows
}

type Bad = (&'static str, &'static str, &'static str);

const SNAPSHOTS: &[Bad] = &[
    ("snapshot, id alone", "00", "the kind is missing"),
    ("snapshot, no mask", "00 00", "the mask is missing"),
    ("snapshot, cut integer", "00 00 01 80", "the integer ends early"),
    ("snapshot, unknown kind", "00 03 00", "kinds end at 2"),
    ("snapshot, unknown field", "00 00 10", "the room's fields end at 3"),
    ("snapshot, the same id twice", "05 02 00 00 02 00", "ids ascend"),
    ("snapshot, id above 2^32 - 1", "8080808010 02 00", "2^32"),
    ("snapshot, ids above 2^32 - 1", "05 02 00 fbffffff0f 02 00", "5 + 2^32 - 5"),
    ("snapshot, bytes left over", "05 02 00 01", "another entity starts and ends early"),
    ("snapshot, steps out of range", "05 02 01 a11f 00 00", "4001 of 4000 steps"),
    ("snapshot, bool 2", "05 01 01 02", "neither 0 nor 1"),
    ("snapshot, int above 2^53 - 1", "05 01 02 8080808080808020", "2^53"),
    ("snapshot, uint above 2^53 - 1", "05 01 04 8080808080808010", "2^53"),
    ("snapshot, f32 not a number", "05 01 08 0000c07f", "NaN"),
    ("snapshot, f64 infinite", "05 01 10 000000000000f07f", "infinity"),
    ("snapshot, text is no UTF-8", "05 01 40 02 c328", "c3 28 is no UTF-8"),
    ("snapshot, text cut", "05 01 40 03 6162", "3 bytes of which 2 are there"),
    ("snapshot, longer integer than needed", "05 01 02 8600", "3 in two bytes"),
    ("snapshot, integer of 11 bytes", "05 01 04 8080808080808080808001", "too long"),
    ("snapshot, integer above 2^64 - 1", "05 01 04 ffffffffffffffffff02", "2^65"),
    ("snapshot, list of 4097", "00 00 04 8120", "lists end at 4096"),
    ("snapshot, list cut", "00 00 04 03 0101", "3 elements of which 2 are there"),
    ("snapshot, text in a list is no UTF-8", "00 00 08 01 01 ff", "ff is no UTF-8"),
];

const DELTAS: &[Bad] = &[
    ("delta, id alone", "01", "the header is missing"),
    ("delta, gone but not there", "02 00", "there is no entity 2"),
    ("delta, changed but not there", "02 02 01", "there is no entity 2"),
    ("delta, new but there", "01 01 01", "there is an entity 1"),
    ("delta, the same id twice", "01 00 00 00", "ids ascend"),
    ("delta, gone, then a fault", "01 00 01 01 03", "kinds end at 2; entity 1 stays"),
    ("delta, unknown kind", "02 03 03 00", "kinds end at 2"),
    ("delta, unknown field", "00 20", "the room's fields end at 3"),
    ("delta, unknown field of a new entity", "02 09 02 00", "a thing's fields end at 1"),
    ("delta, cut", "01 8004 04", "the second difference is missing"),
    ("delta, bytes left over", "00 02 02 01", "another entity starts and ends early"),
    ("delta, steps below 0", "01 8004 a11f 00", "2000 - 2001"),
    ("delta, steps out of range", "01 8004 a21f 00", "2000 + 2001 of 4000"),
    ("delta, uint below 0", "00 02 01", "0 - 1"),
    ("delta, uint above 2^53 - 1", "00 02 8080808080808020", "0 + 2^53"),
    ("delta, int above 2^53 - 1", "01 04 8680808080808020", "-3 + 2^53 + 3"),
    ("delta, longer integer than needed", "00 02 8200", "1 in two bytes"),
    ("delta, edit keeps more than there is", "00 10 08 00", "4 of 3 elements"),
    ("delta, edit drops more than there is", "00 10 00 01 04", "4 of 3 elements"),
    ("delta, edit without elements", "00 10 00 02", "the element is missing"),
    ("delta, edit of more than 4096", "00 10 00 8240", "4097 new elements"),
    ("delta, second edit missing", "00 10 01 00", "the next edit is missing"),
];
