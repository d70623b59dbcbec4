//! The configuration: what each source may say, which is stronger, and what is said of mistakes.

use madang::config::{
    self, Config, Flag, FlushPolicy, FlushRule, KEYS, Key, KindRule, Level, LogFormat, RoomKind,
    RoomName, Sources, WatchRule, load,
};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

fn file(text: &str) -> Sources {
    Sources { file: Some(("madang.toml".to_owned(), text.to_owned())), ..Sources::default() }
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let environment =
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Sources { environment: environment.collect(), ..Sources::default() }
}

fn set(path: &str, value: &str) -> Flag {
    Flag { shown: format!("--set {path}"), path: path.to_owned(), value: value.to_owned() }
}

fn flags(values: &[(&str, &str)]) -> Sources {
    let flags = values.iter().map(|(path, value)| set(path, value));
    Sources { flags: flags.collect(), ..Sources::default() }
}

fn problems(sources: &Sources) -> Vec<String> {
    load(sources).expect_err("a mistake").0
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(load(&Sources::default()), Ok(Config::default()));
    assert_eq!(load(&file("")), Ok(Config::default()));
}

#[test]
fn the_shipped_sample_is_what_the_program_prints() {
    assert_eq!(include_str!("../madang.sample.toml"), config::sample());
}

#[test]
fn the_sample_says_the_default_and_every_key() {
    assert_eq!(load(&file(&config::sample())), Ok(Config::default()));
    for key in KEYS {
        let line = format!("\n{} = {}\n", key.name, key.default_text());
        let said = config::sample().contains(&line);
        assert!(said, "{} is not in the sample", key.path());
    }
}

#[test]
fn names_of_keys_and_variables_are_unique() {
    let paths: BTreeSet<_> = KEYS.iter().map(Key::path).collect();
    let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
    assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
}

#[test]
fn help_and_tables_name_every_key() {
    let (help, tables) = (config::help(), config::markdown());
    for key in KEYS {
        assert!(help.contains(&format!("  {} (", key.path())), "{}", key.path());
        assert!(tables.contains(&format!("| `{}` |", key.name)), "{}", key.path());
    }
}

#[test]
fn every_key_can_be_set_from_every_source() {
    for key in KEYS {
        let value = key.default_text();
        let text = value.trim_matches('"');
        let toml = format!("[{}]\n{} = {value}\n", key.section, key.name);
        assert_eq!(load(&file(&toml)), Ok(Config::default()), "{}", key.path());
        assert_eq!(
            load(&environment(&[(&key.variable(), text)])),
            Ok(Config::default()),
            "{}",
            key.path()
        );
        assert_eq!(load(&flags(&[(&key.path(), text)])), Ok(Config::default()), "{}", key.path());
    }
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let mut sources = file("[play]\nping_ms = 1\npong_ms = 1\nhello_ms = 1\n");
    sources.environment =
        environment(&[("MADANG_PLAY_PING_MS", "2"), ("MADANG_PLAY_PONG_MS", "2")]).environment;
    sources.flags = vec![set("play.ping_ms", "3")];
    let play = load(&sources).expect("valid").play;
    assert_eq!((play.ping_ms, play.pong_ms, play.hello_ms), (3, 2, 1));
    assert_eq!(play.head_ms, Config::default().play.head_ms);
}

#[test]
fn the_later_flag_wins() {
    let config = load(&flags(&[("server.shards", "1"), ("server.shards", "2")])).expect("valid");
    assert_eq!(config.server.shards, 2);
}

#[test]
fn numbers_may_be_written_in_groups_and_in_other_bases() {
    let config = load(&file("[play]\nmessage_bytes_max = 0x1000\nbytes_burst = 3_000_000\n"))
        .expect("valid");
    assert_eq!((config.play.message_bytes_max, config.play.bytes_burst), (4096, 3_000_000));
    let config = load(&environment(&[("MADANG_PLAY_BYTES_BURST", "3_000_000")])).expect("valid");
    assert_eq!(config.play.bytes_burst, 3_000_000);
}

