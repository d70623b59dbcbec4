//! What the source must look like, as far as a machine can see it: who may name which crate, how
//! long a file may be, and that what is shipped is complete.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file that is written by hand.
const LINES_MAX: usize = 800;

#[test]
fn sockets_are_named_only_by_the_shell_that_owns_them() {
    // The files that start the threads hand them their wakers.
    let allowed = ["src/shard/", "src/net/", "src/admin/", "src/server.rs", "src/lib.rs"];
    assert_nobody_names("mio", &allowed);
}

#[test]
fn the_websocket_codec_is_named_only_by_net() {
    assert_nobody_names("tungstenite", &["src/net/"]);
}

#[test]
fn tls_and_signatures_are_named_only_by_their_own_files() {
    assert_nobody_names("rustls", &["src/net/tls/"]);
    assert_nobody_names("rcgen", &["src/net/tls/"]);
    assert_nobody_names("ring", &["src/net/tls/", "src/auth/"]);
    assert_nobody_names("jsonwebtoken", &["src/auth/"]);
}

#[test]
fn the_wire_codec_is_named_in_one_file() {
    assert_nobody_names("bincode", &["protocol/src/codec.rs"]);
}

#[test]
fn the_core_has_no_clock_no_threads_no_sockets_and_no_unordered_maps() {
    let forbidden =
        ["Instant", "SystemTime", "HashMap", "HashSet", "thread", "Mutex", "RwLock", "TcpStream"];
    let mut found = Vec::new();
    for file in rust_files(&["engine/src/"]) {
        // It wraps the standard map so that nobody can iterate over it.
        if file.path == "engine/src/index.rs" {
            continue;
        }
        for (number, line) in code_lines(&file.text) {
            let named = forbidden.iter().any(|word| names(line, word));
            if named || line.contains("std::net") {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "the engine names what must come in from outside:\n{found:#?}");
}

#[test]
fn the_transport_knows_bytes_and_never_rooms() {
    let allowed = ["id", "time", "timer", "frame"];
    let mut found = Vec::new();
    for file in rust_files(&["src/net/"]) {
        for (number, line) in code_lines(&file.text) {
            for (_, rest) in line.match_indices("madang_engine").map(|(i, word)| {
                let after = &line[i + word.len()..];
                (i, after.strip_prefix("::").unwrap_or(after))
            }) {
                let module = rest.split(|c: char| !is_word(c)).next().unwrap_or_default();
                if !allowed.contains(&module) {
                    found.push(format!("{}:{number}: {}", file.path, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "net names more of the engine than {allowed:?}:\n{found:#?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    let written = ["rs", "js", "css", "html", "py", "sh"];
    let long: Vec<_> = all_files()
        .into_iter()
        .filter(|file| written.contains(&extension(&file.path)))
        .filter(|file| !file.path.contains("/testdata/"))
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines:\n{long:#?}");
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let bare = [concat!("#[", "allow("), concat!("#![", "allow(")];
    let found: Vec<_> = all_files()
        .into_iter()
        .filter(|file| extension(&file.path) == "rs")
        .filter(|file| bare.iter().any(|attribute| file.text.contains(attribute)))
        .map(|file| file.path)
        .collect();
    assert!(found.is_empty(), "write #[expect(lint, reason = ..)] in {found:#?}");
}

#[test]
fn nothing_names_a_directory_of_the_machine_it_was_written_on() {
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
    let found: Vec<_> = all_files()
        .into_iter()
        .filter(|file| homes.iter().any(|home| file.text.contains(home)))
        .map(|file| file.path)
        .collect();
    assert!(found.is_empty(), "absolute paths in {found:#?}");
}

#[test]
fn lock_files_name_the_public_registries_alone() {
    let mut found = Vec::new();
    for file in all_files() {
        let (field, allowed) = match file.path.rsplit('/').next() {
            Some("Cargo.lock") => {
                ("source = ", "\"registry+https://github.com/rust-lang/crates.io-index\"")
            }
            Some("package-lock.json") => ("\"resolved\": ", "\"https://registry.npmjs.org/"),
            _ => continue,
        };
        for line in file.text.lines() {
            let value = line.trim_start().strip_prefix(field);
            if value.is_some_and(|value| !value.starts_with(allowed)) {
                found.push(format!("{}: {}", file.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_of_the_demo_and_of_its_client_is_embedded() {
    let assets = fs::read_to_string(root().join("src/watch/assets.rs")).expect("readable");
    for directory in
        ["examples/courtyard", "examples/board", "examples/arena/web", "clients/web/src"]
    {
        let mut seen = 0;
        for file in all_files() {
            let Some(name) = file.path.strip_prefix(&format!("{directory}/")) else { continue };
            // A readme beside the page is for people who read the source.
            if extension(name) == "md" {
                continue;
            }
            seen += 1;
            let entry = format!("= \"{}\",", file.path);
            assert!(assets.contains(&entry), "{} is not in src/watch/assets.rs", file.path);
        }
        assert!(seen > 0, "{directory} is empty");
    }
}

/// Each test that the page names exists, by whichever runner it is run.
#[test]
fn the_tests_that_security_rests_on_are_there() {
    let page = fs::read_to_string(root().join("docs/SECURITY.md")).expect("readable");
    let sources: Vec<_> = all_files()
        .into_iter()
        .filter(|file| ["rs", "py", "js"].contains(&extension(&file.path)))
        .collect();
    let is_there = |test: &str| {
        let forms = [format!("fn {test}("), format!("def {test}("), format!("test('{test}'")];
        sources.iter().any(|file| forms.iter().any(|form| file.text.contains(form)))
    };
    let coded = page.split('`').skip(1).step_by(2);
    let coded = coded.filter(|word| word.matches('_').count() > 3 && !word.contains('.'));
    let coded = coded.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let quoted = rows.flat_map(|row| row.split('"').skip(1).step_by(2));
    let named: Vec<_> = coded.chain(quoted).filter(|word| !word.starts_with("madang_")).collect();
    let missing: Vec<_> = named.iter().filter(|test| !is_there(test)).collect();
    assert!(named.len() > 30 && missing.is_empty(), "of {}: {missing:#?}", named.len());
}

#[test]
fn the_walk_sees_the_source() {
    let paths: Vec<_> = all_files().into_iter().map(|file| file.path).collect();
    for path in ["src/main.rs", "protocol/src/codec.rs", "tests/tidy.rs", "Cargo.toml"] {
        assert!(paths.iter().any(|found| found == path), "{path}");
    }
    assert!(!paths.iter().any(|path| path.contains("node_modules/") || path.contains("target/")));
}

#[test]
fn words_are_found_whole_and_in_code_alone() {
    assert!(names("use mio::Poll;", "mio"));
    assert!(!names("let amiot = 1;", "mio"));
    assert!(!names("mio_like()", "mio"));
    let lines: Vec<_> = code_lines("//! mio\nmio(); // tungstenite\n/// bincode\n").collect();
    assert_eq!(lines, [(1, ""), (2, "mio(); "), (3, "")]);
}

/// A file of the source tree.
struct File {
    /// Its path from the root, with `/`.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file but those that are built, installed or hidden.
fn all_files() -> Vec<File> {
    let mut files = Vec::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("readable") {
            let path: PathBuf = entry.expect("readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == "target" || name == "node_modules" || name == ".git" {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).expect("below the root");
                files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    files
}

fn rust_files(prefixes: &[&str]) -> Vec<File> {
    let of_prefix = |file: &File| prefixes.iter().any(|prefix| file.path.starts_with(prefix));
    let files = all_files().into_iter();
    files.filter(|file| extension(&file.path) == "rs" && of_prefix(file)).collect()
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn assert_nobody_names(word: &str, allowed: &[&str]) {
    let mut found = Vec::new();
    for file in rust_files(&["src/", "engine/src/", "protocol/src/"]) {
        if allowed.iter().any(|prefix| file.path.starts_with(prefix)) {
            continue;
        }
        for (number, line) in code_lines(&file.text) {
            if names(line, word) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{word} is for {allowed:?} alone:\n{found:#?}");
}

/// Lines with their numbers, without line comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether a line has this word, whole.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
