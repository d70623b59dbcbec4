//! Whole matches as a room plays them: what each audience gets, tick by tick.

mod court;

use court::{Court, fidget};
use madang_arena::dice::Dice;
use madang_arena::geometry::{distance, length};
use madang_arena::input::Input;
use madang_arena::movement::{Body, REACH, step};
use madang_arena::rules;
use madang_arena::schema::{POSITION_STEP, bean, lantern, player, room, trap};
use madang_engine::room::play::Answer;
use madang_engine::room::state::Part;
use madang_protocol::state::ScalarValue;
use madang_protocol::value::Payload;
use std::collections::{BTreeMap, VecDeque};

/// What must hold at every tick, by what members and spectators see.
fn assert_sound(court: &Court) {
    let everyone = Part::Members;
    let players = court.of_kind(everyone, player::KIND);
    assert!(players.len() <= rules::PLAYERS_MAX);
    for id in &players {
        let at = court.vector(everyone, *id, player::AT);
        assert!(length(at) <= REACH + POSITION_STEP, "{at:?}");
        assert!(court.uint(everyone, *id, player::CARRIED) <= 8);
        assert!(court.uint(everyone, *id, player::LOOK) < 32);
        assert!(court.uint(everyone, *id, player::SCORE) < 5_000, "never below 0, and round");
        for hidden in [player::DASH_READY, player::INPUT, player::TRAP_READY] {
            assert_eq!(court.uint(everyone, *id, hidden), 0);
        }
    }
    assert!(court.of_kind(everyone, lantern::KIND).len() <= rules::LANTERNS_MAX);
    assert!(court.of_kind(everyone, bean::KIND).len() <= rules::PLAYERS_MAX);
    assert!(court.of_kind(everyone, trap::KIND).is_empty(), "a trap shows to rivals");
    assert_eq!(court.of_kind(Part::Spectators, trap::KIND).len(), players.len());
    assert!(court.play.state().len() < 200, "{}", court.play.state().len());
}

/// What an owner is told of its times is what everybody sees of it.
fn assert_times_agree(court: &Court, member: u32, own: u32) {
    let pose = court.uint(Part::Members, own, player::POSE);
    for (field, flag) in
        [(player::DASH_ENDS, player::DASHING), (player::STUN_ENDS, player::STUNNED)]
    {
        let is_coming = court.uint(Part::Owner(member), own, field) > court.play.tick();
        assert_eq!(is_coming, pose & flag != 0, "field {field}");
    }
}

/// Where traps lie, as a part tells; by the player that laid them.
fn traps(court: &Court, part: Part) -> BTreeMap<u64, [f64; 2]> {
    let laid = |id: &u32| court.value(part, *id, trap::LAID) == ScalarValue::Bool(true);
    let traps = court.of_kind(part, trap::KIND).into_iter().filter(laid);
    traps.map(|id| (court.uint(part, id, trap::BY), court.vector(part, id, trap::AT))).collect()
}

#[test]
fn every_audience_follows_matches_in_which_members_come_and_go() {
    let (mut seen_traps, mut rounds) = (0, 0);
    for seed in 0..8 {
        let mut dice = Dice::new(u64::from(seed));
        let mut court =
            Court::new(seed, &[("bots", ["0", "3", "12"][seed as usize % 3]), ("seconds", "20")]);
        let mut inputs: BTreeMap<u32, Input> = BTreeMap::new();
        for _ in 0..700 {
            if dice.chance(0.05) && court.members.len() < 14 {
                let member = court.join("마당").unwrap();
                inputs.insert(member, Input::default());
            }
            if dice.chance(0.02)
                && let Some(member) = court.members.keys().next().copied()
            {
                court.leave(member);
                inputs.remove(&member);
            }
            for (member, input) in &mut inputs {
                // Some are late, and some send twice.
                for _ in 0..[0, 1, 1, 1, 1, 1, 1, 2][dice.below(8) as usize] {
                    fidget(input, &mut dice);
                    court.send(*member, *input);
                }
            }
            court.tick();
            assert_sound(&court);
            let laid = traps(&court, Part::Spectators);
            seen_traps += laid.len();
            for member in court.members.keys() {
                if let Some(own) = court.own(*member) {
                    assert_times_agree(&court, *member, own);
                }
                let own = court.own(*member).map(u64::from);
                for (by, at) in traps(&court, Part::Owner(*member)) {
                    assert_eq!((Some(by), Some(&at)), (own, laid.get(&by)));
                }
                let own = court.replicas[&Part::Owner(*member)].entities().len();
                assert!(own <= 2, "a member sees more than its own: {own}");
            }
        }
        rounds += court.sent.get("round").map_or(0, |(count, _)| *count);
        assert!(court.kicked.is_empty());
    }
    assert!(seen_traps > 1000 && rounds > 16, "{seen_traps} {rounds}");
}