#[test]
fn words_and_switches_are_read() {
    let text = "[log]\nlevel = \"debug\"\nformat = \"json\"\n[watch]\ndemo = false\n";
    let config = load(&file(text)).expect("valid");
    assert_eq!((config.log.level, config.log.format), (Level::Debug, LogFormat::Json));
    assert!(!config.watch.demo);
}

#[test]
fn rules_for_kinds_are_read_from_a_file_and_from_text() {
    let rules = [
        KindRule { prefix: "raw.".into(), kind: RoomKind::RAW },
        KindRule { prefix: "duel:".into(), kind: RoomKind::RELAY },
    ];
    let text = "[[rooms.kind]]\nprefix = \"raw.\"\nkind = \"raw\"\n\
                [[rooms.kind]]\nprefix = \"duel:\"\nkind = \"relay\"\n";
    assert_eq!(load(&file(text)).expect("valid").rooms.kind, rules);
    let sources = environment(&[("MADANG_ROOMS_KIND", "raw.=raw,duel:=relay")]);
    assert_eq!(load(&sources).expect("valid").rooms.kind, rules);
    let mut over = file(text);
    over.flags = vec![set("rooms.kind", "")];
    assert_eq!(load(&over).expect("valid").rooms.kind, []);
}

#[test]
fn rules_for_gathering_and_rooms_to_open_are_read_from_a_file_and_from_text() {
    let rule = |prefix: &str, flush| FlushRule { prefix: prefix.into(), flush };
    let rules = [
        rule("arena", FlushPolicy::Tick),
        rule("chat.", FlushPolicy::Immediate),
        rule("big.", FlushPolicy::Window(20)),
    ];
    let text = "[[rooms.flush]]\nprefix = \"arena\"\nflush = \"tick\"\n\
                [[rooms.flush]]\nprefix = \"chat.\"\nflush = \"immediate\"\n\
                [[rooms.flush]]\nprefix = \"big.\"\nflush = 20\n";
    assert_eq!(load(&file(text)).expect("valid").rooms.flush, rules);
    let sources = environment(&[("MADANG_ROOMS_FLUSH", "arena=tick,chat.=immediate,big.=20")]);
    assert_eq!(load(&sources).expect("valid").rooms.flush, rules);
    assert_eq!(
        problems(&flags(&[("rooms.flush", "arena=51")])),
        ["--set rooms.flush: \"51\" is not immediate, tick or 1 to 50 milliseconds"]
    );
    let names = ["arena-1", "arena-2"].map(|name| RoomName(name.into()));
    let text = "[rooms]\nopen = [\"arena-1\", \"arena-2\"]\n";
    assert_eq!(load(&file(text)).expect("valid").rooms.open, names);
    assert_eq!(
        load(&flags(&[("rooms.open", "arena-1,arena-2")])).expect("valid").rooms.open,
        names
    );
    assert_eq!(
        problems(&file("[rooms]\nopen = [\"a\", \"a b\"]\n")),
        ["madang.toml:2: rooms.open: \"a b\" is not a name of a room; \
          use 1 to 128 letters, digits and -._~:@"]
    );
}

