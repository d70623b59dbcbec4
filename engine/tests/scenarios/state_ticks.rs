//! The time of rooms: exact, bounded when it is late, and only while somebody is there.

use crate::helpers::{named_at, rules, world};
use crate::support::client::join_named;
use crate::support::copy::Came;
use crate::support::world::World;
use madang_engine::Input;
use madang_engine::room::Flush;
use madang_engine::room::play::Play;
use madang_protocol::client::CreateOptions;
use madang_protocol::state::Part;

fn ticks(world: &World) -> u64 {
    world.node.count(|stats| stats.ticks)
}

#[test]
fn ticks_come_at_exact_times() {
    let mut world = world(&rules(), 1);
    let a = world.native(0);
    world.enter(a, "field-1");
    let (start, from) = (ticks(&world), world.node.now);
    for _ in 0..400 {
        let due = world.node.engines[0].poll_timeout().expect("a tick is due");
        if due > world.node.now {
            world.node.advance_us(due.0 - world.node.now.0);
        }
        world.node.timeout(0);
    }
    let passed = world.node.now.0 - from.0;
    let expected = passed / 50_000;
    assert!((expected..=expected + 1).contains(&(ticks(&world) - start)), "{passed} us");
    assert_eq!(world.node.count(|stats| stats.ticks_skipped), 0);
}

#[test]
fn a_late_shard_makes_up_for_so_many_ticks_and_counts_those_it_leaves_out() {
    for most in [0, 3, 5] {
        let mut config = rules();
        config.room.catch_up_ticks_max = most;
        let mut world = world(&config, 1);
        let a = world.native(0);
        let channel = world.enter(a, "field-1");
        world.order(a, channel, "counting 100");
        world.tick();
        world.came(a, channel);
        let (before, tick) = (ticks(&world), world.room(channel).play().map_or(0, Play::tick));
        // 20 ticks are due: the newest, and 19 that are late.
        world.node.advance_us(1_000_000);
        world.node.turn(0, 1);
        assert_eq!(ticks(&world) - before, u64::from(most) + 1);
        assert_eq!(world.node.count(|stats| stats.ticks_skipped), 19 - u64::from(most));
        world.read_all();
        let came = world.came(a, channel);
        let deltas = came.iter().filter(|came| matches!(came, Came::Delta(..))).count();
        assert_eq!(deltas as u32, most + 1, "each has its delta");
        assert_eq!(world.state(a, channel).tick(), Some(tick + u64::from(most) + 1));
        // And time goes on as before.
        let before = ticks(&world);
        world.pass_ms(500, 10);
        assert_eq!(ticks(&world) - before, 10);
        world.agree(channel);
    }
}

#[test]
fn time_stands_still_without_members_and_goes_on_when_somebody_comes() {
    let mut world = world(&rules(), 2);
    let a = world.native(1);
    let channel = world.enter(a, &named_at("field-", 0, 2));
    world.pass_ms(200, 10);
    world.clients[a].leave(&mut world.node, channel);
    world.pass_ms(100, 10);
    let still = ticks(&world);
    world.pass_ms(500, 10);
    assert_eq!(ticks(&world), still);
    world.enter(a, &named_at("field-", 0, 2));
    world.pass_ms(500, 10);
    assert_eq!(ticks(&world), still + 10);
    // Going and coming within a tick does not make it go twice as fast.
    world.clients[a].leave(&mut world.node, channel);
    world.calm();
    world.enter(a, &named_at("field-", 0, 2));
    let before = ticks(&world);
    world.pass_ms(500, 10);
    assert_eq!(ticks(&world) - before, 10);
}

#[test]
fn a_room_that_is_kept_goes_on_without_members() {
    let mut config = rules();
    config.room.linger_ms = 100;
    let mut world = world(&config, 1);
    world.node.input(0, Input::Open { name: "field-1".into(), options: CreateOptions::default() });
    world.pass_ms(500, 10);
    assert_eq!(ticks(&world), 10);
    let a = world.native(0);
    let channel = world.enter(a, "field-1");
    assert!(world.state(a, channel).tick().is_some());
    world.clients[a].leave(&mut world.node, channel);
    let before = ticks(&world);
    world.pass_ms(1_000, 10);
    assert_eq!(ticks(&world) - before, 20);
}

