//! The command line: what an operator types, and what the process answers and exits with.
//!
//! Exit codes: 0 after a drain or a finished command, 1 when serving failed or a replay diverged, 2 when
//! the command line, the configuration or a recording is wrong.

use crate::auth::tool;
use crate::config::{self, Config, Flag, LogFormat, Problems, Sources};
use crate::logging;
use crate::net;
use crate::net::tls::{self, SelfSigned};
use crate::replay;
use crate::rooms;
use crate::server::{self, Server};
use crate::sys::{self, Capacity, StartError};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked at whether the server's threads still run.
const THREADS_CHECK: Duration = Duration::from_millis(500);

/// When a call of a room's rules is said to hang.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// A backend for multiplayer games and live collaboration: rooms over binary WebSocket.
#[derive(Debug, Parser)]
#[command(name = "madang", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then drain; a second signal ends it at once [default]
    Serve {
        #[command(flatten)]
        options: Options,
    },
    /// Check a configuration, with the environment and the flags over it, and say all that is wrong
    CheckConfig {
        /// The file [default: that of --config]
        file: Option<PathBuf>,
        #[command(flatten)]
        options: Options,
    },
    /// Play a recording of a room again and compare its states, tick by tick; exits with 0 if all are the
    /// same, 1 if one is not, 2 if the file is not a whole recording of a kind of this program
    Replay {
        /// The file
        file: PathBuf,
        /// Print every tick that was compared
        #[arg(long)]
        verbose: bool,
    },
    /// Make keys and tokens, and say what is in a token
    Token {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: tool::Command,
    },
    /// Print a configuration file with every key at its default
    DefaultConfig {
        /// Print the keys as Markdown tables instead
        #[arg(long)]
        markdown: bool,
    },
}

/// What can be set by flags; any key by `--set`, the usual ones by name.
#[derive(Debug, Default, Args)]
struct Options {
    /// Configuration file [default: madang.toml, if there is one]
    #[arg(long, value_name = "FILE", env = config::CONFIG_VARIABLE)]
    config: Option<PathBuf>,
    /// Set any key of the configuration (--help lists them)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Address of the players' listener (play.listen)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Address of the side listener (watch.listen)
    #[arg(long, value_name = "ADDRESS")]
    watch_listen: Option<String>,
    /// Threads that serve players, 0 is one per core (server.shards)
    #[arg(long, value_name = "COUNT")]
    shards: Option<String>,
    /// human or json (log.format)
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// off, error, warn, info, debug or trace (log.level)
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Serve wss:// and https:// with a certificate that is made for this machine and kept in a
    /// directory, and say how to trust it
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, require_equals = true, default_missing_value = SELF_SIGNED)]
    tls_self_signed: Option<PathBuf>,
}

/// Where the certificate that nobody has signed is kept, unless said otherwise.
const SELF_SIGNED: &str = "tls-self-signed";

/// A signal that is waited for.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// End; the name of the signal.
    End(&'static str),
    /// Read keys and certificates anew.
    Reload,
}

/// Does what the process's arguments say, and returns what it shall exit with.
pub fn main() -> ExitCode {
    let keys = config::help();
    let command = Cli::command()
        .after_long_help(keys.clone())
        .mut_subcommand("serve", |serve| serve.after_long_help(keys.clone()))
        .mut_subcommand("check-config", |check| check.after_long_help(keys));
    let cli = match Cli::from_arg_matches(&command.get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        None => serve(&[&cli.options]),
        Some(Command::Serve { options }) => serve(&[&cli.options, &options]),
        Some(Command::CheckConfig { file, options }) => {
            check_config(load(&[&cli.options, &options], file))
        }
        Some(Command::Replay { file, verbose }) => replay_file(&file, verbose),
        Some(Command::Token { options, command }) => token(&[&cli.options, &options], &command),
        Some(Command::DefaultConfig { markdown }) => {
            print(&if markdown { config::markdown() } else { config::sample() });
            ExitCode::SUCCESS
        }
    }
}

/// A configuration, and the file that it was read from, if any.
type Loaded = Result<(Config, Option<String>), Problems>;

/// Reads the configuration; later options and `file` are stronger.
fn load(options: &[&Options], file: Option<PathBuf>) -> Loaded {
    let named = file.or_else(|| options.iter().rev().find_map(|options| options.config.clone()));
    let path = named.or_else(|| {
        let default = Path::new(config::DEFAULT_FILE);
        default.exists().then(|| default.to_owned())
    });
    let mut problems = Vec::new();
    let mut sources = Sources { environment: env::vars_os().collect(), ..Sources::default() };
    if let Some(path) = &path {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => sources.file = Some((name, text)),
            Err(error) => problems.push(format!("{name}: cannot be read: {error}")),
        }
    }
    for options in options {
        match flags(options) {
            Ok(flags) => sources.flags.extend(flags),
            Err(problem) => problems.push(problem),
        }
    }
    match config::load(&sources) {
        Ok(config) if problems.is_empty() => {
            Ok((config, path.map(|path| path.display().to_string())))
        }
        Ok(_) => Err(Problems(problems)),
        Err(more) => {
            problems.extend(more.0);
            Err(Problems(problems))
        }
    }
}