#[test]
fn rules_for_watching_are_read_from_a_file_and_from_text() {
    let rule = |prefix: &str, delay_min_ms| WatchRule { prefix: prefix.into(), delay_min_ms };
    let rules = [rule("arena.", 5_000), rule("plaza", 0)];
    let text = "[[rooms.watch]]\nprefix = \"arena.\"\ndelay_min_ms = 5_000\n\
                [[rooms.watch]]\nprefix = \"plaza\"\n";
    assert_eq!(load(&file(text)).expect("valid").rooms.watch, rules);
    let inline =
        "[rooms]\nwatch = [{ prefix = \"arena.\", delay_min_ms = 5000 }, { prefix = \"plaza\" }]";
    assert_eq!(load(&file(inline)).expect("valid").rooms.watch, rules);
    let sources = environment(&[("MADANG_ROOMS_WATCH", "arena.=5000,plaza")]);
    assert_eq!(load(&sources).expect("valid").rooms.watch, rules);
    assert_eq!(load(&flags(&[("rooms.watch", "")])).expect("valid").rooms.watch, []);
    for (value, what) in [
        ("a,a", "named twice"),
        ("a b", "not a prefix"),
        ("a=x", "not a delay"),
        ("a=86400001", "too large"),
        ("[{ prefix = 3 }]", "needs prefix"),
        ("[{ prefix = \"a\", delay = 3 }]", "unknown key"),
        ("[3]", "not a rule"),
        ("[", "not a list"),
        ("a=60001", "no spectator could be delayed"),
    ] {
        let problems = problems(&flags(&[("rooms.watch", value)]));
        assert!(problems[0].contains(what), "{value}: {problems:?}");
    }
}

