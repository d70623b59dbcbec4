//! Rooms with state: what members are sent of it, and what nobody is sent.

use crate::helpers::{named_at, rules, world};
use crate::support::copy::Came;
use crate::support::field::{HAND, MARK, NAME, ODDS, PLAN, SEED};
use madang_protocol::server::EXT_SCHEMA;
use madang_protocol::state::Part;

#[test]
fn a_join_brings_the_schema_and_snapshots_and_then_deltas_without_a_gap() {
    for (prefix, shards) in [("field-", 1), ("still-", 1), ("field-", 2), ("still-", 2)] {
        let mut world = world(&rules(), shards);
        let (a, b) = (world.native(0), world.json(usize::from(shards) - 1));
        let channel = world.enter(a, &named_at(prefix, 0, shards));
        assert_eq!(world.the(a).joins[0].ext[0].0, EXT_SCHEMA);
        world.done(a, channel, &["create 1 me 1 3 4", "name 1 first"]);
        // In the middle of a tick, where there is one.
        world.order(a, channel, "name 1 second");
        world.round();
        world.enter(b, &named_at(prefix, 0, shards));
        let came = world.came(b, channel);
        assert!(matches!(
            came[..2],
            [Came::Snapshot(Part::Members, tick), Came::Snapshot(Part::Owner, other)]
                if tick == other
        ));
        world.tick();
        for n in 0..5 {
            world.done(a, channel, &[&format!("name 1 n{n}"), "create 4", &format!("count {n}")]);
            assert_eq!(world.reads(b, channel, (Part::Members, 1, NAME)), format!("n{n}"));
            world.agree(channel);
        }
        assert_eq!(world.state(b, channel).beginnings, 1, "and never a second time");
    }
}

#[test]
fn what_members_may_not_see_does_not_reach_them() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 2);
        let (a, b, c) = (world.native(0), world.native(1), world.json(1));
        let mut channel = 0;
        for client in [a, b, c] {
            channel = world.enter(client, &named_at(prefix, 0, 2));
        }
        world.done(a, channel, &["team #0 1", "team #1 1", "create 1 #0 1 5 5", "create 2 #1 0"]);
        let set = ["plan 1 PLAN", "hand 1 HAND", "odds 1 77", "mark 1 88", "seed 1 SEED"];
        world.done(c, channel, &set);
        world.done(c, channel, &["trap 2 TRAP", "secret SECRET", "note NOTE"]);
        let reads = |world: &crate::support::world::World, at| {
            [a, b, c].map(|client| world.reads(client, channel, at))
        };
        let team = Part::Team(1);
        assert_eq!(reads(&world, (Part::Members, 1, MARK)), ["88", "88", "88"]);
        assert_eq!(reads(&world, (team, 1, PLAN)), ["PLAN", "PLAN", "nothing"]);
        assert_eq!(reads(&world, (Part::Owner, 1, HAND)), ["HAND", "nothing", "nothing"]);
        assert_eq!(reads(&world, (Part::Members, 1, ODDS)), ["0", "0", "0"]);
        assert_eq!(reads(&world, (Part::Members, 1, SEED)), ["", "", ""]);
        assert_eq!(reads(&world, (Part::Owner, 2, 0)), ["nothing", "TRAP", "nothing"]);
        assert_eq!(reads(&world, (Part::Members, 2, 0)), ["nothing"; 3], "it is not even known");
        assert_eq!(reads(&world, (Part::Members, 0, 3)), ["", "", ""]);
        assert_eq!(reads(&world, (Part::Members, 0, 2)), ["", "", ""]);
        // Not in their own parts, and nowhere in all that was ever written to them.
        for (client, secret) in [(b, "HAND"), (c, "HAND"), (c, "PLAN"), (a, "TRAP"), (c, "TRAP")] {
            assert!(!world.parts(client, channel).contains(&Part::Spectators));
            let text = format!("{:?}", world.state(client, channel).parts);
            let bytes = format!("{:?}", secret.as_bytes());
            assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{secret}");
        }
        world.agree(channel);
    }
}

