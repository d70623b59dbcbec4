//! The process: its descriptors, the priority of its threads, and why it could not start.
//!
//! Deliberately absent: signals (`cli.rs` waits for them) and sockets (`net`).

use crate::config::Config;
use crate::net::tls::CertificateProblem;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit, setpriority_process, setrlimit};
use std::fmt;
use std::io;

/// Why the server could not start, with what to do about it.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be opened.
    Listen {
        /// The key that names the address: `play.listen` or `watch.listen`.
        key: &'static str,
        /// Says which address, why not, and what to do.
        error: io::Error,
    },
    /// A certificate cannot be used.
    Certificate(CertificateProblem),
    /// There are too few descriptors for even one client.
    Descriptors {
        /// How many the process may hold.
        limit: u64,
        /// How many are kept for other things than clients.
        reserve: u64,
    },
    /// Nobody could come in.
    Closed,
    /// Something else that the system refused.
    System {
        /// What was asked for, as in "cannot start a thread".
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { key, error } => write!(f, "{key}: {error}"),
            Self::Certificate(problem) => write!(f, "tls.certificates: {problem}"),
            Self::Descriptors { limit, reserve } => write!(
                f,
                "no client fits: the process may hold {limit} descriptors and play.descriptor_reserve \
                 keeps {reserve}; raise the limit (ulimit -n) or lower the reserve"
            ),
            Self::Closed => f.write_str(
                "nobody could come in: auth.anonymous is off and no key for tokens could be read; the \
                 log says why",
            ),
            Self::System { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::System { error, .. } => Some(error),
            Self::Certificate(problem) => Some(problem),
            Self::Descriptors { .. } | Self::Closed => None,
        }
    }
}

/// How many connections the process will hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Descriptors that the process may hold.
    pub descriptors: u64,
    /// Players' connections, all shards together.
    pub clients: u32,
    /// The side listener's connections, all its threads together.
    pub watchers: u32,
    /// Whether `play.connections_max` asked for more clients than fit.
    pub reduced: bool,
}

/// Divides `descriptors` between players, the side listener and the process itself.
///
/// # Errors
///
/// [`StartError::Descriptors`] when not one client fits.
pub fn capacity(config: &Config, descriptors: u64) -> Result<Capacity, StartError> {
    let reserve = u64::from(config.play.descriptor_reserve);
    let fit = u32::try_from(descriptors.saturating_sub(reserve)).unwrap_or(u32::MAX);
    if fit == 0 {
        return Err(StartError::Descriptors { limit: descriptors, reserve });
    }
    let wanted = config.play.connections_max;
    let clients = if wanted == 0 { fit } else { wanted.min(fit) };
    // Of what the clients leave, some is for the event loops and for files: half of it where it is little;
    // with the smallest reserve that is 16 each.
    let left = u32::try_from(descriptors - u64::from(clients)).unwrap_or(u32::MAX);
    let watchers = config.watch.connections_max.min(left - (left / 2).min(FILES_MAX));
    Ok(Capacity { descriptors, clients, watchers, reduced: wanted > fit })
}

/// Descriptors for event loops and files, besides those of connections.
const FILES_MAX: u32 = 128;

/// How many descriptors the process may hold now.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit of descriptors to the hard one and returns it.
///
/// # Errors
///
/// When the system refuses; the old limit still holds then.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(descriptor_limit())
}

/// Descriptors that the table is made for at most: 2 MiB of the kernel's memory. Limits of a billion exist.
const TABLE_MAX: u64 = 1 << 18;

/// Has the kernel make its table of descriptors for so many at once. Else it doubles the table whenever that is full,
/// and in a process of several threads the call that needs it, an `accept` of a shard, then waits until every
/// core has passed through the scheduler (`expand_fdtable` and `synchronize_rcu` in Linux' fs/file.c): 5 to 20
/// milliseconds, six times until 10,000 have come, in which nobody on that shard is served.
///
/// # Errors
///
/// When the system refuses; the table then grows as it is needed.
pub fn make_descriptor_table(descriptors: u64) -> io::Result<()> {
    let highest = descriptors.min(descriptor_limit()).min(TABLE_MAX).saturating_sub(1);
    // Any descriptor will do. Its copy has this number or, if that is taken, a higher one; the table stays when it is closed.
    let any = eventfd(0, EventfdFlags::CLOEXEC)?;
    drop(fcntl_dupfd_cloexec(any, highest as i32)?);
    Ok(())
}

/// Makes the calling thread give way to others: 0 as it is to 19 most. Linux counts this per thread.
///
/// # Errors
///
/// When the system refuses, as it does for going back.
pub fn nice_this_thread(nice: u8) -> io::Result<()> {
    Ok(setpriority_process(None, i32::from(nice))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(connections_max: u32, reserve: u32, watchers: u32) -> Config {
        let mut config = Config::default();
        config.play.connections_max = connections_max;
        config.play.descriptor_reserve = reserve;
        config.watch.connections_max = watchers;
        config
    }

    #[test]
    fn the_descriptor_table_is_made_at_once() {
        let size = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").expect("a process");
            let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
            line.expect("its table").trim().parse().expect("a number")
        };
        let wanted = descriptor_limit().min(3_000);
        make_descriptor_table(wanted).expect("within the limit");
        assert!(size() >= wanted, "{} of {wanted}", size());
        make_descriptor_table(u64::MAX).expect("as many as there may be");
        assert!(size() <= TABLE_MAX, "{}", size());
    }

    #[test]
    fn what_players_leave_is_for_spectators() {
        let capacity = capacity(&config(1_000, 256, 12_000), 20_000).expect("fits");
        assert_eq!((capacity.clients, capacity.watchers), (1_000, 12_000));
    }

    #[test]
    fn what_the_reserve_leaves_is_for_clients() {
        let capacity = capacity(&config(0, 256, 1024), 20_000).expect("fits");
        assert_eq!((capacity.clients, capacity.watchers), (19_744, 128));
        assert!(!capacity.reduced);
    }

    #[test]
    fn fewer_clients_leave_room_for_watchers() {
        let capacity = capacity(&config(10_000, 256, 1024), 20_000).expect("fits");
        assert_eq!((capacity.clients, capacity.watchers), (10_000, 1024));
    }

    #[test]
    fn more_clients_than_fit_are_cut_and_said_so() {
        let capacity = capacity(&config(50_000, 256, 1024), 20_000).expect("fits");
        assert_eq!(capacity.clients, 19_744);
        assert!(capacity.reduced);
    }

    #[test]
    fn too_few_descriptors_are_an_error_with_its_remedy() {
        let error = capacity(&config(0, 256, 1024), 256).expect_err("none fits");
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    }

    #[test]
    fn a_thread_can_be_made_to_give_way_alone() {
        use rustix::process::getpriority_process;
        let before = getpriority_process(None).expect("readable");
        let inside = std::thread::spawn(|| {
            nice_this_thread(19).expect("giving way is always allowed");
            getpriority_process(None).expect("readable")
        });
        assert_eq!(inside.join().expect("no panic"), 19);
        assert_eq!(getpriority_process(None).expect("readable"), before);
    }
}
