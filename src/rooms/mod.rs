//! The kinds of rooms with rules that this program has.
//!
//! A program with rules of its own registers them first and then does what `madang` does:
//!
//! ```no_run
//! # fn my_kind() -> madang_engine::room::logic::LogicKind { unimplemented!() }
//! fn main() -> std::process::ExitCode {
//!     madang::rooms::register(my_kind());
//!     madang::cli::main()
//! }
//! ```

mod timed;

pub use timed::{Meter, timed};

use madang_engine::room::logic::LogicKind;
use parking_lot::Mutex;

static REGISTERED: Mutex<Vec<LogicKind>> = Mutex::new(Vec::new());

/// Adds a kind for every server that this process starts from now on. One of the same name that was
/// registered before is replaced, also one that comes with the program.
pub fn register(kind: LogicKind) {
    let mut registered = REGISTERED.lock();
    registered.retain(|known| known.name != kind.name);
    registered.push(kind);
}

/// Every kind with rules: those that come with the program and those that were registered.
pub fn kinds() -> Vec<LogicKind> {
    let registered = REGISTERED.lock().clone();
    let is_replaced = |kind: &LogicKind| registered.iter().any(|own| own.name == kind.name);
    let mut kinds = builtin();
    kinds.retain(|kind| !is_replaced(kind));
    kinds.extend(registered);
    kinds
}

fn builtin() -> Vec<LogicKind> {
    vec![madang_arena::kind(), madang_engine::room::shared::kind()]
}
