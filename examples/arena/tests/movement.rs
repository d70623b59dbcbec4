//! Writes and checks `testdata/movement.json`: runs of the movement step for ports to other languages to
//! repeat, number by number. Set `MADANG_UPDATE_TESTDATA` when the movement was meant to change.

use madang_arena::dice::Dice;
use madang_arena::input::{DASH, Input};
use madang_arena::movement::{self, Body, POSTS, step};
use std::fmt::Write as _;
use std::path::Path;

/// The steps of a run.
const STEPS: usize = 240;

fn constants() -> String {
    let posts: Vec<_> =
        POSTS.iter().map(|post| format!("{:?}", [post.at[0], post.at[1], post.radius])).collect();
    let numbers = [
        ("STEP_SECONDS", movement::STEP_SECONDS),
        ("COURTYARD_RADIUS", movement::COURTYARD_RADIUS),
        ("PLAYER_RADIUS", movement::PLAYER_RADIUS),
        ("REACH", movement::REACH),
        ("RUN_SPEED", movement::RUN_SPEED),
        ("LOAD_SLOWS", movement::LOAD_SLOWS),
        ("GRIP", movement::GRIP),
        ("DASH_SPEED", movement::DASH_SPEED),
        ("DASH_STEPS", f64::from(movement::DASH_STEPS)),
        ("DASH_REST_STEPS", f64::from(movement::DASH_REST_STEPS)),
        ("DASH_END", movement::DASH_END),
        ("STUN_DRAG", movement::STUN_DRAG),
    ];
    let numbers = numbers.map(|(name, value)| format!("\"{name}\": {value:?}"));
    format!("{{{}, \"POSTS\": [{}]}}", numbers.join(", "), posts.join(", "))
}

/// A run: each step is what was held (x, y, buttons), the load, and the body after it.
fn run(name: &str, seed: u64, stun_often: f64) -> String {
    let mut dice = Dice::new(seed);
    let at = [dice.between(-10.0, 10.0), dice.between(-10.0, 10.0)];
    let mut body = Body { at, ..Body::default() };
    movement::confine(&mut body);
    let mut lines = format!("{{\"name\": \"{name}\", \"start\": {}, \"steps\": [", row(&body));
    let mut input = Input::default();
    for count in 0..STEPS {
        if dice.chance(0.08) {
            input.go = [(); 2].map(|()| dice.between(-128.0, 128.0) as i8);
        }
        input.buttons = if dice.chance(0.1) { DASH } else { 0 };
        let load = dice.below(9);
        // What a hit does comes from the server, and is no part of the step.
        let stun = if dice.chance(stun_often) { 12 } else { 0 };
        if stun > 0 {
            (body.stun, body.dash, body.velocity) = (stun, 0, [6.0, -8.0]);
        }
        body = step(&body, &input.wish(), load);
        let comma = if count == 0 { "" } else { "," };
        let [x, y] = input.go;
        write!(lines, "{comma}\n[{x}, {y}, {}, {load}, {stun}, {}]", input.buttons, row(&body))
            .expect("a string takes everything");
    }
    lines + "]}"
}

fn row(body: &Body) -> String {
    let Body { at, velocity, dash, rest, stun } = body;
    let numbers = [at[0], at[1], velocity[0], velocity[1]].map(|number| format!("{number:?}"));
    format!("[{}, {dash}, {rest}, {stun}]", numbers.join(", "))
}

#[test]
fn the_runs_are_those_of_the_file() {
    let runs = [
        run("runs and dashes", 1, 0.0),
        run("runs, dashes and hits", 2, 0.02),
        run("mostly hit", 3, 0.1),
    ];
    let wanted = format!("{{\"constants\": {},\n\"runs\": [{}]}}\n", constants(), runs.join(",\n"));
    serde_json::from_str::<serde_json::Value>(&wanted).expect("the file is JSON");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/movement.json");
    if std::env::var_os("MADANG_UPDATE_TESTDATA").is_some() {
        std::fs::write(&path, wanted).expect("it can be written");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    assert!(
        found == wanted,
        "testdata/movement.json differs from line {differs:?}; if the movement was meant to change, run \
         with MADANG_UPDATE_TESTDATA=1 and change web/movement.js"
    );
}
