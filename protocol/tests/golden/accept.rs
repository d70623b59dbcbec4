//! What must be accepted although no implementation needs to write it so.

use super::files::unhex;

/// Name, direction, bytes: integers in more bytes than they need.
pub(crate) fn binary() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let case = |name, direction, hex: &str| (name, direction, unhex(hex));
    vec![
        case("u32 3 in three bytes", "client", "02 fb0300"),
        case("u32 3 in five bytes", "client", "02 fc03000000"),
        case("u32 0 in five bytes", "client", "02 fc00000000"),
        case("u64 3 in nine bytes", "client", "07 fd0300000000000000"),
        case("u64 65535 in five bytes", "client", "07 fcffff0000"),
        case("tag in three bytes", "client", "fb0200 03"),
        case("tag in five bytes", "client", "fc07000000 01"),
        case("length of a list in nine bytes", "client", "06 03 0b fd0000000000000000"),
        case(
            "length of a text in nine bytes",
            "client",
            "03 03 07 00 01 fd0400000000000000 63686174 01 fb0100 61",
        ),
        case("int -1 in three bytes", "client", "06 03 0b 01 01 61 02 fb0100"),
        case("u16 in three bytes", "client", "00 fb0100 fb0100 00 00 00 00 00"),
        case("u32 3 in three bytes from the server", "server", "02 fb0300 00"),
        case("u64 3 in nine bytes from the server", "server", "0b fd0300000000000000 05"),
        case("nested tag in three bytes from the server", "server", "02 03 fb0400"),
        case("part in three bytes", "client", "09 03 fb0000 05 01"),
        case("tick in nine bytes", "client", "09 03 00 fd0500000000000000 fc01000000"),
        case("edits, count in three bytes", "client", "0a 03 0c fb0100 02 00 07"),
        case(
            "uint in nine bytes",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 02 fd0500000000000000 00",
        ),
        case("length of a state in nine bytes", "server", "12 03 00 05 06 07 fd010000000000000001"),
        case("ticks in three bytes", "server", "13 03 00 fb0500 fb0600 07 08 00"),
        case("refusal in three bytes", "server", "16 03 0c 05 00 01 00 fb0500"),
    ]
}

/// Name and text: fields with defaults left out, unknown fields, other spellings.
pub(crate) fn json() -> Vec<(&'static str, String)> {
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let deepest =
        format!(r#"{{"publish":{{"channel":3,"cseq":1,"type":"t","payload":{{"json":{deep}}}}}}}"#);
    json_texts()
        .into_iter()
        .map(|(name, text)| (name, text.to_owned()))
        .chain([("json: json payload of 64 arrays", deepest)])
        .collect()
}

fn json_texts() -> Vec<(&'static str, &'static str)> {
    vec![
        ("json: hello, only versions", r#"{"hello":{"version_min":1,"version_max":1}}"#),
        (
            "json: hello, resume without rooms",
            r#"{"hello":{"version_min":1,"version_max":1,"resume":{"key":"000102030405060708090a0b0c0d0e0f1011121314151617"}}}"#,
        ),
        ("json: join, only ref and target", r#"{"join":{"ref":1,"target":{"name":"lobby"}}}"#),
        (
            "json: join, match without filter",
            r#"{"join":{"ref":1,"target":{"match":{"kind":"relay"}}}}"#,
        ),
        (
            "json: join, echo off",
            r#"{"join":{"ref":1,"target":{"name":"lobby"},"options":{"echo":false}}}"#,
        ),
        (
            "json: join, create options with capacity only",
            r#"{"join":{"ref":1,"target":{"name":"lobby"},"options":{"create":{"capacity":8}}}}"#,
        ),
        (
            "json: publish without class",
            r#"{"publish":{"channel":3,"cseq":1,"type":"chat","payload":{"text":"hi"}}}"#,
        ),
        ("json: unknown fields", r#"{"leave":{"channel":3,"because":{"deep":[[1]]}}}"#),
        (
            "json: white space and key order",
            " { \"publish\" :\n{\"payload\":{\"json\": {\"a\" : 1} },\"type\":0,\"cseq\":1,\"channel\":3}}\t",
        ),
        (
            "json: bare numbers as attribute values",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",3],["b",-3],["c",3.0],["d",1e2],["e",-0]]}}"#,
        ),
        (
            "json: floats of any spelling",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",{"float":1}],["b",{"float":-0}],["c",{"float":1E2}],["d",{"float":1e-400}],["e",{"float":0.1000000000000000055511151231257827}]]}}"#,
        ),
        (
            "json: edit, set to zero by leaving the value out",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1}}]}}"#,
        ),
        (
            "json: edit, numbers of any spelling",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"field":1,"entity":{"temp":7},"value":{"list":[{"number":1},{"number":-0},{"vec2":[1E2,1e-400]},{"vec3":[0.1000000000000000055511151231257827,179.76931348623157,-3]}]},"if_version":null,"why":[]}}]}}"#,
        ),
        ("json: unknown fields twice", r#"{"leave":{"channel":3,"why":1,"why":2}}"#),
        (
            "json: json payload with pairs of surrogates and large numbers",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":["\ud83c\udfaa",1e308,123456789012345678901234567890,-0.0]}}}"#,
        ),
        (
            "json: upper-case hex",
            r#"{"join":{"ref":1,"target":{"name":"a"},"since":{"epoch":"00AABBCCDDEEFF00","seq":1}}}"#,
        ),
        (
            "json: escapes",
            r#"{"publish":{"channel":3,"cseq":1,"type":"ch\u0061t","payload":{"text":"\ud83c\udfaa\/"}}}"#,
        ),
    ]
}
