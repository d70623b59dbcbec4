//! Resume keys that nobody should have: those that were used up, and those that never were. Whoever brings
//! one must get a new session, and never somebody else's.

use crate::crowd;
use crate::dice::Dice;
use crate::fleet::Plan;
use crate::outcome::Outcome;
use crate::sessions::{Audience, Line, Place, Sessions};
use crate::system::Clock;
use crate::traffic::{QUIET_NS, poll_failed};
use madang_protocol::ServerMessage;
use madang_protocol::ids::ResumeKey;
use std::time::Duration;

/// Keys that were brought again or made up, and how often that took up a session.
const TRIED: &str = "replay.tried";
pub(super) const TAKEN: &str = "replay.sessions_taken";

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tries it with so many sessions, whose owners come first, and then whoever brings their keys.
pub(super) fn run(
    mut plan: Plan,
    each: usize,
    dice: &mut Dice,
    outcome: &mut Outcome,
) -> Result<(), String> {
    // A used key and a made-up one for each owner.
    plan.connections = 3 * each;
    plan.room_prefix.push_str("replay-");
    let owners = 0..each;
    let mut sessions = Sessions::new(plan, crowd::TYPE).map_err(poll_failed)?;
    let mut told = Told { resumed: vec![None; 3 * each] };
    sessions.open(owners.clone(), |_| None, &mut told)?;
    let old: Vec<_> = owners.clone().map(|owner| sessions.line(owner).key()).collect();
    // They come back, and say something, with which their first key is used up.
    told.resumed.fill(None);
    for owner in owners.clone() {
        sessions.cut(owner);
        sessions.begin(owner, None)?;
    }
    wait(&mut sessions, &mut told, owners.clone())?;
    sessions.settle(QUIET_NS, PATIENCE, &mut told).map_err(poll_failed)?;
    let resumed = told.resumed[owners.clone()].iter().filter(|resumed| **resumed == Some(true));
    let back = resumed.count();
    if back < each {
        outcome.fail(format!("{} of {each} owners of a key could not use it", each - back));
    }
    for owner in owners.clone() {
        let mut made_up = [0; 24];
        dice.fill(&mut made_up);
        // It names the owner's place, and guesses the secret.
        if let Some(key) = old[owner] {
            made_up[..8].copy_from_slice(&key.0[..8]);
        }
        for (session, key) in
            [(each + owner, old[owner]), (2 * each + owner, Some(ResumeKey(made_up)))]
        {
            sessions.line_mut(session).set_key(key);
            sessions.begin(session, None)?;
        }
    }
    wait(&mut sessions, &mut told, each..3 * each)?;
    let taken = told.resumed[each..].iter().filter(|resumed| **resumed == Some(true)).count();
    let unanswered = told.resumed[each..].iter().filter(|resumed| resumed.is_none()).count();
    let thrown_out = owners.filter(|owner| !sessions.line(*owner).is_there()).count();
    outcome.add(TRIED, 2 * each as u64);
    outcome.add(TAKEN, taken as u64);
    if unanswered > 0 {
        outcome.fail(format!("{unanswered} connections with a bad key were not answered"));
    }
    if thrown_out > 0 {
        outcome.fail(format!("{thrown_out} sessions lost their connection to a bad key"));
    }
    sessions.close(&mut told).map_err(poll_failed)
}

/// Waits until these were welcomed and are in their rooms, or have ended.
fn wait(
    sessions: &mut Sessions,
    told: &mut Told,
    numbers: std::ops::Range<usize>,
) -> Result<(), String> {
    let end_ns = Clock.now_ns() + PATIENCE.as_nanos() as u64;
    let is_waiting = |line: &Line| line.is_connected() && !line.is_there();
    while sessions.lines()[numbers.clone()].iter().any(is_waiting) && Clock.now_ns() < end_ns {
        sessions.turn(end_ns, told).map_err(poll_failed)?;
    }
    Ok(())
}

/// Whether each was told that its session was taken up.
struct Told {
    resumed: Vec<Option<bool>>,
}

impl Audience for Told {
    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, _: Place, _: u64) {
        if let ServerMessage::Welcome(welcome) = message {
            self.resumed[line.number()] = Some(welcome.resumed);
        }
    }
}
