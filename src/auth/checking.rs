//! The thread that checks tokens whose check takes long, and looks whether files with keys have changed.

use super::{Auth, Refusal};
use crate::shard::{Mailbox, Packet};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use madang_engine::id::ConnId;
use madang_protocol::value::Token;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Something for the thread.
enum Job {
    /// Check a token, and tell its shard.
    Check { token: Token, conn: ConnId, to: Mailbox },
    /// Read all keys again.
    Reload,
}

/// The way to have tokens checked. The thread ends with the last of these.
#[derive(Clone)]
pub struct Checker {
    auth: Arc<Auth>,
    jobs: Sender<Job>,
}

/// Starts the thread.
///
/// # Errors
///
/// When the system has no thread.
pub fn start(auth: Arc<Auth>) -> io::Result<(Checker, JoinHandle<()>)> {
    let (jobs, todo) = bounded(auth.settings.checks_max as usize);
    let every = Duration::from_millis(auth.settings.reload_ms.into());
    let checker = Checker { auth: Arc::clone(&auth), jobs };
    let thread = thread::Builder::new()
        .name("tokens".to_owned())
        .spawn(move || work(&auth, &todo, every))?;
    Ok((checker, thread))
}

impl Checker {
    /// What is known about who may come in.
    pub fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// Has a token checked later: the shard gets [`Packet::Authenticated`].
    ///
    /// # Errors
    ///
    /// When too many wait.
    pub fn check_later(&self, token: Token, conn: ConnId, to: Mailbox) -> Result<(), Refusal> {
        let sent = self.jobs.try_send(Job::Check { token, conn, to });
        sent.map_err(|_| self.auth.counted(Refusal::Busy))
    }

    /// Has all keys read again.
    pub fn reload(&self) {
        // With a full queue the thread will look at the files soon anyway.
        let _ = self.jobs.try_send(Job::Reload);
    }
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("waiting", &self.jobs.len()).finish_non_exhaustive()
    }
}

fn work(auth: &Auth, todo: &Receiver<Job>, every: Duration) {
    let mut next = std::time::Instant::now() + every;
    loop {
        match todo.recv_deadline(next) {
            Ok(Job::Check { token, conn, to }) => {
                let result = auth.check(&token);
                to.send_waiting(Packet::Authenticated { conn, result });
            }
            Ok(Job::Reload) => auth.reload(),
            Err(RecvTimeoutError::Timeout) => {
                auth.reload_changed();
                next = std::time::Instant::now() + every;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