#[test]
fn a_room_that_is_kept_is_opened_anew_when_its_rules_end_it_or_fail() {
    super::helpers::hush();
    let mut config = rules();
    config.room.linger_ms = 100;
    let mut world = world(&config, 1);
    world.node.input(0, Input::Open { name: "field-1".into(), options: CreateOptions::default() });
    for end in ["close", "panic expected"] {
        let a = world.native(0);
        let channel = world.enter(a, "field-1");
        let epoch = world.room(channel).epoch;
        world.order(a, channel, end);
        world.pass_ms(500, 10);
        let channel = world.enter(a, "field-1");
        assert_ne!(world.room(channel).epoch, epoch, "{end}");
        world.clients[a].leave(&mut world.node, channel);
        let before = ticks(&world);
        world.pass_ms(1_000, 10);
        assert_eq!(ticks(&world) - before, 20, "{end}: it is kept as it was");
    }
}

#[test]
fn in_a_room_without_ticks_each_call_is_one() {
    let mut world = world(&rules(), 1);
    let a = world.native(0);
    let channel = world.enter(a, "still-1");
    let tick = |world: &World| world.room(channel).play().map_or(0, Play::tick);
    let before = tick(&world);
    world.order(a, channel, "count 1");
    world.order(a, channel, "count 2");
    world.calm();
    assert_eq!(tick(&world), before + 2);
    assert_eq!(world.reads(a, channel, (Part::Members, 0, 0)), "2");
    world.pass_ms(1_000, 50);
    assert_eq!((tick(&world), ticks(&world)), (before + 2, 0));
}

#[test]
fn timers_are_due_after_so_many_ticks_in_the_order_they_were_set() {
    let mut world = world(&rules(), 1);
    let a = world.native(0);
    let channel = world.enter(a, "field-1");
    let now = world.room(channel).play().map_or(0, Play::tick);
    for line in ["timer 3 30", "timer 1 10", "timer 3 31", "timer 0 1"] {
        world.order(a, channel, line);
    }
    world.pass_ms(300, 10);
    let at =
        |timer: u64, after: u64, count: u64| format!("timer {timer} at {} as {count}", now + after);
    let expected = [at(10, 1, 1), at(1, 1, 2), at(30, 3, 3), at(31, 3, 4)];
    assert_eq!(world.heard(a, channel), expected);
}

#[test]
fn a_number_that_is_used_again_at_once_does_not_tick_for_two() {
    let mut config = rules();
    config.room.rooms_max = 1;
    let mut world = world(&config, 1);
    let a = world.native(0);
    // Numbers run out: the first is used again while what was due for its room is.
    for n in 0..9 {
        let channel = world.enter(a, &format!("field-{n}"));
        if n < 8 {
            world.order(a, channel, "close");
            world.calm();
        }
    }
    let before = ticks(&world);
    world.pass_ms(1_000, 10);
    assert_eq!(ticks(&world) - before, 20);
}

#[test]
fn quiescing_ends_ticks_also_of_rooms_that_come_later() {
    let mut world = world(&rules(), 2);
    let a = world.native(1);
    let name = named_at("field-", 0, 2);
    let channel = world.enter(a, &name);
    world.order(a, channel, "counting 1000");
    world.tick();
    // A join is on its way to a room that has no member yet.
    let late = named_at("field-9", 0, 2);
    world.clients[a].join(&mut world.node, join_named(&late));
    world.node.turn(1, usize::MAX);
    let before = ticks(&world);
    world.node.is_reading = false;
    for shard in 0..2 {
        world.node.input(shard, Input::Quiesce);
    }
    world.pass_ms(1_000, 10);
    assert!(world.node.quiesced.iter().all(|quiesced| *quiesced));
    assert_eq!(ticks(&world), before);
    world.check();
}

#[test]
fn messages_and_state_of_a_tick_leave_together_where_the_room_gathers_by_ticks() {
    for (flush, is_early) in [(Flush::Immediate, true), (Flush::Tick, false)] {
        let mut config = rules();
        config.room.flush = vec![("field-".into(), flush)];
        let mut world = world(&config, 1);
        let a = world.native(0);
        let channel = world.enter(a, "field-1");
        world.done(a, channel, &["say the types are numbered"]);
        world.order(a, channel, "say now");
        world.order(a, channel, "count 7");
        world.pass_ms(5, 1);
        assert_eq!(world.heard(a, channel).len(), if is_early { 2 } else { 1 });
        world.tick();
        assert_eq!(world.heard(a, channel).len(), 2);
        assert_eq!(world.reads(a, channel, (Part::Members, 0, 0)), "7");
        // Out of time nothing is gathered.
        world.clients[a].leave(&mut world.node, channel);
        world.pass_ms(200, 50);
        let b = world.native(0);
        world.enter(b, "field-1");
        world.tick();
        world.agree(channel);
    }
}