#[test]
fn origins_are_read_from_a_file_and_from_text() {
    let origins = |text: &str| load(&flags(&[("watch.cors_origins", text)]));
    let found = origins("https://a.example,http://[::1]:80").expect("valid").watch.cors_origins;
    let names: Vec<_> = found.iter().map(|origin| &*origin.0).collect();
    assert_eq!(names, ["https://a.example", "http://[::1]:80"]);
    let same = load(&file("[watch]\ncors_origins = [\"https://a.example\", \"http://[::1]:80\"]"));
    assert_eq!(same.expect("valid").watch.cors_origins, found);
    assert_eq!(origins("*").expect("valid").watch.cors_origins.len(), 1);
    assert_eq!(origins("self,null").expect("valid").watch.cors_origins.len(), 2);
    for bad in ["a.example", "https://", "://a", "https://a/b", "https://a\nx: y", "NULL"] {
        assert!(origins(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn certificates_are_read_from_a_file_and_from_text() {
    let text = load(&flags(&[("tls.certificates", "a.pem=a-key.pem,b.pem=b-key.pem")]));
    let text = text.expect("valid").tls.certificates;
    assert_eq!((&*text[1].certificate, &*text[1].key), ("b.pem", "b-key.pem"));
    let tables = "[[tls.certificates]]\ncertificate = \"a.pem\"\nkey = \"a-key.pem\"\n\
                  [[tls.certificates]]\ncertificate = \"b.pem\"\nkey = \"b-key.pem\"\n";
    assert_eq!(load(&file(tables)).expect("valid").tls.certificates, text);
    for (bad, said) in [
        (
            "[[tls.certificates]]\ncertificate = \"a.pem\"\n",
            "madang.toml:1: tls.certificates: a certificate needs two paths",
        ),
        (
            "[[tls.certificates]]\ncertificate = \"a\"\nkey = \"b\"\nname = \"c\"",
            "madang.toml:4: tls.certificates: name: unknown key",
        ),
        (
            "[tls]\ncertificates = [\"a.pem\"]",
            "madang.toml:2: tls.certificates: \"a.pem\" is not a certificate",
        ),
        ("[tls]\ncertificates = 1", "is not a list of certificates"),
    ] {
        let problems = problems(&file(bad));
        assert!(problems.len() == 1 && problems[0].contains(said), "{problems:?}");
    }
    assert!(load(&flags(&[("tls.certificates", "a.pem")])).is_err());
}

#[test]
fn networks_and_bans_are_read_from_a_file_and_from_text() {
    let text = "10.0.0.0/8,192.0.2.1,2001:db8::/32";
    let found = load(&flags(&[("access.proxies", text), ("auth.anonymous", "everywhere")]))
        .expect("valid")
        .access
        .proxies;
    let shown: Vec<_> = found.iter().map(|network| network.0.to_string()).collect();
    assert_eq!(shown, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
    let bans = "192.0.2.0/24,198.51.100.7=2030-01-31T12:00:00Z";
    let text = load(&flags(&[("access.bans", bans)])).expect("valid").access.bans;
    assert!(text[0].until.is_none() && text[1].until.is_some());
    let tables = "[[access.bans]]\nnetwork = \"192.0.2.0/24\"\n\
                  [[access.bans]]\nnetwork = \"198.51.100.7\"\nuntil = 2030-01-31T12:00:00Z\n";
    assert_eq!(load(&file(tables)).expect("valid").access.bans, text);
    for (bad, said) in [
        (
            "[access]\ntrusted = [\"10.0.0.0/33\"]",
            "madang.toml:2: access.trusted: \"10.0.0.0/33\" is not a network",
        ),
        ("[access]\ntrusted = [7]", "madang.toml:2: access.trusted: 7 is not a network"),
        (
            "[[access.bans]]\nnetwork = \"10.0.0.1/8\"",
            "10.0.0.1/8 has bits behind its prefix; was 10.0.0.0/8 meant?",
        ),
        (
            "[[access.bans]]\nuntil = 2030-01-31T12:00:00Z",
            "madang.toml:1: access.bans: a ban needs a network",
        ),
        (
            "[[access.bans]]\nnetwork = \"10.0.0.1\"\nuntil = 2030-01-31",
            "madang.toml:3: access.bans: 2030-01-31 is not a moment",
        ),
        (
            "[[access.bans]]\nnetwork = \"10.0.0.1\"\nfor = 3",
            "madang.toml:3: access.bans: for: unknown key",
        ),
    ] {
        let problems = problems(&file(bad));
        assert!(problems.len() == 1 && problems[0].contains(said), "{problems:?}");
    }
    assert!(load(&flags(&[("access.bans", "10.0.0.1=soon")])).is_err());
}

#[test]
fn mistakes_in_a_file_are_said_with_place_and_remedy() {
    let cases: &[(&str, &[&str])] = &[
        (
            "[play]\nlisten = \"70000\"\n",
            &[
                "madang.toml:2: play.listen: \"70000\" is not an address; write it as 127.0.0.1:7700",
            ],
        ),
        (
            "[play]\nlisten = 7700\n",
            &["madang.toml:2: play.listen: 7700 is not an address; write it as 127.0.0.1:7700"],
        ),
        (
            "[play.listen]\nport = 1\n",
            &["madang.toml:1: play.listen: a table is not an address; write it as 127.0.0.1:7700"],
        ),
        (
            "\n[play]\nlisen = \"127.0.0.1:1\"\n",
            &["madang.toml:3: play.lisen: unknown key; did you mean play.listen?"],
        ),
        (
            "[rooms]\nmessage_bytes_max = 1\n",
            &["madang.toml:2: rooms.message_bytes_max: unknown key; \
               did you mean play.message_bytes_max?"],
        ),
        (
            "[play]\nqqqqq = 1\n",
            &["madang.toml:2: play.qqqqq: unknown key; madang default-config lists all"],
        ),
        ("listen = 1\n", &["madang.toml:1: listen: unknown key; did you mean play.listen?"]),
        ("[plya]\n", &["madang.toml:1: [plya]: unknown section; did you mean [play]?"]),
        ("[zzzzz]\nx = 1\n", &["madang.toml:1: [zzzzz]: unknown section"]),
        ("play = 1\n", &["madang.toml:1: play: this is a section; write [play]"]),
        (
            "[play]\nhello_bytes_max = 5\n",
            &["madang.toml:2: play.hello_bytes_max: 5 is too small; the least is 256"],
        ),
        (
            "[server]\nnode = 65536\n",
            &["madang.toml:2: server.node: 65536 is too large; the most is 65535"],
        ),
        ("[server]\nnode = -1\n", &["madang.toml:2: server.node: -1 is too small; the least is 0"]),
        (
            "[play]\nping_ms = \"25s\"\n",
            &["madang.toml:2: play.ping_ms: \"25s\" is not a whole number; write it as 25000"],
        ),
        (
            "[play]\nping_ms = 2.5\n",
            &["madang.toml:2: play.ping_ms: 2.5 is not a whole number; write it as 25000"],
        ),
        (
            "[log]\nformat = \"jsn\"\n",
            &["madang.toml:2: log.format: \"jsn\" is not one of human, json; did you mean json?"],
        ),
        ("[log]\nformat = 1\n", &["madang.toml:2: log.format: 1 is not one of human, json"]),
        (
            "[watch]\ndemo = \"true\"\n",
            &["madang.toml:2: watch.demo: \"true\" is text; write it without the quotes"],
        ),
        ("[watch]\ndemo = 1\n", &["madang.toml:2: watch.demo: 1 is neither true nor false"]),
        (
            "[rooms]\nkind = \"raw\"\n",
            &["madang.toml:2: rooms.kind: \"raw\" is not a list of rules; write [[rooms.kind]]"],
        ),
        (
            "[[rooms.kind]]\nprefix = \"raw.\"\nkind = \"rwa\"\n",
            &[
                "madang.toml:3: rooms.kind: \"rwa\" is not one of relay, raw, arena, shared; did you mean raw?",
            ],
        ),
        (
            "[[rooms.kind]]\nprefix = \"a/b\"\nkind = \"raw\"\n",
            &["madang.toml:2: rooms.kind: \"a/b\" is not a prefix; \
               use 1 to 128 letters, digits and -._~:@"],
        ),
        (
            "[[rooms.kind]]\nprefix = \"a\"\n",
            &["madang.toml:1: rooms.kind: a rule needs kind; \
               write prefix = \"raw.\" and kind = \"raw\""],
        ),
        (
            "[[rooms.kind]]\nprefix = \"a\"\nkind = \"raw\"\nname = 1\n",
            &["madang.toml:4: rooms.kind: name: unknown key; a rule has prefix and kind"],
        ),
        (
            "[[rooms.kind]]\nprefix = \"a\"\nkind = \"raw\"\n\
             [[rooms.kind]]\nprefix = \"a\"\nkind = \"relay\"\n",
            &["madang.toml:1: rooms.kind: prefix \"a\" is bound twice; remove one"],
        ),
        (
            "[play]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n",
            &["madang.toml:3: duplicate key"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&file(text)), *expected, "{text}");
    }
}

#[test]
fn behind_a_slip_of_syntax_nothing_is_guessed() {
    let text = "[watch]\ndemo = 3\n[play]\nzzz = = 1\nhello_ms = 0\n[nonsense]\n";
    assert_eq!(
        problems(&file(text)),
        [
            "madang.toml:2: watch.demo: 3 is neither true nor false",
            "madang.toml:4: extra `=`, expected nothing",
        ]
    );
    assert_eq!(
        problems(&file("[play\nlisten = \"x\"\n")),
        ["madang.toml:1: unclosed table, expected `]`"]
    );
}

#[test]
fn mistakes_in_the_environment_are_said_by_variable() {
    let cases = [
        (
            ("MADANG_PLAY_LISTEN", "70000"),
            "MADANG_PLAY_LISTEN: \"70000\" is not an address; write it as 127.0.0.1:7700",
        ),
        (
            ("MADANG_PLAY_LISEN", "127.0.0.1:1"),
            "MADANG_PLAY_LISEN: unknown key; did you mean MADANG_PLAY_LISTEN?",
        ),
        (("MADANG_QQQ", "1"), "MADANG_QQQ: unknown key"),
        (("MADANG_PLAY_NOISE", "1"), "MADANG_PLAY_NOISE: unknown key"),
        (
            ("MADANG_PLYA_PING_MS", "1"),
            "MADANG_PLYA_PING_MS: unknown key; did you mean MADANG_PLAY_PING_MS?",
        ),
        (
            ("MADANG_ROOMS_KIND", "raw."),
            "MADANG_ROOMS_KIND: \"raw.\" is not a rule; write it as raw.=raw",
        ),
    ];
    for (variable, expected) in cases {
        assert_eq!(problems(&environment(&[variable])), [expected]);
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_said() {
    let value = OsString::from_vec(vec![b'1', 0xff]);
    let environment = vec![(OsString::from("MADANG_SERVER_NODE"), value)];
    let sources = Sources { environment, ..Sources::default() };
    assert_eq!(problems(&sources), ["MADANG_SERVER_NODE: 1\u{fffd} is not UTF-8"]);
}

#[test]
fn variables_of_others_are_left_alone() {
    let sources = environment(&[
        ("PLAY_LISTEN", "x"),
        ("madang_play_listen", "x"),
        ("MADANG_CONFIG", "x.toml"),
        ("MADANG_SERVICE_HOST", "10.0.0.1"),
        ("MADANG_PORT_7700_TCP_ADDR", "10.0.0.1"),
        ("MADANG_TEST_BINARY", "x"),
    ]);
    assert_eq!(load(&sources), Ok(Config::default()));
}

#[test]
fn mistakes_in_flags_are_said_as_they_were_typed() {
    let listen = Flag { shown: "--listen".to_owned(), ..set("play.listen", "70000") };
    let sources = Sources {
        flags: vec![listen, set("play.lisen", "1"), set("shards", "1"), set("server.shards", "x")],
        ..Sources::default()
    };
    assert_eq!(
        problems(&sources),
        [
            "--listen: \"70000\" is not an address; write it as 127.0.0.1:7700",
            "--set play.lisen: unknown key; did you mean play.listen?",
            "--set shards: unknown key; did you mean server.shards?",
            "--set server.shards: \"x\" is not a whole number; write it as 0",
        ]
    );
}

#[test]
fn all_mistakes_are_said_from_the_top_of_the_file_to_the_flags() {
    let mut sources = file("[watch]\ndemo = 3\n[play]\nzzz = 1\nhello_ms = 0\n[nonsense]\n");
    sources.environment = environment(&[("MADANG_SERVER_NODE", "x")]).environment;
    sources.flags = vec![set("log.level", "loud")];
    let problems = problems(&sources);
    let starts: Vec<_> = problems.iter().map(|line| line.split(' ').next().unwrap_or("")).collect();
    assert_eq!(
        starts,
        [
            "madang.toml:2:",
            "madang.toml:4:",
            "madang.toml:5:",
            "madang.toml:6:",
            "MADANG_SERVER_NODE:",
            "--set"
        ],
        "{problems:#?}"
    );
}

#[test]
fn keys_that_do_not_go_together_are_both_named() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("access.proxy_protocol", "true")],
            "access.proxy_protocol is for proxies, and access.proxies names none",
        ),
        (
            &[("access.forwarded", "x-forwarded-for")],
            "access.forwarded is for proxies, and access.proxies names none",
        ),
        (
            &[("server.drain_notice_ms", "20000")],
            "server.drain_notice_ms is 20000, above server.drain_ms, which is 10000: \
             the notice is a part of the drain",
        ),
        (
            &[("server.retry_after_min_ms", "6000")],
            "server.retry_after_min_ms is 6000, above server.retry_after_max_ms, which is 5000: \
             no time is between them",
        ),
        (
            &[("play.batch_bytes_max", "60000")],
            "play.message_bytes_max is 65536, above play.batch_bytes_max, which is 60000: \
             what a client may send must fit into what its room-mates may get",
        ),
        (
            &[("play.outbound_bytes_max", "262144"), ("play.batch_bytes_max", "262145")],
            "play.batch_bytes_max is 262145, above play.outbound_bytes_max, which is 262144: \
             a queue must hold at least one full batch",
        ),
        (
            &[("play.bytes_burst", "1024")],
            "play.message_bytes_max is 65536, above play.bytes_burst, which is 1024: \
             the largest message could never be sent",
        ),
        (
            &[("play.batch_bytes_max", "65537"), ("play.peer_window_bytes", "65536")],
            "play.batch_bytes_max is 65537, above play.peer_window_bytes, which is 65536: \
             a full batch could never pass between shards",
        ),
        (
            &[("play.sessions_max", "10")],
            "play.away_sessions_max is 20000, above play.sessions_max, which is 10: \
             sessions in grace count among all",
        ),
        (
            &[("rooms.members_max", "10")],
            "rooms.default_capacity is 20000, above rooms.members_max, which is 10: \
             a room without a capacity would be refused",
        ),
        (
            &[("rooms.join_history_messages_max", "5000")],
            "rooms.join_history_messages_max is 5000, above rooms.history_messages_max, which is \
             4096: a join cannot be given more than is kept",
        ),
        (
            &[("rooms.history_messages_max", "2047")],
            "play.outbound_messages_max is 2048, above rooms.history_messages_max, which is 2047: \
             a client closed for a full queue could not be given what it missed",
        ),
        (
            &[("rooms.history_bytes_max", "524287")],
            "play.outbound_bytes_max is 524288, above rooms.history_bytes_max, which is 524287: \
             a client closed for a full queue could not be given what it missed",
        ),
        (
            &[
                ("rooms.history_bytes_max", "65535"),
                ("play.outbound_bytes_max", "65535"),
                ("play.batch_bytes_max", "65535"),
                ("play.message_bytes_max", "65535"),
                ("rooms.attributes_bytes_max", "65536"),
            ],
            "rooms.attributes_bytes_max is 65536, above play.message_bytes_max, which is 65535: \
             a member's attributes travel in one message",
        ),
        (
            &[("rooms.attributes_bytes_max", "65537")],
            "rooms.attributes_bytes_max is 65537, above play.message_bytes_max, which is 65536: \
             a member's attributes travel in one message",
        ),
        (
            &[("watch.publish_keys", "0123456789abcdef"), ("watch.publish_bytes_max", "65537")],
            "watch.publish_bytes_max is 65537, above play.batch_bytes_max, which is 65536: \
             what a backend may publish must fit into what members may get",
        ),
        (
            &[("watch.listen", "127.0.0.1:7700")],
            "play.listen and watch.listen are both 127.0.0.1:7700: each needs a port of its own",
        ),
    ];
    for (values, expected) in cases {
        let problems = problems(&flags(values));
        let places: Vec<_> =
            values.iter().map(|(path, _)| format!("--set {path}: {expected}")).collect();
        assert!(problems.len() == 1 && places.contains(&problems[0]), "{problems:#?} {expected}");
    }
    let text = "\n[server]\ndrain_notice_ms = 20_000\n";
    assert!(problems(&file(text))[0].starts_with("madang.toml:3: server.drain_notice_ms is 20000"));
}

#[test]
fn listeners_may_share_a_port_that_is_free_or_of_another_address() {
    let both_free = flags(&[("play.listen", "127.0.0.1:0"), ("watch.listen", "127.0.0.1:0")]);
    assert!(load(&both_free).is_ok());
    let two_addresses = flags(&[("play.listen", "127.0.0.1:80"), ("watch.listen", "127.0.0.2:80")]);
    assert!(load(&two_addresses).is_ok());
}

#[test]
fn a_room_without_history_needs_no_bytes_for_it() {
    let sources = flags(&[
        ("rooms.history_messages_max", "0"),
        ("rooms.join_history_messages_max", "0"),
        ("rooms.history_bytes_max", "0"),
    ]);
    assert!(load(&sources).is_ok());
}
