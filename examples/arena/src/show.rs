//! Shows the world: writes it into the room's state, and tells what happened.
//!
//! A field that did not change costs an operation and no byte, so everything is written every tick, but
//! for what never changes and for names.

use crate::movement::Body;
use crate::player::{Driver, Player};
use crate::schema::{bean, lantern, player, room, trap};
use crate::world::{Event, How, Phase, World};
use madang_engine::room::logic::{Audience, Context};
use madang_engine::room::state::Belonging;
use madang_protocol::client::Class;
use madang_protocol::state::{FieldValue, ROOM_ENTITY, ScalarValue, StateError};
use madang_protocol::value::Payload;
use std::fmt::Write as _;

/// Lanterns that must be handed in at once to be told of.
pub const TOLD_LANTERNS: u32 = 3;

/// Writes the world as it is after a tick.
///
/// # Errors
///
/// When the room's bounds are too small for it.
pub fn show(world: &mut World, ctx: &mut Context<'_>) -> Result<(), StateError> {
    for entity in world.gone.drain(..).filter(|entity| *entity != 0) {
        ctx.remove(entity)?;
    }
    show_room(world, ctx)?;
    for player in &mut world.players {
        show_player(player, ctx)?;
    }
    for player in &mut world.players {
        show_trap(player, ctx)?;
    }
    for shown in world.lanterns.iter_mut().filter(|lantern| lantern.entity == 0) {
        shown.entity = ctx.create(lantern::KIND, Belonging::default())?;
        ctx.set(shown.entity, lantern::AT, &vector(shown.at))?;
    }
    for index in 0..world.beans.len() {
        if world.beans[index].entity == 0 {
            let by = world.entity_of(world.beans[index].by);
            let shown = &mut world.beans[index];
            shown.entity = ctx.create(bean::KIND, Belonging::default())?;
            ctx.set(shown.entity, bean::FROM, &vector(shown.from))?;
            ctx.set(shown.entity, bean::VELOCITY, &vector(shown.velocity))?;
            ctx.set(shown.entity, bean::BORN, &uint(ctx.tick() - u64::from(shown.age)))?;
            ctx.set(shown.entity, bean::BY, &uint(by))?;
        }
    }
    Ok(())
}

