//! Reading and writing the files of `testdata/`: a JSON list with one case a line.

use std::fmt::Write as _;
use std::path::Path;

/// One case, with its keys in the order they were added.
pub(crate) struct Row(String);

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self(format!("{{\"name\": {}", quoted(name)))
    }

    /// Adds a string.
    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, &quoted(value))
    }

    /// Adds a value that is JSON already.
    pub(crate) fn raw(mut self, key: &str, json: &str) -> Self {
        assert!(!json.contains('\n'), "one case, one line");
        write!(self.0, ", \"{key}\": {json}").unwrap();
        self
    }
}

/// Compares `rows` with the file, or writes the file when `MADANG_UPDATE_TESTDATA` is set.
pub(crate) fn check(file: &str, rows: Vec<Row>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let lines: Vec<String> = rows.into_iter().map(|row| row.0 + "}").collect();
    let mut names: Vec<&str> = lines.iter().map(|line| line.split('"').nth(3).unwrap()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name is there twice: {names:?}");
    let wanted = format!("[\n{}\n]\n", lines.join(",\n"));
    serde_json::from_str::<serde::de::IgnoredAny>(&wanted).expect("the file is JSON");
    if std::env::var_os("MADANG_UPDATE_TESTDATA").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if found == wanted {
        return;
    }
    let drifted =
        wanted.lines().zip(found.lines().chain(std::iter::repeat(""))).find(|(a, b)| a != b);
    panic!(
        "testdata/{file} differs from what the code gives; first difference (code, file): \
         {drifted:.400?}\nIf the wire was meant to change, run the tests with \
         MADANG_UPDATE_TESTDATA=1."
    );
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Bytes from hexadecimal digits; spaces between them are for the reader.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).unwrap() as u8).collect();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
