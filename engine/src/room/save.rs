//! A room's rules and state, put away and taken up again.
//!
//! What is saved is between two calls: the state as its rules know it, hidden fields and what the tick
//! has not told yet included, the room's time, timers and random numbers, and what the rules themselves
//! want to keep ([`RoomLogic::save`](super::logic::RoomLogic::save)). Members are not: sessions do not
//! outlive what a room is saved for. Entities keep their owners' ids, which no later member of the
//! restored room gets; the rules decide what becomes of them.

use super::logic::{Action, LogicKind, RoomOptions};
use super::play::{Answer, Call, NotMade, Play};
use super::state::{Belonging, State};
use crate::config::RoomConfig;
use madang_protocol::state::{FieldValue, StateError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A room that was put away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRoom {
    /// Its kind's name.
    pub kind: String,
    /// Its newest tick.
    pub tick: u64,
    /// Where its random numbers are: the seed, which is the room's secret, and the words taken since.
    pub random: ([u8; 32], u64, u64),
    /// Timers by tick, in the order they were set.
    pub timers: Vec<(u64, Vec<u32>)>,
    /// The highest id that an entity was ever given, and the highest member's.
    pub ids: (u32, u32),
    /// Every entity, the room's own first.
    pub entities: Vec<SavedEntity>,
    /// What the rules keep.
    pub logic: Vec<u8>,
}

/// An entity of a saved room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedEntity {
    /// Its id.
    pub id: u32,
    /// Its kind.
    pub kind: u32,
    /// Its owner and team.
    pub belonging: (u32, u32),
    /// Every field.
    pub fields: Vec<FieldValue>,
}

impl State {
    /// Every entity as it is now, also what no audience may see.
    pub fn save(&self) -> Vec<SavedEntity> {
        let ids = [0].into_iter().chain(self.ids());
        ids.filter_map(|id| {
            let (kind, belonging) = (self.kind(id)?, self.belonging(id)?);
            let fields = self.schema().kind(kind)?.fields.len();
            let fields =
                (0..fields).map(|field| self.get(id, field).ok()).collect::<Option<_>>()?;
            Some(SavedEntity { id, kind, belonging: (belonging.owner, belonging.team), fields })
        })
        .collect()
    }

    /// Puts saved entities into a state that has none but the room's own.
    ///
    /// # Errors
    ///
    /// When they do not fit the schema or the bounds, or their ids do not ascend up to `last_id`.
    pub fn restore(&mut self, entities: &[SavedEntity], last_id: u32) -> Result<(), StateError> {
        for entity in entities {
            let belonging = Belonging { owner: entity.belonging.0, team: entity.belonging.1 };
            self.create_as(entity.id, entity.kind, belonging)?;
            for (field, value) in entity.fields.iter().enumerate() {
                self.set(entity.id, field, value)?;
            }
        }
        self.number_from(last_id)
    }
}

impl Play {
    /// Puts the room away, if its rules can be; between two ticks, with nothing owed to members.
    pub fn save(&self, kind: &str) -> Option<SavedRoom> {
        let words = self.rng.get_word_pos();
        Some(SavedRoom {
            kind: kind.to_owned(),
            tick: self.tick,
            random: (self.rng.get_seed(), words as u64, (words >> 64) as u64),
            timers: self.timers.iter().map(|(tick, timers)| (*tick, timers.clone())).collect(),
            ids: (self.state.last_id(), self.highest_member),
            entities: self.state.save(),
            logic: self.logic_saved()?,
        })
    }

    /// Takes a room up again; its rules are asked with
    /// [`RoomLogic::restore`](super::logic::RoomLogic::restore) and not with `on_create`. Members that
    /// enter it must have higher ids than [`SavedRoom::ids`] has.
    ///
    /// # Errors
    ///
    /// When the room is of another kind, does not fit the kind's schema or the bounds, or the rules
    /// refuse it.
    pub fn restored(
        kind: &LogicKind,
        options: &RoomOptions<'_>,
        config: &RoomConfig,
        saved: &SavedRoom,
    ) -> Result<(Self, Vec<Action>), NotMade> {
        if saved.kind != kind.name {
            let words = format!("a room of kind {} was saved, not of {}", saved.kind, kind.name);
            return Err(NotMade::Refused(words));
        }
        let (seed, low, high) = saved.random;
        let mut play = Self::empty(kind, options, config, seed)?;
        play.state
            .restore(&saved.entities, saved.ids.0)
            .map_err(|error| NotMade::Refused(format!("the saved state: {error}")))?;
        play.rng.set_word_pos(u128::from(low) | u128::from(high) << 64);
        play.tick = saved.tick;
        play.highest_member = saved.ids.1;
        play.timers = saved.timers.iter().cloned().collect();
        play.timers_waiting = saved.timers.iter().map(|(_, timers)| timers.len()).sum();
        let (answer, actions) = play.call(&Call::Restore { saved: Cow::Borrowed(&saved.logic) })?;
        if let Answer::Refused(words) = answer {
            return Err(NotMade::Refused(words));
        }
        play.end_tick();
        Ok((play, actions))
    }
}

#[cfg(test)]
mod tests {
    use super::super::logic::{Audience, Context, RoomLogic};
    use super::*;
    use madang_protocol::state::{
        Field, FieldType, Kind, Number, Scalar, ScalarValue, Schema, Visibility,
    };
    use std::sync::Arc;