#[test]
fn nothing_of_a_trap_is_in_the_bytes_of_rivals() {
    // The same match, but for one trap: the bytes of everybody else are the same.
    let play = |buttons| {
        let mut court = Court::new(3, &[("bots", "0")]);
        let members = [court.join("a").unwrap(), court.join("b").unwrap()];
        court.tick();
        let input = Input { buttons, ..Input::default() };
        court.send(members[0], input);
        let before = court.bytes[0];
        for _ in 0..40 {
            court.tick();
        }
        let [rival, owner] = [1, 0].map(|index| traps(&court, Part::Owner(members[index])).len());
        let snapshot = court.play.state().snapshot(Part::Members);
        (court.bytes[0] - before, snapshot, rival, owner, traps(&court, Part::Spectators).len())
    };
    let (with, without) = (play(madang_arena::input::TRAP), play(0));
    assert_eq!((with.0, &with.1, with.2), (without.0, &without.1, without.2));
    assert_eq!((with.3, with.4), (1, 1));
    assert_eq!((without.3, without.4), (0, 0));
}

#[test]
fn one_seed_and_the_same_calls_are_the_same_hashes() {
    let play = |seed| {
        let mut court = Court::new(seed, &[("bots", "5")]);
        let mut dice = Dice::new(9);
        let members: Vec<_> = (0..6).map(|_| court.join("x").unwrap()).collect();
        let mut input = Input::default();
        let mut hashes = Vec::new();
        for _ in 0..400 {
            for member in &members {
                fidget(&mut input, &mut dice);
                court.send(*member, input);
            }
            court.tick();
            hashes.push([Part::Members, Part::Spectators].map(|p| court.play.state().hash(p)));
        }
        hashes
    };
    assert_eq!(play(4), play(4));
    assert_ne!(play(4), play(5));
}

/// The bytes of what changes in a full courtyard. Run with `--nocapture` to see them.
#[test]
fn a_full_courtyard_is_within_its_budget_of_bytes_and_operations() {
    for (members, bots) in [(32, "0"), (0, "32"), (4, "12")] {
        let mut court = Court::new(1, &[("bots", bots)]);
        let mut dice = Dice::new(2);
        let mut inputs: BTreeMap<u32, Input> =
            (0..members).map(|_| (court.join("Dancer").unwrap(), Input::default())).collect();
        court.tick();
        court.bytes = [0; 3];
        let ticks = 1000;
        for _ in 0..ticks {
            for (member, input) in &mut inputs {
                fidget(input, &mut dice);
                court.send(*member, *input);
            }
            court.tick();
        }
        let [everyone, owners, spectators] = court.bytes.map(|bytes| bytes / ticks);
        let told: usize = court.sent.values().map(|(_, bytes)| bytes).sum();
        println!(
            "{members} members, {bots} bots: {everyone} bytes a tick for members, {} for each owner, \
             {spectators} for spectators; told {} a tick: {:?}",
            owners / inputs.len().max(1),
            told / ticks,
            court.sent,
        );
        assert!(everyone < 250, "{everyone}");
    }
}

/// A client as a browser is: it takes a step of its own with each input, and begins again from what
/// the room says with the inputs that the room has not dealt with.
#[test]
fn an_owner_predicts_its_own_moves_through_delay_to_less_than_a_tenth_of_a_player() {
    /// Ticks that an input, and a state, are on their way.
    const UP: usize = 3;
    const DOWN: usize = 2;
    let mut court = Court::new(6, &[("bots", "0")]);
    let member = court.join("alone").unwrap();
    let mut dice = Dice::new(8);
    let (mut input, mut sent) = (Input::default(), VecDeque::new());
    let mut coming: VecDeque<Told> = VecDeque::new();
    let mut predicted = BTreeMap::new();
    let (mut worst, mut dashes, mut compared) = (0.0_f64, 0, 0);
    for number in 1..1800_u64 {
        fidget(&mut input, &mut dice);
        sent.push_back((number, input));
        if coming.len() > DOWN {
            let told = coming.pop_front().unwrap();
            let mut body = told.body;
            for (_, input) in sent.iter().filter(|(number, _)| *number > told.dealt_with) {
                body = step(&body, &input.wish(), told.load);
            }
            dashes += u32::from(body.dash > 0);
            predicted.insert(number, body.at);
        }
        if let Some((_, input)) = sent.iter().rev().nth(UP) {
            court.send(member, *input);
        }
        court.tick();
        let told = Told::own(&court, member);
        if let Some(predicted) = predicted.get(&told.dealt_with) {
            let off = distance(*predicted, told.body.at);
            // A new round puts everybody elsewhere.
            if off < 3.0 {
                (worst, compared) = (worst.max(off), compared + 1);
            }
        }
        coming.push_back(told);
        if sent.len() > 20 {
            sent.pop_front();
        }
    }
    assert!(dashes > 50 && compared > 1700, "{dashes} {compared}");
    assert!(worst < 0.07, "{worst}");
}

