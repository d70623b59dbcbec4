//! What a replica does with bytes that nobody wrote: refuses them and stays as it was, or applies
//! them and stays whole.

use madang_protocol::replica::Replica;
use madang_protocol::state::{Schema, existence, share};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use serde_json::Value as Json;
use std::sync::LazyLock;

/// Each golden delta with the replica that it applies to.
struct Step {
    replica: Replica,
    delta: Vec<u8>,
}

static VECTORS: LazyLock<(Schema, Vec<Step>, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/state.json");
    let rows: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let schema: Schema = serde_json::from_value(rows[0]["schema"].clone()).unwrap();
    let (mut steps, mut snapshots) = (Vec::new(), Vec::new());
    let mut replica = Replica::default();
    for row in &rows {
        if let Some(hex) = row["snapshot"].as_str() {
            snapshots.push(unhex(hex));
            replica.apply_snapshot(&schema, &unhex(hex)).unwrap();
        } else if let Some(hex) = row["delta"].as_str() {
            let delta = unhex(hex);
            steps.push(Step { replica: replica.clone(), delta: delta.clone() });
            replica.apply_delta(&schema, &delta).unwrap();
        }
    }
    assert!(steps.len() > 5 && snapshots.len() > 1, "the vectors hold some of each");
    (schema, steps, snapshots)
});

fn unhex(text: &str) -> Vec<u8> {
    let byte = |place| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index),
    Remove(Index, usize),
    Repeat(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let byte = prop_oneof![0_u8..8, 0x78_u8..0x88, any::<u8>()];
    let place = any::<Index>;
    prop_oneof![
        (place(), byte.clone()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (place(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (place(), vec(byte, 1..12)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        place().prop_map(Mutation::Cut),
        (place(), 1_usize..5).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (place(), 1_usize..9).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for mutation in mutations.iter().cloned() {
        let at = |index: Index| index.index(bytes.len() + 1);
        let range = |start: usize, count: usize| start..(start + count).min(bytes.len());
        match mutation {
            Mutation::Replace(index, byte) => {
                let at = at(index);
                bytes.splice(range(at, 1), [byte]);
            }
            Mutation::Flip(index, bit) => {
                let at = at(index);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            Mutation::Insert(index, new) => {
                let at = at(index);
                bytes.splice(at..at, new);
            }
            Mutation::Cut(index) => bytes.truncate(at(index)),
            Mutation::Remove(index, count) => {
                let range = range(at(index), count);
                bytes.drain(range);
            }
            Mutation::Repeat(index, count) => {
                let range = range(at(index), count);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
        }
    }
}

/// The hash is that of what is there, and every field has a value of its type.
fn is_whole(schema: &Schema, replica: &Replica) {
    let mut hash = 0_u32;
    for (id, entity) in replica.entities() {
        hash = hash.wrapping_add(existence(*id, entity.kind));
        for (cell, field) in entity.cells.iter().zip(0_u8..) {
            hash = hash.wrapping_add(share(*id, field, cell));
            let value = replica.value(schema, *id, usize::from(field)).expect("it has a value");
            let field_type = schema.kinds[entity.kind as usize].fields[usize::from(field)].r#type;
            assert_eq!(field_type.cell(&value).as_ref(), Ok(cell), "a cell is not canonical");
        }
    }
    assert_eq!(hash, replica.hash());
}

fn apply(replica: &Replica, apply: impl FnOnce(&mut Replica) -> bool) {
    let schema = &VECTORS.0;
    let mut copy = replica.clone();
    if apply(&mut copy) {
        is_whole(schema, &copy);
    } else {
        assert_eq!(&copy, replica);
    }
}

proptest! {
    #![proptest_config(Config::with_cases(4000))]

    #[test]
    fn a_mutated_delta_is_refused_whole_or_applied_whole(
        step in any::<Index>(),
        mutations in vec(mutation(), 1..4),
    ) {
        let (schema, steps, _) = &*VECTORS;
        let step = step.get(steps);
        let mut bytes = step.delta.clone();
        mutate(&mut bytes, &mutations);
        apply(&step.replica, |replica| replica.apply_delta(schema, &bytes).is_ok());
    }

    #[test]
    fn a_mutated_snapshot_is_refused_whole_or_applied_whole(
        snapshot in any::<Index>(),
        mutations in vec(mutation(), 1..4),
    ) {
        let (schema, steps, snapshots) = &*VECTORS;
        let mut bytes = snapshot.get(snapshots).clone();
        mutate(&mut bytes, &mutations);
        apply(&steps[0].replica, |replica| replica.apply_snapshot(schema, &bytes).is_ok());
    }

    #[test]
    fn any_bytes_are_refused_whole_or_applied_whole(
        step in any::<Index>(),
        bytes in vec(prop_oneof![3 => 0_u8..4, 1 => any::<u8>()], 0..60),
    ) {
        let (schema, steps, _) = &*VECTORS;
        let replica = &step.get(steps).replica;
        apply(replica, |replica| replica.apply_delta(schema, &bytes).is_ok());
        apply(replica, |replica| replica.apply_snapshot(schema, &bytes).is_ok());
    }
}

#[test]
fn every_cut_of_a_delta_is_refused_or_ends_between_two_entities() {
    let (schema, steps, _) = &*VECTORS;
    for step in steps {
        for len in 0..step.delta.len() {
            let apply_cut =
                |replica: &mut Replica| replica.apply_delta(schema, &step.delta[..len]).is_ok();
            apply(&step.replica, apply_cut);
        }
    }
}