/// Tells members and spectators what happened, reliably, as JSON: `hit`, `delivered` and `round`.
pub fn tell(world: &mut World, ctx: &mut Context<'_>) {
    for event in std::mem::take(&mut world.events) {
        let entity = |id| world.entity_of(id);
        let (name, json) = match event {
            Event::Hit { how, by, to, at, dropped } => {
                let how = match how {
                    How::Dash => "dash",
                    How::Bean => "bean",
                    How::Trap => "trap",
                };
                let (by, to, [x, y]) = (entity(by), entity(to), at);
                let json = format!(
                    r#"{{"how":"{how}","by":{by},"to":{to},"at":[{x:.2},{y:.2}],"dropped":{dropped}}}"#
                );
                ("hit", json)
            }
            Event::Delivered { lanterns, .. } if lanterns < TOLD_LANTERNS => continue,
            Event::Delivered { by, lanterns, points } => {
                let by = entity(by);
                ("delivered", format!(r#"{{"by":{by},"lanterns":{lanterns},"points":{points}}}"#))
            }
            Event::Begun | Event::Over => {
                let mut best = String::new();
                for player in world.ranking().iter().filter(|_| event == Event::Over).take(3) {
                    let comma = if best.is_empty() { "" } else { "," };
                    // Writing into a string cannot fail.
                    let _ = write!(best, "{comma}[{},{}]", player.entity, player.score);
                }
                let (round, is_over) = (world.round, event == Event::Over);
                ("round", format!(r#"{{"round":{round},"over":{is_over},"best":[{best}]}}"#))
            }
        };
        ctx.send(Audience::Everyone, Class::Reliable, name, Payload::Json(json.into()));
    }
}

fn show_room(world: &World, ctx: &mut Context<'_>) -> Result<(), StateError> {
    let ends = ctx.tick() + u64::from(world.left);
    let podium = world.podium.iter().map(|entity| ScalarValue::Uint(u64::from(*entity)));
    let podium = FieldValue::List(podium.collect());
    ctx.set(ROOM_ENTITY, room::PHASE, &uint(u64::from(world.phase == Phase::Podium)))?;
    ctx.set(ROOM_ENTITY, room::ENDS, &uint(ends))?;
    ctx.set(ROOM_ENTITY, room::ROUND, &uint(u64::from(world.round)))?;
    ctx.set(ROOM_ENTITY, room::PODIUM, &podium)
}

fn show_player(shown: &mut Player, ctx: &mut Context<'_>) -> Result<(), StateError> {
    let member = shown.member();
    if shown.entity == 0 {
        shown.entity = ctx.create(player::KIND, Belonging { owner: member, team: 0 })?;
        ctx.set(shown.entity, player::MEMBER, &uint(u64::from(member)))?;
        ctx.set(shown.entity, player::COLOR, &uint(u64::from(shown.color)))?;
    }
    let id = shown.entity;
    if !shown.is_named {
        let name = FieldValue::One(ScalarValue::Text(shown.name.clone()));
        ctx.set(id, player::NAME, &name)?;
        shown.is_named = true;
    }
    ctx.set(id, player::AT, &vector(shown.body.at))?;
    let small = [
        (player::LOOK, u64::from(shown.look)),
        (player::POSE, pose(shown)),
        (player::CARRIED, u64::from(shown.carried)),
        (player::SCORE, u64::from(shown.score)),
        (player::STREAK, u64::from(shown.streak)),
        (player::WINS, u64::from(shown.wins)),
        (player::EMOTE, u64::from(shown.emote)),
    ];
    for (field, value) in small {
        ctx.set(id, field, &uint(value))?;
    }
    // Nobody predicts a bot, and spectators would be sent it too.
    if let Driver::Member { queue, .. } = &shown.driver {
        ctx.set(id, player::VELOCITY, &vector(shown.body.velocity))?;
        ctx.set(id, player::INPUT, &uint(u64::from(queue.dealt_with)))?;
        let Body { dash, rest, stun, .. } = shown.body;
        let times = [
            (player::DASH_ENDS, dash),
            (player::DASH_READY, rest),
            (player::STUN_ENDS, stun),
            (player::THROW_READY, shown.throw_rest),
            (player::TRAP_READY, shown.trap_rest),
        ];
        for (field, left) in times {
            set_time(id, field, left, ctx)?;
        }
    }
    Ok(())
}

fn show_trap(shown: &mut Player, ctx: &mut Context<'_>) -> Result<(), StateError> {
    if shown.trap_entity == 0 {
        let belonging = Belonging { owner: shown.member(), team: 0 };
        shown.trap_entity = ctx.create(trap::KIND, belonging)?;
        ctx.set(shown.trap_entity, trap::BY, &uint(u64::from(shown.entity)))?;
    }
    let id = shown.trap_entity;
    let is_laid = FieldValue::One(ScalarValue::Bool(shown.trap.is_some()));
    ctx.set(id, trap::LAID, &is_laid)?;
    if let Some((at, arms)) = shown.trap {
        ctx.set(id, trap::AT, &vector(at))?;
        set_time(id, trap::ARMED, arms, ctx)?;
    }
    Ok(())
}

/// Shows ticks that are left as the tick at which none is. A time that has passed stays as it is, so that
/// waiting costs nothing.
fn set_time(id: u32, field: usize, left: u32, ctx: &mut Context<'_>) -> Result<(), StateError> {
    let ends = ctx.tick() + u64::from(left);
    let shown = match ctx.state().get(id, field)? {
        FieldValue::One(ScalarValue::Uint(shown)) => shown,
        _ => 0,
    };
    if left == 0 && shown <= ctx.tick() {
        return Ok(());
    }
    ctx.set(id, field, &uint(ends))
}

fn pose(shown: &Player) -> u64 {
    let flag = |is: bool, flag: u64| if is { flag } else { 0 };
    flag(shown.body.dash > 0, player::DASHING)
        | flag(shown.body.stun > 0, player::STUNNED)
        | flag(shown.guard > 0, player::GUARDED)
}

fn uint(value: u64) -> FieldValue {
    FieldValue::One(ScalarValue::Uint(value))
}

fn vector(value: [f64; 2]) -> FieldValue {
    FieldValue::One(ScalarValue::Vec2(value))
}
