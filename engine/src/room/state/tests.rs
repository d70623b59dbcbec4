//! The state through random changes, and what each audience may see.

use super::*;
use madang_protocol::replica::Replica;
use madang_protocol::state::{Field, FieldType, Kind, Number, Scalar, ScalarValue, Visibility};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeSet;

const VISIBILITIES: [Visibility; 6] = [
    Visibility::Everyone,
    Visibility::Team,
    Visibility::Owner,
    Visibility::Spectators,
    Visibility::Members,
    Visibility::Nobody,
];

fn types() -> Vec<FieldType> {
    let quantised = Number::quantised(-50.0, 50.0, 0.01);
    vec![
        FieldType::One(Scalar::Bool),
        FieldType::One(Scalar::Int),
        FieldType::One(Scalar::Uint),
        FieldType::One(Scalar::Number(Number::F32)),
        FieldType::One(Scalar::Number(Number::F64)),
        FieldType::One(Scalar::Number(quantised)),
        FieldType::One(Scalar::Text),
        FieldType::One(Scalar::Bytes),
        FieldType::One(Scalar::Vec2(quantised)),
        FieldType::One(Scalar::Vec3(Number::F32)),
        FieldType::List(Scalar::Int),
        FieldType::List(Scalar::Vec2(quantised)),
    ]
}

