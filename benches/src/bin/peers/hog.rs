//! A busy loop that leaves a server half of its core.
//!
//! It works and sleeps half a millisecond each, before everybody else where the system allows that: the
//! scheduler's own slices are several milliseconds, which would be in every latency.

use crate::server::{Turn, pinned};
use std::os::unix::process::parent_id;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SLICE: Duration = Duration::from_micros(500);
/// The option of this program that makes it one.
const OPTION: &str = "--hog";

/// It ends when it is dropped, and by itself soon after this process is gone.
pub(crate) struct Hog(Child);

impl Hog {
    /// On these cores.
    pub(crate) fn start(cores: &str) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(own);
        command.arg(OPTION);
        let mut command = pinned(Turn::First.of(command), Some(cores));
        command.stdin(Stdio::null());
        command.spawn().map(Self).map_err(|error| format!("no busy loop: {error}"))
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes half of a core for as long as the process that started this one is there.
pub(crate) fn run() {
    let parent = parent_id();
    while parent_id() == parent {
        let until = Instant::now() + SLICE;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        std::thread::sleep(SLICE);
    }
}
