//! The room logic: what members do to the [`World`], and what a tick shows of it.

use crate::input;
use crate::movement::TICK_HZ;
use crate::player::Driver;
use crate::rules;
use crate::schema::schema;
use crate::show::{show, tell};
use crate::world::World;
use madang_engine::room::logic::{
    Context, Incoming, LogicKind, MemberView, RoomLogic, RoomOptions,
};
use madang_protocol::state::{Schema, StateError};
use madang_protocol::value::{Payload, Value};
use std::sync::Arc;

/// The kind of room: `arena`, 20 ticks a second.
///
/// Labels of the room: `bots`, the seats that bots fill while no member does (0 to 32, 8 if it is not
/// there), and `seconds`, the length of a round (20 to 600, 100 if it is not there).
pub fn kind() -> LogicKind {
    LogicKind {
        name: "arena",
        tick_hz: TICK_HZ,
        interest: None,
        factory: Arc::new(|options| Ok(Box::new(Arena::new(options)?))),
    }
}

/// One courtyard.
#[derive(Debug)]
struct Arena {
    schema: Arc<Schema>,
    seats: u32,
    round_ticks: u32,
    world: World,
}

impl Arena {
    fn new(options: &RoomOptions<'_>) -> Result<Self, String> {
        let seats = number(options, "bots", rules::BOTS_DEFAULT, 0, rules::PLAYERS_MAX as u32)?;
        let (least, most) = (rules::ROUND_SECONDS_MIN, rules::ROUND_SECONDS_MAX);
        let seconds = number(options, "seconds", rules::ROUND_SECONDS_DEFAULT, least, most)?;
        let round_ticks = seconds * TICK_HZ;
        let world = World::new(0, seats, round_ticks);
        Ok(Self { schema: Arc::new(schema()), seats, round_ticks, world })
    }
}

impl RoomLogic for Arena {
    fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema)
    }

    fn on_create(&mut self, ctx: &mut Context<'_>) {
        let [high, low] = [(); 2].map(|()| u64::from(ctx.random(u32::MAX)));
        self.world = World::new(high << 32 | low, self.seats, self.round_ticks);
        // The first who enters sees a courtyard and not an empty page.
        self.show(ctx);
    }

    fn may_join(&mut self, _: &mut Context<'_>, _: &MemberView<'_>) -> Result<(), String> {
        if self.world.members() < rules::PLAYERS_MAX {
            return Ok(());
        }
        Err(format!("the courtyard is full: {} play already", rules::PLAYERS_MAX))
    }

    fn on_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) {
        let attribute = |name| member.attributes.iter().find(|(found, _)| found == name);
        // What is not a name is no reason to stay outside.
        let name = match attribute("name") {
            Some((_, Value::Text(name))) => clean_name(name).ok(),
            _ => None,
        };
        let color = match attribute("color") {
            Some((_, Value::Int(color))) => u8::try_from(*color).ok(),
            _ => None,
        };
        let color = color.filter(|color| *color < rules::COLORS);
        if !self.world.enter(member.id, name, color) {
            ctx.kick(member.id);
        }
    }

    fn on_leave(&mut self, _: &mut Context<'_>, member: u32) {
        self.world.leave(member);
    }

    fn on_message(
        &mut self,
        _: &mut Context<'_>,
        member: u32,
        message: &Incoming<'_>,
    ) -> Result<(), String> {
        let player = self.world.of_member(member).ok_or("you do not play")?;
        match (message.r#type, message.payload) {
            ("input", Payload::Bytes(bytes)) => {
                let (first, inputs) = input::read(bytes)?;
                let Driver::Member { queue, .. } = &mut player.driver else { return Ok(()) };
                for (step, input) in (0..).zip(inputs) {
                    queue.push(first.saturating_add(step), input);
                }
            }
            ("name", Payload::Text(name)) => {
                player.name = clean_name(name)?;
                player.is_named = false;
            }
            ("emote", Payload::Bytes(bytes)) => match **bytes {
                [emote @ 1..=rules::EMOTES] => player.show_emote(emote),
                _ => return Err(format!("an emote is one byte, 1 to {}", rules::EMOTES)),
            },
            ("input" | "emote", _) => return Err("this takes bytes".into()),
            ("name", _) => return Err("a name is text".into()),
            _ => return Err("an arena takes input, name and emote".into()),
        }
        Ok(())
    }

    fn on_tick(&mut self, ctx: &mut Context<'_>) {
        self.world.tick();
        self.show(ctx);
        tell(&mut self.world, ctx);
        for player in &mut self.world.players {
            if let Driver::Member { member, idle, .. } = &mut player.driver
                && *idle >= rules::IDLE_TICKS_MAX
            {
                *idle = 0;
                ctx.kick(*member);
            }
        }
    }
}

impl Arena {
    fn show(&mut self, ctx: &mut Context<'_>) {
        // A state that is full and a call that does too much end the room by themselves; nothing else can
        // go wrong.
        let shown = show(&mut self.world, ctx);
        let is_known = matches!(shown, Ok(()) | Err(StateError::Full | StateError::Spent));
        debug_assert!(is_known, "{shown:?}");
    }
}

/// A name as it is shown: 1 to [`rules::NAME_CHARS_MAX`] characters, none of which is a control character
/// or changes how others are shown.
fn clean_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if name.is_empty() || name.chars().count() > rules::NAME_CHARS_MAX || name.chars().any(is_odd) {
        return Err(format!("a name has 1 to {} visible characters", rules::NAME_CHARS_MAX));
    }
    Ok(name.to_owned())
}

/// The number in a label of the room.
fn number(
    options: &RoomOptions<'_>,
    label: &str,
    default: u32,
    least: u32,
    most: u32,
) -> Result<u32, String> {
    let Some((_, text)) = options.labels.iter().find(|(name, _)| name == label) else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or(format!("the label {label} must be a whole number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(labels: &[(&str, &str)]) -> Result<Arena, String> {
        let labels: Vec<_> = labels.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        Arena::new(&RoomOptions { name: "arena", labels: &labels, capacity: 32, extensions: &[] })
    }

    #[test]
    fn labels_are_understood_or_refused_with_words() {
        let arena = make(&[("bots", "12"), ("seconds", "60"), ("mode", "any")]).unwrap();
        assert_eq!((arena.seats, arena.round_ticks), (12, 1200));
        assert_eq!(make(&[]).unwrap().seats, rules::BOTS_DEFAULT);
        for bad in [("bots", "33"), ("bots", "-1"), ("bots", "many"), ("seconds", "5")] {
            let words = make(&[bad]).unwrap_err();
            assert!(words.contains(bad.0) && words.contains("whole number"), "{words}");
        }
    }

    #[test]
    fn names_are_bounded_and_visible() {
        assert_eq!(clean_name("  하회탈 ").unwrap(), "하회탈");
        assert_eq!(clean_name(&"가".repeat(16)).unwrap().chars().count(), 16);
        for bad in ["", "   ", "a\nb", "a\u{202e}b", "\u{200b}", &"a".repeat(17)] {
            clean_name(bad).unwrap_err();
        }
    }
}