/// A kind with every type at every visibility would pass the mask: types go round.
fn schema() -> Arc<Schema> {
    let field = |place: usize, (visibility, r#type)| Field {
        name: format!("f{place}"),
        r#type,
        visibility,
    };
    let all = |shift: usize| {
        let types = types();
        VISIBILITIES
            .into_iter()
            .flat_map(|visibility| (0..4).map(move |place| (visibility, place)).collect::<Vec<_>>())
            .enumerate()
            .map(|(place, (visibility, step))| {
                (visibility, types[(place * 5 + step + shift) % types.len()])
            })
            .enumerate()
            .map(|(place, pair)| field(place, pair))
            .collect()
    };
    let kinds = [("room", 0), ("actor", 1), ("thing", 2)];
    let mut kinds = kinds.map(|(name, shift)| Kind { name: name.into(), fields: all(shift) });
    let at = FieldType::One(Scalar::Vec2(Number::quantised(-50.0, 50.0, 0.01)));
    kinds[1].fields.push(Field { name: "at".into(), r#type: at, visibility: Visibility::Everyone });
    Arc::new(Schema { kinds: kinds.into() })
}

fn limits() -> StateLimits {
    StateLimits { entities_max: 40, bytes_max: 1 << 20 }
}

fn draw(rng: &mut ChaCha12Rng, bound: u32) -> u32 {
    rng.next_u32() % bound
}

fn scalar(rng: &mut ChaCha12Rng, scalar: Scalar) -> ScalarValue {
    let number = |rng: &mut ChaCha12Rng| f64::from(draw(rng, 12_000)) / 100.0 - 60.0;
    match scalar {
        Scalar::Bool => ScalarValue::Bool(draw(rng, 2) == 1),
        Scalar::Int => ScalarValue::Int(i64::from(draw(rng, 1000)) - 500),
        Scalar::Uint => ScalarValue::Uint(u64::from(rng.next_u32()) << draw(rng, 20)),
        Scalar::Number(_) => ScalarValue::Number(number(rng)),
        Scalar::Text => ScalarValue::Text("마당".repeat(draw(rng, 3) as usize)),
        Scalar::Bytes => ScalarValue::Bytes(vec![7; draw(rng, 5) as usize]),
        Scalar::Vec2(_) => ScalarValue::Vec2([number(rng), number(rng)]),
        Scalar::Vec3(_) => ScalarValue::Vec3([number(rng), number(rng), number(rng)]),
    }
}

fn value(rng: &mut ChaCha12Rng, r#type: FieldType) -> FieldValue {
    match r#type {
        FieldType::One(one) => FieldValue::One(scalar(rng, one)),
        FieldType::List(of) => {
            let count = draw(rng, 4);
            FieldValue::List((0..count).map(|_| scalar(rng, of)).collect())
        }
    }
}

/// Each part's replica, fed with its deltas alone, equals one made from a snapshot, hashes as
/// the state says, and holds what the state holds for exactly the fields that it may see.
#[test]
fn every_part_follows_the_state_through_random_changes() {
    let schema = schema();
    for seed in 0..20 {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let plane = (seed % 2 == 1).then_some(Plane { field: "at", cell: 40.0 });
        let mut state = State::on_plane(Arc::clone(&schema), plane, limits()).unwrap();
        let parts: Vec<Part> = [Part::Members, Part::Spectators]
            .into_iter()
            .chain((1..3).map(Part::Team))
            .chain((1..4).map(Part::Owner))
            .chain((-2..2).flat_map(|x| (-2..2).map(move |y| Part::Cell(cell_number(x, y)))))
            .collect();
        let mut replicas = BTreeMap::new();
        for part in &parts {
            let mut replica = Replica::default();
            replica.apply_snapshot(&schema, &state.snapshot(*part)).unwrap();
            replicas.insert(*part, replica);
        }
        for _ in 0..60 {
            for _ in 0..draw(&mut rng, 8) {
                change(&mut state, &mut rng);
            }
            // Nothing of an unfinished tick shows.
            for part in &parts {
                let mut fresh = Replica::default();
                fresh.apply_snapshot(&schema, &state.snapshot(*part)).unwrap();
                assert_eq!(&fresh, &replicas[part], "{part:?}");
            }
            for delta in state.commit() {
                if let Some(replica) = replicas.get_mut(&delta.part) {
                    replica.apply_delta(&schema, &delta.bytes).unwrap();
                    assert_eq!(replica.hash(), delta.hash);
                }
            }
            for (part, ids) in &state.within {
                let is_in = |id| state.shape.is_in(&state.entities[id], *part);
                assert!(!ids.is_empty() && ids.iter().all(is_in), "{part:?}");
            }
            for part in &parts {
                let replica = &replicas[part];
                let mut fresh = Replica::default();
                fresh.apply_snapshot(&schema, &state.snapshot(*part)).unwrap();
                assert_eq!(&fresh, replica, "{part:?}");
                assert_eq!(replica.hash(), state.hash(*part), "{part:?}");
                sees_what_it_may(&state, replica, *part);
            }
        }
    }
}

fn change(state: &mut State, rng: &mut ChaCha12Rng) {
    let ids: Vec<u32> = [0].into_iter().chain(state.ids()).collect();
    let id = ids[draw(rng, ids.len() as u32) as usize];
    let belonging = Belonging { owner: draw(rng, 4), team: draw(rng, 3) };
    match draw(rng, 10) {
        0 | 1 => drop(state.create(draw(rng, 3), belonging)),
        2 => drop(state.remove(id)),
        3 => drop(state.give(id, belonging)),
        _ => {
            let fields = &state.schema().kinds[state.kind(id).unwrap() as usize].fields;
            let field = draw(rng, fields.len() as u32) as usize;
            let value = value(rng, fields[field].r#type);
            state.set(id, field, &value).unwrap();
        }
    }
}

fn sees_what_it_may(state: &State, replica: &Replica, part: Part) {
    for (id, entity) in &state.entities {
        let seen = replica.entities().get(id);
        let is_in = state.shape.is_in(entity, part);
        assert_eq!(seen.is_some(), is_in, "{part:?} {id}");
        let mask = if is_in { state.shape.mask(entity, part) } else { 0 };
        for (place, cell) in entity.cells.iter().enumerate() {
            let shown = seen.map(|seen| &seen.cells[place]);
            let zero = state.schema().kinds[entity.kind as usize].fields[place].r#type.zero();
            if mask >> place & 1 == 1 {
                assert_eq!(shown, Some(cell));
            } else {
                assert!(shown.is_none_or(|shown| *shown == zero), "a hidden field is shown");
            }
        }
    }
    assert!(replica.entities().keys().all(|id| state.entities.contains_key(id)));
}

#[test]
fn a_hidden_value_is_in_no_byte_of_a_part_that_may_not_see_it() {
    let fields = |visibility| Field {
        name: "secret".into(),
        r#type: FieldType::One(Scalar::Text),
        visibility,
    };
    for visibility in VISIBILITIES {
        let kind = Kind { name: "k".into(), fields: vec![fields(visibility)] };
        let schema = Arc::new(Schema { kinds: vec![kind] });
        let mut state = State::new(schema, limits()).unwrap();
        let id = state.create(0, Belonging { owner: 1, team: 1 }).unwrap();
        let text = FieldValue::One(ScalarValue::Text("needle".into()));
        state.set(id, 0, &text).unwrap();
        let holds = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"needle");
        let mut shown: BTreeSet<Part> =
            state.commit().iter().filter(|d| holds(&d.bytes)).map(|d| d.part).collect();
        let parts = [Part::Members, Part::Spectators, Part::Team(1), Part::Team(2), Part::Owner(1)];
        let in_snapshot: BTreeSet<Part> =
            parts.into_iter().filter(|part| holds(&state.snapshot(*part))).collect();
        assert_eq!(shown, in_snapshot);
        let may: &[Part] = match visibility {
            Visibility::Everyone => &[Part::Members, Part::Spectators],
            Visibility::Team => &[Part::Team(1), Part::Spectators],
            Visibility::Owner => &[Part::Owner(1), Part::Spectators],
            Visibility::Spectators => &[Part::Spectators],
            Visibility::Members => &[Part::Members],
            Visibility::Nobody => &[],
        };
        for part in may {
            assert!(shown.remove(part), "{visibility:?} {part:?}");
        }
        assert!(shown.is_empty(), "{visibility:?} {shown:?}");
    }
}

#[test]
fn nobody_is_told_of_entities_that_it_sees_nothing_of() {
    let field =
        |visibility| Field { name: "f".into(), r#type: FieldType::One(Scalar::Bool), visibility };
    let kinds = [Visibility::Owner, Visibility::Members, Visibility::Nobody]
        .map(|visibility| Kind { name: "k".into(), fields: vec![field(visibility)] });
    let mut state = State::new(Arc::new(Schema { kinds: kinds.into() }), limits()).unwrap();
    let mut told = |kind| {
        state.create(kind, Belonging { owner: 1, team: 1 }).unwrap();
        state.commit().into_iter().map(|delta| delta.part).collect::<Vec<_>>()
    };
    assert_eq!(told(0), [Part::Owner(1), Part::Spectators]);
    assert_eq!(told(1), [Part::Members]);
    assert_eq!(told(2), []);
}

#[test]
fn a_small_move_costs_a_byte_a_coordinate() {
    let position = FieldType::One(Scalar::Vec2(Number::quantised(0.0, 1000.0, 0.01)));
    let field = Field { name: "at".into(), r#type: position, visibility: Visibility::Everyone };
    let kinds = vec![Kind::default(), Kind { name: "p".into(), fields: vec![field] }];
    let mut state = State::new(Arc::new(Schema { kinds }), limits()).unwrap();
    let id = state.create(1, Belonging::default()).unwrap();
    let at = |x, y| FieldValue::One(ScalarValue::Vec2([x, y]));
    state.set(id, 0, &at(500.0, 500.0)).unwrap();
    state.commit();
    state.set(id, 0, &at(500.3, 499.8)).unwrap();
    let delta = state.commit().into_iter().find(|delta| delta.part == Part::Members).unwrap();
    // One change: id, mask, and two differences.
    assert_eq!(delta.bytes, [1, 2, 60, 39]);
}

#[test]
fn bounds_hold_and_what_does_not_change_is_not_sent() {
    let kind = Kind {
        name: "k".into(),
        fields: vec![Field {
            name: "t".into(),
            r#type: FieldType::One(Scalar::Bytes),
            visibility: Visibility::Everyone,
        }],
    };
    // The room's own entity, one more, and 68 bytes for two values that may have content.
    let own = ENTITY_BYTES + size_of::<Cell>();
    let limits = StateLimits { entities_max: 2, bytes_max: 2 * own + 68 };
    let mut state = State::new(Arc::new(Schema { kinds: vec![kind] }), limits).unwrap();
    let id = state.create(0, Belonging::default()).unwrap();
    let bytes = |len| FieldValue::One(ScalarValue::Bytes(vec![1; len]));
    assert_eq!(state.set(id, 0, &bytes(69)), Err(StateError::Full));
    state.set(id, 0, &bytes(60)).unwrap();
    state.create(0, Belonging::default()).unwrap_err();
    assert_eq!(state.set(id, 1, &bytes(1)), Err(StateError::UnknownField));
    assert_eq!(state.set(9, 0, &bytes(1)), Err(StateError::WrongEntity));
    assert_eq!(state.remove(0), Err(StateError::WrongEntity));
    assert_eq!(state.commit().len(), 2);
    state.set(id, 0, &bytes(60)).unwrap();
    state.set(id, 0, &bytes(3)).unwrap();
    state.set(id, 0, &bytes(60)).unwrap();
    assert!(state.commit().is_empty());
    state.remove(id).unwrap();
    assert_eq!((state.commit().len(), state.len()), (2, 0));
}