/// What a member is told of itself.
struct Told {
    body: Body,
    load: u32,
    dealt_with: u64,
}

impl Told {
    fn own(court: &Court, member: u32) -> Self {
        let (part, own) = (Part::Owner(member), court.own(member).expect("it plays"));
        let left = |field| court.uint(part, own, field).saturating_sub(court.play.tick()) as u32;
        let body = Body {
            at: court.vector(Part::Members, own, player::AT),
            velocity: court.vector(part, own, player::VELOCITY),
            dash: left(player::DASH_ENDS),
            rest: left(player::DASH_READY),
            stun: left(player::STUN_ENDS),
        };
        let load = court.uint(Part::Members, own, player::CARRIED) as u32;
        Self { body, load, dealt_with: court.uint(part, own, player::INPUT) }
    }
}

#[test]
fn who_is_too_many_is_refused_and_who_sleeps_is_sent_away() {
    let mut court = Court::new(2, &[("bots", "8")]);
    let members: Vec<_> = (0..32).map(|_| court.join("m").unwrap()).collect();
    assert!(court.join("m").unwrap_err().contains("full"));
    let awake = Input { go: [20, 0], ..Input::default() };
    for tick in 0..rules::IDLE_TICKS_MAX + 8 {
        // One is there all the time, one sends and touches nothing, others send nothing.
        if tick % 3 == 0 {
            court.send(members[0], awake);
            court.send(members[1], Input::default());
        }
        court.tick();
    }
    assert_eq!(court.kicked, members[1..]);
    court.leave(members[5]);
    court.join("m").unwrap();
}

#[test]
fn what_is_not_understood_is_refused_and_changes_nothing() {
    let mut court = Court::new(2, &[("bots", "2")]);
    let member = court.join("\u{202e}evil").unwrap();
    court.tick();
    let name = |court: &Court| court.value(Part::Members, court.own(member).unwrap(), player::NAME);
    let is_guest =
        |name: &ScalarValue| matches!(name, ScalarValue::Text(t) if t.starts_with("Guest"));
    assert!(is_guest(&name(&court)));
    let bytes = |bytes: &'static [u8]| Payload::Bytes(bytes.into());
    let bad = [
        ("input", bytes(&[])),
        ("input", bytes(&[1, 0, 0, 0])),
        ("input", bytes(&[0; 4 + 9 * 5])),
        ("input", Payload::Text("w".into())),
        ("name", Payload::Text("a name that is far too long".into())),
        ("name", bytes(b"abc")),
        ("emote", bytes(&[0])),
        ("emote", bytes(&[9])),
        ("emote", bytes(&[1, 2])),
        ("cheat", bytes(&[1])),
    ];
    for (r#type, payload) in bad {
        let answer = court.publish(member, r#type, payload);
        assert!(matches!(answer, Answer::Refused(_)), "{type}: {answer:?}");
    }
    court.tick();
    assert!(is_guest(&name(&court)));
    assert_eq!(court.publish(member, "name", Payload::Text("하회".into())), Answer::Done);
    assert_eq!(court.publish(member, "emote", bytes(&[3])), Answer::Done);
    court.tick();
    assert_eq!(name(&court), ScalarValue::Text("하회".into()));
    let own = court.own(member).unwrap();
    assert_eq!(court.uint(Part::Spectators, own, player::EMOTE), 3);
    assert_eq!(court.uint(Part::Members, 0, room::PHASE), 0);
    (0..rules::EMOTE_TICKS).for_each(|_| court.tick());
    assert_eq!(court.uint(Part::Spectators, own, player::EMOTE), 0);
}

#[test]
fn a_budget_that_is_too_small_is_named_wherever_it_ends() {
    let needed = (0..10_000).find(|most| Court::fails_within(*most).is_none()).unwrap();
    assert!(needed > 100, "{needed}");
    for most in 0..needed {
        let why = Court::fails_within(most).unwrap();
        assert_eq!(why, format!("a call made more than {most} operations"));
    }
}