fn flags(options: &Options) -> Result<Vec<Flag>, String> {
    let mut flags = Vec::new();
    for text in &options.set {
        let Some((path, value)) = text.split_once('=') else {
            return Err(format!("--set {text}: write it as KEY=VALUE"));
        };
        flags.push(Flag {
            shown: format!("--set {path}"),
            path: path.to_owned(),
            value: value.to_owned(),
        });
    }
    for (flag, path, value) in [
        ("--listen", "play.listen", &options.listen),
        ("--watch-listen", "watch.listen", &options.watch_listen),
        ("--shards", "server.shards", &options.shards),
        ("--log-format", "log.format", &options.log_format),
        ("--log-level", "log.level", &options.log_level),
    ] {
        if let Some(value) = value {
            flags.push(Flag {
                shown: flag.to_owned(),
                path: path.to_owned(),
                value: value.clone(),
            });
        }
    }
    Ok(flags)
}

fn check_config(loaded: Loaded) -> ExitCode {
    if let Ok((config, _)) = &loaded
        && let Err(problem) = server::load_tls(config)
    {
        return wrong(&Problems(vec![problem.to_string()]));
    }
    match loaded {
        Ok((_, Some(file))) => print(&format!("{file}: valid\n")),
        Ok((_, None)) => print("no file; defaults, environment and flags: valid\n"),
        Err(problems) => return wrong(&problems),
    }
    ExitCode::SUCCESS
}

fn replay_file(path: &Path, verbose: bool) -> ExitCode {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("{}: cannot be read: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout().lock();
    let told = verbose.then_some(&mut out as &mut dyn io::Write);
    let outcome = replay::replay(io::BufReader::new(file), &rooms::kinds(), told);
    drop(out);
    if matches!(outcome.verdict, replay::Verdict::Unusable(_)) {
        eprint!("{}: {outcome}", path.display());
    } else {
        print(&outcome.to_string());
    }
    ExitCode::from(outcome.exit_code())
}

fn token(options: &[&Options], command: &tool::Command) -> ExitCode {
    let done = match command {
        tool::Command::Keygen(keygen) => tool::keygen(keygen).map(|text| (text, true)),
        tool::Command::Sign(sign) => tool::sign(sign).map(|text| (text, true)),
        tool::Command::Inspect => match load(options, None) {
            Ok((config, _)) => tool::inspect(&config.auth),
            Err(problems) => return wrong(&problems),
        },
    };
    match done {
        Ok((text, is_good)) => {
            print(&text);
            if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("madang token: {problem}");
            ExitCode::from(2)
        }
    }
}

fn wrong(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(2)
}

fn serve(options: &[&Options]) -> ExitCode {
    let mut config = match load(options, None) {
        Ok((config, _)) => config,
        Err(problems) => return wrong(&problems),
    };
    logging::start(&config.log);
    let directory = options.iter().rev().find_map(|options| options.tls_self_signed.as_deref());
    let signed = match directory.map(|directory| sign(&mut config, directory)).transpose() {
        Ok(signed) => signed,
        Err(problem) => return wrong(&Problems(vec![problem])),
    };
    match run(&config, signed.as_ref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            match config.log.format {
                LogFormat::Human => eprintln!("madang: {error}"),
                LogFormat::Json => tracing::error!(%error, "cannot start"),
            }
            ExitCode::FAILURE
        }
    }
}

/// Has a configuration use a certificate that nobody has signed.
fn sign(config: &mut Config, directory: &Path) -> Result<SelfSigned, String> {
    if !config.tls.certificates.is_empty() {
        return Err("--tls-self-signed: tls.certificates names certificates already; use one or \
                    the other"
            .to_owned());
    }
    let signed = tls::self_signed(directory)
        .map_err(|error| format!("--tls-self-signed={}: {error}", directory.display()))?;
    let path = |path: &Path| path.display().to_string().into_boxed_str();
    config.tls.certificates = vec![config::Certificate {
        certificate: path(&signed.files.certificate),
        key: path(&signed.files.key),
    }];
    Ok(signed)
}

