//! A room's state: the delta of a tick, and a snapshot. Bytes are compared in `../state`.

use crate::case::Case;
use madang_engine::room::state::{Belonging, Part, State, StateLimits};
use madang_protocol::state::{
    Field as FieldOf, FieldType, FieldValue, Kind, Number, Scalar, ScalarValue, Schema, Visibility,
};
use std::sync::Arc;

/// Entities that move, each with a place, a direction and its health.
struct Field {
    state: State,
    ids: Vec<u32>,
    tick: u32,
}

impl Field {
    fn of(entities: usize) -> Self {
        let limits = StateLimits { entities_max: 10_000, bytes_max: 1 << 24 };
        let mut state = State::new(schema(), limits).expect("the schema is valid");
        let ids =
            (0..entities).map(|_| state.create(1, Belonging::default()).expect("there is room"));
        let ids = ids.collect();
        let mut field = Self { state, ids, tick: 0 };
        field.play();
        field.state.commit();
        field
    }

    /// Everybody moves.
    fn play(&mut self) {
        self.tick += 1;
        for (number, id) in self.ids.iter().enumerate() {
            let at = f64::from((self.tick * 7 + number as u32 * 13) % 1000);
            let place = FieldValue::One(ScalarValue::Vec2([at, 1000.0 - at]));
            self.state.set(*id, 0, &place).expect("the field is there");
        }
    }

    fn commit(&mut self) {
        let deltas = self.state.commit();
        assert!(deltas.iter().any(|delta| delta.part == Part::Members && !delta.bytes.is_empty()));
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let whole = Field::of(500);
    vec![
        committing("commit_32_moving", 32),
        committing("commit_500_moving", 500),
        Case::new(("state", "snapshot_of_500"), move || whole.state.snapshot(Part::Members))
            .per(500, "entity"),
    ]
}

fn committing(name: &'static str, entities: usize) -> Case {
    Case::prepared(("state", name), Field::of(entities), Field::play, Field::commit)
        .per(entities as u64, "entity")
        // The list, and a delta each for members and spectators: as many for many entities.
        .allocates_at_most(3)
}

fn schema() -> Arc<Schema> {
    let field = |name: &str, of| FieldOf {
        name: name.to_owned(),
        r#type: FieldType::One(of),
        visibility: Visibility::Everyone,
    };
    let place = Scalar::Vec2(Number::quantised(0.0, 1000.0, 0.01));
    let velocity = Scalar::Vec2(Number::quantised(-20.0, 20.0, 0.01));
    let fields =
        vec![field("at", place), field("velocity", velocity), field("health", Scalar::Uint)];
    let kinds = vec![
        Kind { name: "room".to_owned(), fields: Vec::new() },
        Kind { name: "player".to_owned(), fields },
    ];
    Arc::new(Schema { kinds })
}
