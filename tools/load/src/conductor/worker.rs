//! A worker, as the conductor holds it.

use crate::desk::{Desk, Said};
use crate::job::Job;
use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

/// The subcommand by which this program is a worker.
pub(crate) const SUBCOMMAND: &str = "worker";

pub(super) struct Worker {
    /// The place of its section.
    pub(super) part: usize,
    link: Link,
    /// The worker, or who listens to it.
    thread: Option<JoinHandle<()>>,
}

enum Link {
    Thread(Sender<u64>),
    Process(Child, ChildStdin),
}

impl Worker {
    /// One in this process.
    pub(super) fn thread(
        job: Job,
        part: usize,
        (number, say): (usize, Sender<(usize, Said)>),
    ) -> Result<Self, String> {
        let (go, heard) = channel();
        let work = move || {
            let desk = Desk::Thread(number, say, heard);
            // Who waits for its last word would wait for ever.
            let result = catch_unwind(AssertUnwindSafe(|| job.run(&desk)));
            desk.done(result.unwrap_or_else(|_| Err("the worker panicked".to_owned())));
        };
        let thread = spawn("load", work)?;
        Ok(Self { part, link: Link::Thread(go), thread: Some(thread) })
    }

    /// One in a process of its own.
    pub(super) fn process(
        job: &Job,
        part: usize,
        (number, say): (usize, Sender<(usize, Said)>),
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot start a worker process: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a worker process without pipes".to_owned());
        };
        let mut line = serde_json::to_vec(job).map_err(|error| error.to_string())?;
        line.push(b'\n');
        // Should it be gone already, its silence says so.
        let _ = stdin.write_all(&line);
        let listen = move || {
            let mut is_done = false;
            for line in BufReader::new(stdout).lines() {
                let said = line.map_err(|error| error.to_string()).and_then(|line| {
                    serde_json::from_str(&line)
                        .map_err(|error| format!("a worker process said {line:?}: {error}"))
                });
                let said = said.unwrap_or_else(|why| Said::Done(Err(why)));
                is_done = matches!(said, Said::Done(_));
                if say.send((number, said)).is_err() || is_done {
                    break;
                }
            }
            if !is_done {
                let _ = say.send((number, Said::Done(Err("a worker process died".to_owned()))));
            }
        };
        let thread = spawn("listen", listen)?;
        Ok(Self { part, link: Link::Process(child, stdin), thread: Some(thread) })
    }

    /// Lets it go on at a time.
    pub(super) fn go(&mut self, at_ns: u64) -> Result<(), String> {
        let sent = match &mut self.link {
            Link::Thread(go) => go.send(at_ns).is_ok(),
            Link::Process(_, stdin) => writeln!(stdin, "{at_ns}").is_ok(),
        };
        if sent { Ok(()) } else { Err("a worker died".to_owned()) }
    }

    /// It has said its last word.
    pub(super) fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so on standard error.
            let _ = thread.join();
        }
        if let Link::Process(child, _) = &mut self.link {
            let _ = child.wait();
        }
    }
}

impl Drop for Worker {
    /// Nobody goes on alone.
    fn drop(&mut self) {
        if let Link::Process(child, _) = &mut self.link
            && self.thread.is_some()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(|error| format!("cannot start a thread: {error}"))
}