    /// Things that drift by chance, come and go by timers, and are counted by the rules alone.
    #[derive(Default)]
    struct Drift {
        steps: u8,
    }

    impl RoomLogic for Drift {
        fn schema(&self) -> Arc<Schema> {
            let at = FieldType::One(Scalar::Vec2(Number::quantised(-10.0, 10.0, 0.1)));
            let field =
                |name: &str, r#type, visibility| Field { name: name.into(), r#type, visibility };
            let thing = vec![
                field("at", at, Visibility::Everyone),
                field("age", FieldType::One(Scalar::Uint), Visibility::Nobody),
            ];
            let kinds = [("room", vec![]), ("thing", thing)];
            let kind = |(name, fields): (&str, _)| Kind { name: name.into(), fields };
            Arc::new(Schema { kinds: kinds.map(kind).into() })
        }

        fn on_create(&mut self, ctx: &mut Context<'_>) {
            ctx.set_timer(3, 1);
        }

        fn on_timer(&mut self, ctx: &mut Context<'_>, timer: u32) {
            let belonging = Belonging { owner: timer, team: 0 };
            ctx.create(1, belonging).unwrap();
            let ticks = u64::from(ctx.random(4)) + 1;
            ctx.set_timer(ticks, timer + 1);
        }

        fn on_tick(&mut self, ctx: &mut Context<'_>) {
            self.steps = self.steps.wrapping_add(1);
            for id in ctx.state().ids().collect::<Vec<_>>() {
                let at = [ctx.random_unit() * 20.0 - 10.0, f64::from(self.steps) / 30.0];
                ctx.set(id, 0, &FieldValue::One(ScalarValue::Vec2(at))).unwrap();
                let age = u64::from(self.steps);
                ctx.set(id, 1, &FieldValue::One(ScalarValue::Uint(age))).unwrap();
                if ctx.random(40) == 0 {
                    ctx.remove(id).unwrap();
                }
            }
            ctx.send(
                Audience::Everyone,
                madang_protocol::client::Class::Volatile,
                "step",
                madang_protocol::value::Payload::Bytes(vec![self.steps].into()),
            );
        }

        fn save(&self) -> Option<Vec<u8>> {
            Some(vec![self.steps])
        }

        fn restore(&mut self, _: &mut Context<'_>, saved: &[u8]) -> Result<(), String> {
            self.steps = *saved.first().ok_or("nothing was saved")?;
            Ok(())
        }
    }

    fn kind() -> LogicKind {
        LogicKind {
            name: "drift",
            tick_hz: 20,
            interest: None,
            factory: Arc::new(|_| Ok(Box::new(Drift::default()))),
        }
    }

    const OPTIONS: RoomOptions<'_> =
        RoomOptions { name: "r", labels: &[], capacity: 4, extensions: &[] };

    #[test]
    fn a_room_that_was_put_away_goes_on_as_if_it_had_not_been() {
        let config = RoomConfig::default();
        for seed in 0..20 {
            let (mut play, _) = Play::new(&kind(), &OPTIONS, &config, [seed; 32]).unwrap();
            let until = u64::from(seed) * 7 % 60;
            for _ in 0..until {
                play.call(&Call::Tick).unwrap();
                play.end_tick();
            }
            let text = serde_json::to_string(&play.save("drift").unwrap()).unwrap();
            let saved: SavedRoom = serde_json::from_str(&text).unwrap();
            let (mut again, _) = Play::restored(&kind(), &OPTIONS, &config, &saved).unwrap();
            assert_eq!(again.save("drift"), play.save("drift"));
            for _ in 0..100 {
                let said = play.call(&Call::Tick).unwrap();
                assert_eq!(again.call(&Call::Tick).unwrap(), said);
                assert_eq!(
                    again.end_tick().deltas.into_iter().map(|(delta, _)| delta).collect::<Vec<_>>(),
                    play.end_tick().deltas.into_iter().map(|(delta, _)| delta).collect::<Vec<_>>()
                );
                assert_eq!(again.state().digest(), play.state().digest());
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let config = RoomConfig::default();
        let (mut play, _) = Play::new(&kind(), &OPTIONS, &config, [1; 32]).unwrap();
        for _ in 0..20 {
            play.call(&Call::Tick).unwrap();
            play.end_tick();
        }
        let saved = play.save("drift").unwrap();
        assert!(saved.entities.len() > 2, "there is something to be wrong about");
        let refused = |change: &dyn Fn(&mut SavedRoom)| {
            let mut saved = saved.clone();
            change(&mut saved);
            matches!(Play::restored(&kind(), &OPTIONS, &config, &saved), Err(NotMade::Refused(_)))
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|saved| saved.kind = "other".into()));
        assert!(refused(&|saved| saved.logic.clear()));
        assert!(refused(&|saved| saved.entities.swap(1, 2)));
        assert!(refused(&|saved| saved.entities[1].kind = 9));
        let truth = FieldValue::One(ScalarValue::Bool(true));
        assert!(refused(&|saved| saved.entities[1].fields[0] = truth.clone()));
        assert!(refused(&|saved| saved.ids.0 = 0));
        let small = RoomConfig { state_entities_max: 1, ..config.clone() };
        assert!(Play::restored(&kind(), &OPTIONS, &small, &saved).is_err());
    }
}