/// Serves from here to the end of the drain that a signal asks for. Returns whether every thread
/// worked until then.
fn run(config: &Config, signed: Option<&SelfSigned>) -> Result<bool, StartError> {
    // From before the start, so that a signal in its middle drains as well.
    let signal = signals()?;
    if let Err(error) = sys::raise_descriptor_limit() {
        tracing::warn!(%error, "cannot raise the limit of descriptors to the hard one");
    }
    let capacity = sys::capacity(config, sys::descriptor_limit())?;
    if capacity.reduced {
        let (wanted, fit) = (config.play.connections_max, capacity.clients);
        tracing::warn!(wanted, fit, "play.connections_max is more than the descriptors allow");
    }
    let held = u64::from(capacity.clients) + u64::from(capacity.watchers);
    if let Err(error) = sys::make_descriptor_table(held + u64::from(config.play.descriptor_reserve))
    {
        tracing::debug!(%error, "the table of descriptors will grow as connections come");
    }
    let server = Server::start(config.clone())?;
    announce(config, &server, capacity);
    if let Some(signed) = signed {
        announce_signed(&server, signed);
    }
    let mut certificates = Freshness::new(config);
    let mut hangs_said = false;
    let whole = loop {
        match signal.recv_timeout(THREADS_CHECK) {
            Ok(Told::Reload) => reload(&server),
            Ok(Told::End(signal)) => {
                tracing::info!(signal, "draining; a second signal ends the process at once");
                break true;
            }
            Err(_) if !server.hanging(HANGS_AFTER).is_empty() && !hangs_said => {
                hangs_said = true;
                let shards = server.hanging(HANGS_AFTER);
                tracing::error!(
                    ?shards,
                    "a call of a room's rules does not return: its shard hangs"
                );
            }
            Err(_) if server.is_broken() => {
                tracing::error!("a thread ended by itself; draining what is left");
                break false;
            }
            Err(_) if certificates.is_due(&server) => reload_certificates(&server),
            Err(_) => {}
        }
    };
    server.drain();
    let whole = server.join() && whole;
    tracing::info!("drained");
    Ok(whole)
}

/// When the files of certificates are looked at again.
struct Freshness {
    every: Option<Duration>,
    next: Instant,
}

impl Freshness {
    fn new(config: &Config) -> Self {
        let every = Duration::from_millis(config.tls.reload_ms.into());
        let every = Some(every).filter(|every| !every.is_zero());
        Self { every, next: Instant::now() + every.unwrap_or_default() }
    }

    /// Whether it is time, and a file is another than it was.
    fn is_due(&mut self, server: &Server) -> bool {
        let (Some(every), Some(tls)) = (self.every, server.tls()) else { return false };
        if Instant::now() < self.next {
            return false;
        }
        self.next = Instant::now() + every;
        tls.has_changed()
    }
}

/// Reads keys and certificates anew; who is connected notices nothing.
fn reload(server: &Server) {
    server.reload_keys();
    reload_certificates(server);
}

fn reload_certificates(server: &Server) {
    match server.tls().map(net::Tls::reload) {
        None => tracing::info!("there are no certificates to be read anew"),
        Some(Ok(())) => tracing::info!("certificates were read anew"),
        Some(Err(problem)) => {
            tracing::error!(%problem, "certificates were not read anew; the old ones stay in use");
        }
    }
}

/// Receives SIGHUP, and the first SIGTERM or SIGINT; the second of these ends the process.
fn signals() -> Result<mpsc::Receiver<Told>, StartError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| StartError::System { what: "cannot listen for signals", error })?;
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut count = 0;
            for signal in signals.forever() {
                if signal == SIGHUP {
                    let _ = tell.send(Told::Reload);
                    continue;
                }
                count += 1;
                let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
                if count > 1 {
                    tracing::warn!(signal = name, "ending before the drain is complete");
                    process::exit(1);
                }
                // Nobody waits once the drain has ended.
                let _ = tell.send(Told::End(name));
            }
        })
        .map_err(|error| StartError::System { what: "cannot start a thread", error })?;
    Ok(told)
}

/// Says where the server can be reached and how many clients fit.
fn announce(config: &Config, server: &Server, capacity: Capacity) {
    let (play, watch) = (reachable(server.play_addr()), reachable(server.watch_addr()));
    let Capacity { clients, descriptors, .. } = capacity;
    if config.log.format == LogFormat::Json {
        tracing::info!(%play, %watch, clients, descriptors, "serving");
        return;
    }
    let side = if config.watch.demo { "demo" } else { "side" };
    let sealed = |is_on| if server.tls().is_some() && is_on { "s" } else { "" };
    let (ws, http) = (sealed(config.tls.play), sealed(config.tls.watch));
    let pages = if config.watch.demo {
        format!(
            "game   http{http}://{watch}/arena/\n\
             watch  http{http}://{watch}/arena/watch/\n\
             board  http{http}://{watch}/board/\n"
        )
    } else {
        String::new()
    };
    print(&format!(
        "{side}   http{http}://{watch}/\n{pages}\
         play   ws{ws}://{play}/play\n\
         raw    ws{ws}://{play}/raw/{{room}}\n\
         clients that fit: {clients} (descriptors {descriptors})\n"
    ));
}

/// Says how to trust a certificate that nobody has signed.
fn announce_signed(server: &Server, signed: &SelfSigned) {
    let SelfSigned { files, fingerprint, spki } = signed;
    let (certificate, watch) = (files.certificate.display(), reachable(server.watch_addr()));
    print(&format!(
        "TLS with a certificate that nobody has signed: {certificate}\n\
         SHA-256   {fingerprint}\n\
         curl      curl --cacert {certificate} https://{watch}/healthz\n\
         Chromium  chromium --ignore-certificate-errors-spki-list={spki} https://{watch}/\n\
         another browser: open https://{watch}/ and, for Firefox, https://{}/ too, and accept it\n",
        reachable(server.play_addr()),
    ));
}

/// An address to connect to, also when the listener takes connections to any.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}

/// Writes to standard output; that nobody reads it is no reason to stop.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
