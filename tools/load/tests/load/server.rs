//! A server in this process, and the tool run against it.

use madang::Server;
use madang::config::Config;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Command, Output};

/// A server on free ports, drained at the end.
pub(crate) struct Running {
    pub(crate) server: Option<Server>,
    pub(crate) play: SocketAddr,
    pub(crate) watch: SocketAddr,
}

impl Running {
    pub(crate) fn start(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.play.listen.set_port(0);
        config.watch.listen.set_port(0);
        config.server.shards = 2;
        // Rooms that play by themselves would be counted with what is tested.
        config.rooms.open = Vec::new();
        config.server.drain_notice_ms = 0;
        configure(&mut config);
        let server = Server::start(config).expect("the server starts");
        let (play, watch) = (server.play_addr(), server.watch_addr());
        Self { play, watch, server: Some(server) }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang-load"));
        command.args(arguments).args(["--json", "--url", &format!("ws://{}", self.play)]);
        if let Some(&("spectate" | "churn")) = arguments.first() {
            command.args(["--events-url", &format!("http://{}", self.watch)]);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the tool runs")
    }

    #[track_caller]
    pub(crate) fn passes(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let found: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"));
        assert!(output.status.success(), "{arguments:?}: {found}");
        found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.drain();
            server.join();
        }
    }
}
