//! SPEC.md says what the code does: its tables of fields and tags are compared with the types, and
//! its marked blocks are generated from here. `MADANG_UPDATE_TESTDATA=1` rewrites the blocks.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod example;
mod tables;

use std::path::Path;

fn read() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SPEC.md");
    std::fs::read_to_string(path).expect("SPEC.md is beside the crate's manifest")
}

/// Puts `content` between `<!-- generated: name -->` and the next `<!-- end -->`.
fn replace_block(spec: &str, name: &str, content: &str) -> String {
    let mark = format!("<!-- generated: {name} -->\n");
    let start = spec.find(&mark).unwrap_or_else(|| panic!("no block {name:?}")) + mark.len();
    let len = spec[start..].find("<!-- end -->").expect("the block ends");
    format!("{}{}{}", &spec[..start], content, &spec[start + len..])
}

#[test]
fn the_generated_blocks_are_what_the_code_gives() {
    let spec = read();
    let blocks = [
        ("close codes", tables::close_codes()),
        ("error codes", tables::error_codes()),
        ("bounds", tables::bounds()),
        ("example bytes", example::bytes()),
        ("example json", example::json()),
    ];
    let wanted = blocks
        .iter()
        .fold(spec.clone(), |spec, (name, content)| replace_block(&spec, name, content));
    if std::env::var_os("MADANG_UPDATE_TESTDATA").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SPEC.md");
        std::fs::write(path, wanted).unwrap();
        return;
    }
    let differs = wanted.lines().zip(spec.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        wanted == spec,
        "SPEC.md differs from the code; first difference (code, page): {differs:?}\n\
         Run the tests with MADANG_UPDATE_TESTDATA=1."
    );
}

#[test]
fn every_heading_that_is_linked_exists() {
    let spec = read();
    let anchors: Vec<String> = spec
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            text.chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect();
    for link in spec.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        assert!(anchors.iter().any(|a| a == anchor), "no heading for #{anchor} in {anchors:?}");
    }
}
