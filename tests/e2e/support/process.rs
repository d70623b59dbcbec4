//! The program itself, as a process.

use super::{stream, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// `madang serve` on free ports; killed if it is still there when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) play: SocketAddr,
    pub(crate) watch: SocketAddr,
    log: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts it with `--set` for each setting.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_logging_to(settings, Stdio::piped())
    }

    /// The same with its log somewhere else than in the result of [`Self::wait`].
    pub(crate) fn start_logging_to(settings: &[&str], log: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"]);
        if let Some(setting) = stream::sealing() {
            command.args(["--set", &setting]);
        }
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let stderr = child.stderr.take();
        let log = thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut stderr) = stderr {
                stderr.read_to_string(&mut text).expect("logs are UTF-8");
            }
            text
        });
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (mut play, mut watch) = (None, None);
        for line in stdout.lines() {
            let line = line.expect("it is UTF-8");
            let (_, rest) = line.split_once("://").unwrap_or_default();
            let address = rest.split('/').next().and_then(|address| address.parse().ok());
            if line.starts_with("demo") {
                watch = address;
            } else if line.starts_with("play") {
                play = address;
            }
            if line.starts_with("clients") {
                break;
            }
        }
        let (Some(play), Some(watch)) = (play, watch) else {
            panic!("it says where it serves: {:?}", child.wait());
        };
        Self { child, play, watch, log: Some(log) }
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the process is there");
    }

    /// Waits for the end; returns the exit code and the log.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let status = wait_for("the end of the process", || self.child.try_wait().expect("a child"));
        let log = self.log.take().expect("taken once").join().expect("the log was read");
        (status.code().expect("it exits by itself"), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