#[test]
fn a_change_of_teams_takes_the_old_part_and_brings_the_new_one_once() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 2);
        let (a, b) = (world.native(0), world.native(1));
        let channel = world.enter(a, &named_at(prefix, 0, 2));
        world.enter(b, &named_at(prefix, 0, 2));
        world.done(
            a,
            channel,
            &["create 1 0 1 0 0", "create 1 0 2 0 0", "plan 1 one", "plan 2 two"],
        );
        assert_eq!(world.parts(b, channel), [Part::Members, Part::Owner]);
        world.done(a, channel, &["team #1 1"]);
        assert_eq!(world.reads(b, channel, (Part::Team(1), 1, PLAN)), "one");
        world.came(b, channel);
        // What changes in the new part in the same tick comes with the whole of it.
        world.done(a, channel, &["plan 2 changed", "team #1 1", "team #1 2"]);
        let came = world.came(b, channel);
        let of_teams: Vec<_> = came
            .iter()
            .filter(|came| {
                matches!(came, Came::Snapshot(Part::Team(_), _) | Came::Delta(Part::Team(_), _))
                    || matches!(came, Came::Gone(_))
            })
            .collect();
        assert!(
            matches!(of_teams[..], [Came::Gone(Part::Team(1)), Came::Snapshot(Part::Team(2), _)]),
            "{of_teams:?}"
        );
        assert_eq!(world.parts(b, channel), [Part::Members, Part::Team(2), Part::Owner]);
        world.done(a, channel, &["plan 2 later", "plan 1 unseen", "give 2 #1 2", "team #1 0"]);
        assert_eq!(world.parts(b, channel), [Part::Members, Part::Owner]);
        world.agree(channel);
    }
}

#[test]
fn an_entity_that_is_given_away_leaves_the_owners_part() {
    let mut world = world(&rules(), 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, &named_at("still-", 0, 1));
    world.enter(b, &named_at("still-", 0, 1));
    world.done(a, channel, &["create 1 me 0 0 0", "hand 1 cards"]);
    assert_eq!(world.reads(a, channel, (Part::Owner, 1, HAND)), "cards");
    world.done(a, channel, &["give 1 #1 0"]);
    assert_eq!(world.reads(a, channel, (Part::Owner, 1, HAND)), "nothing");
    assert_eq!(world.reads(b, channel, (Part::Owner, 1, HAND)), "cards");
    world.agree(channel);
}

#[test]
fn a_resume_in_the_middle_of_ticks_brings_the_state_anew() {
    for (prefix, shards) in [("field-", 1), ("still-", 2), ("field-", 2)] {
        let mut world = world(&rules(), shards);
        let (a, b) = (world.native(0), world.native(usize::from(shards) - 1));
        let channel = world.enter(a, &named_at(prefix, 0, shards));
        world.enter(b, &named_at(prefix, 0, shards));
        world.done(a, channel, &["create 1 #1 1 0 0", "hand 1 mine", "team #1 1", "plan 1 p"]);
        world.drop_socket(b);
        world.done(a, channel, &["name 1 away", "hand 1 changed", "team #1 2", "say while away"]);
        world.order(a, channel, "counting 8");
        world.pass_ms(120, 7);
        world.clients[b].connect(&mut world.node, 0);
        world.pass_ms(200, 7);
        world.calm();
        assert!(world.the(b).joins.last().is_some_and(|joined| joined.recovered));
        assert_eq!(world.heard(b, channel), ["while away"]);
        assert_eq!(world.reads(b, channel, (Part::Owner, 1, HAND)), "changed");
        world.done(a, channel, &["name 1 back"]);
        world.agree(channel);
    }
}

#[test]
fn a_tick_is_encoded_once_for_each_part_and_wire_whatever_the_number_of_members() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 3);
        let room = named_at(prefix, 0, 3);
        let first = world.native(0);
        let channel = world.enter(first, &room);
        for n in 0..30 {
            let client = world.native(n % 3);
            world.enter(client, &room);
        }
        for member in 0..20 {
            world.order(first, channel, &format!("team #{member} 1"));
        }
        world.done(first, channel, &["create 1 0 1 0 0"]);
        let mut encodes = |lines: &[&str]| {
            let before = world.node.count(|stats| stats.encodes);
            world.done(first, channel, lines);
            world.node.count(|stats| stats.encodes) - before
        };
        // The members' part, and the ack of the one who asked.
        assert_eq!(encodes(&["name 1 x"]), 1 + 1);
        assert_eq!(encodes(&["plan 1 x"]), 1 + 1, "the team's");
        assert_eq!(encodes(&["odds 1 4"]), 1, "what spectators see is not encoded here");
        for n in 0..4 {
            let client = world.json(n % 3);
            world.enter(client, &room);
        }
        let before = world.node.count(|stats| stats.encodes);
        world.done(first, channel, &["name 1 y"]);
        assert_eq!(world.node.count(|stats| stats.encodes) - before, 2 + 1, "one for each wire");
        world.agree(channel);
    }
}
