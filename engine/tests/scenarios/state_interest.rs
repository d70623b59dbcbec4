//! Rooms with a plane: members are sent what is near them.

use crate::helpers::{named_at, rules, world};
use crate::support::copy::Came;
use crate::support::field::NAME;
use crate::support::projection::cell_of;
use madang_protocol::state::Part;

fn cell(x: f64, y: f64) -> Part {
    Part::Cell(cell_of([x, y]))
}

#[test]
fn members_see_the_cells_near_their_view_and_no_others() {
    for prefix in ["plain-", "maze-"] {
        let mut world = world(&rules(), 2);
        let (a, b) = (world.native(0), world.native(1));
        let channel = world.enter(a, &named_at(prefix, 0, 2));
        world.enter(b, &named_at(prefix, 0, 2));
        world.done(a, channel, &["create 1 0 0 5 5", "create 1 0 0 105 105", "create 4"]);
        assert_eq!(world.parts(a, channel), [Part::Members, Part::Owner], "without a view none");
        world.done(a, channel, &["view #0 5 5", "view #1 105 105"]);
        // The square of 6 around (5, 5) reaches into all eight neighbours.
        assert_eq!(world.parts(a, channel).len(), 2 + 9);
        assert_eq!(world.reads(a, channel, (cell(5.0, 5.0), 1, NAME)), "unit 1");
        assert_eq!(world.reads(a, channel, (cell(105.0, 105.0), 2, NAME)), "nothing");
        assert_eq!(world.reads(b, channel, (cell(105.0, 105.0), 2, NAME)), "unit 2");
        assert_eq!(world.reads(a, channel, (Part::Members, 1, NAME)), "nothing");
        world.agree(channel);
        // It walks from one to the other.
        world.came(a, channel);
        world.came(b, channel);
        for x in (5..=105).step_by(5) {
            world.done(a, channel, &[&format!("move 1 {x} {x}")]);
            world.agree(channel);
        }
        assert_eq!(world.reads(a, channel, (cell(5.0, 5.0), 1, NAME)), "nothing");
        assert_eq!(world.reads(b, channel, (cell(105.0, 105.0), 1, NAME)), "unit 1");
        assert!(!world.came(a, channel).iter().any(|came| matches!(came, Came::Snapshot(..))));
        // And the other's view follows.
        for x in (5..=105).step_by(5) {
            world.done(a, channel, &[&format!("view #0 {x} {x}"), &format!("name 1 at {x}")]);
            world.agree(channel);
        }
        assert_eq!(world.reads(a, channel, (cell(105.0, 105.0), 1, NAME)), "at 105");
        let came = world.came(a, channel);
        assert!(came.iter().any(|came| matches!(came, Came::Gone(Part::Cell(_)))));
        world.done(a, channel, &["remove 1", "give 2 #0 0"]);
        world.agree(channel);
    }
}

#[test]
fn what_is_far_away_costs_a_member_nothing() {
    let mut world = world(&rules(), 1);
    let clients: Vec<usize> = (0..4).map(|_| world.native(0)).collect();
    let mut channel = 0;
    for client in &clients {
        channel = world.enter(*client, &named_at("plain-", 0, 1));
    }
    for n in 0..4 {
        let at = 200 * n;
        world.done(0, channel, &[&format!("create 1 0 0 {at} 5"), &format!("view #{n} {at} 5")]);
    }
    for client in &clients {
        world.came(*client, channel);
    }
    let before = world.node.count(|stats| stats.encodes);
    world.done(0, channel, &["name 3 far"]);
    // The delta of one cell, and the ack.
    assert_eq!(world.node.count(|stats| stats.encodes) - before, 2);
    let deltas: Vec<usize> = clients
        .iter()
        .map(|client| {
            let came = world.came(*client, channel);
            came.iter().filter(|came| matches!(came, Came::Delta(..))).count()
        })
        .collect();
    assert_eq!(deltas, [0, 0, 1, 0]);
    // Two that see the same cell share its encoding.
    world.done(0, channel, &["view #3 400 5"]);
    let before = world.node.count(|stats| stats.encodes);
    world.done(0, channel, &["name 3 near"]);
    assert_eq!(world.node.count(|stats| stats.encodes) - before, 2);
    // What nobody sees is not encoded at all.
    let before = world.node.count(|stats| stats.encodes);
    world.done(0, channel, &["name 4 unseen"]);
    assert_eq!(world.node.count(|stats| stats.encodes) - before, 1);
    world.agree(channel);
}
