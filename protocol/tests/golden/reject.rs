//! What must be refused.

use super::client_cases;
use super::files::unhex;
use super::{client_bytes, reject_state, server_bytes, server_cases};

/// Bytes that are no message.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) why: &'static str,
}

pub(crate) fn binary() -> Vec<Case> {
    let case = |name, direction, hex: &str, why| Case { name, direction, bytes: unhex(hex), why };
    let mut cases = vec![
        case("no bytes", "client", "", "a message has at least a tag"),
        case("no bytes from the server", "server", "", "a message has at least a tag"),
        case("unknown tag", "client", "0d", "tags end at 12"),
        case("unknown tag of two bytes", "client", "fb0001 00", "tags end at 12"),
        case("unknown tag from the server", "server", "19 00", "tags end at 24; a client skips it"),
        case("reserved byte 254 as tag", "client", "fe 00", "254 starts no integer"),
        case("reserved byte 255 as channel", "client", "02 ff", "255 starts no integer"),
        case("leave without channel", "client", "02", "the channel is missing"),
        case("leave, channel cut", "client", "02 fbff", "the integer ends early"),
        case("leave, one byte too many", "client", "02 03 00", "bytes are left over"),
        case("ping, a second message behind it", "client", "07 01 07 02", "bytes are left over"),
        case("u32 of eight bytes, too big", "client", "02 fd 0000000001000000", "2^32 in a u32"),
        case(
            "u32 of eight bytes, small",
            "client",
            "02 fd 0300000000000000",
            "marker 253 in a u32",
        ),
        case(
            "u32 of eight bytes, too big, from the server",
            "server",
            "02 fd 0000000001000000 00",
            "2^32 in a u32",
        ),
        case(
            "u16 of four bytes",
            "client",
            "00 fc 00000100 01 00 00 00 00 00",
            "marker 252 in a u16",
        ),
        case("u64 above 2^53 - 1", "client", "07 fd 0000000000002000", "2^53"),
        case("u64 of all ones", "client", "07 fd ffffffffffffffff", "2^64 - 1"),
        case(
            "cseq above 2^53 - 1",
            "client",
            "05 03 fd 0000000000002000 01 04 696e666f 00 00",
            "2^53",
        ),
        case("u64 above 2^53 - 1 from the server", "server", "0b 01 fd 0000000000002000", "2^53"),
        case("bool 2", "client", "01 01 00 01 61 02 00 02 00 00 00 00", "echo is neither 0 nor 1"),
        case(
            "option tag 2",
            "client",
            "00 01 01 00 00 02 00 00",
            "token is neither absent (0) nor present (1)",
        ),
        case(
            "option tag as a wide integer",
            "client",
            "00 01 01 00 00 fb0000 00 00",
            "an option tag is one raw byte",
        ),
        case("join mode 3", "client", "01 01 00 01 61 03 00 01 00 00 00 00", "modes end at 2"),
        case("join target 2", "client", "01 01 02 01 61 02 00 01 00 00 00 00", "targets end at 1"),
        case("class 3", "client", "03 03 07 03 01 04 63686174 00 00", "classes end at 2"),
        case("payload format 3", "client", "03 03 07 00 01 04 63686174 03 00", "formats end at 2"),
        case(
            "type reference 2",
            "client",
            "03 03 07 00 02 04 63686174 00 00",
            "type references end at 1",
        ),
        case("value 6", "client", "06 03 0b 01 01 61 06 00", "values end at 5"),
        case(
            "room name is no UTF-8",
            "client",
            "01 01 00 02 c328 02 00 01 00 00 00 00",
            "c3 28 is no UTF-8",
        ),
        case(
            "text payload is no UTF-8",
            "client",
            "03 03 07 00 01 04 63686174 01 01 ff",
            "ff is no UTF-8",
        ),
        case(
            "json payload is no UTF-8",
            "client",
            "03 03 07 00 01 04 63686174 02 01 ff",
            "ff is no UTF-8",
        ),
        case(
            "text is a surrogate in UTF-8",
            "client",
            "03 03 07 00 01 04 63686174 01 03 eda080",
            "ed a0 80 is no UTF-8",
        ),
        case(
            "text is an overlong NUL",
            "client",
            "03 03 07 00 01 04 63686174 01 02 c080",
            "c0 80 is no UTF-8",
        ),
        case(
            "text cut inside a character",
            "client",
            "03 03 07 00 01 04 63686174 01 02 ec95",
            "ec 95 is no UTF-8",
        ),
        case(
            "payload longer than the message",
            "client",
            "03 03 07 00 01 04 63686174 00 05 01020304",
            "5 bytes promised, 4 there",
        ),
        case(
            "payload shorter than the message",
            "client",
            "03 03 07 00 01 04 63686174 00 03 01020304",
            "bytes are left over",
        ),
        case(
            "type name longer than the message",
            "client",
            "03 03 07 00 01 fa 63686174 00 00",
            "250 bytes promised",
        ),
        case(
            "payload claims 2^64 - 1 bytes",
            "client",
            "03 03 07 00 01 00 00 fd ffffffffffffffff",
            "too many bytes promised",
        ),
        case(
            "attributes claim 2^60 elements",
            "client",
            "06 03 0b fd 0000000000000010",
            "too many elements promised",
        ),
        case(
            "attributes claim 2^64 - 1 elements",
            "client",
            "06 03 0b fd ffffffffffffffff",
            "too many elements promised",
        ),
        case(
            "attributes claim 2^32 - 1 elements",
            "client",
            "06 03 0b fc ffffffff 00 00",
            "too many elements promised",
        ),
        case(
            "features claim 2^60 elements",
            "client",
            "00 01 01 fd 0000000000000010",
            "too many elements promised",
        ),
        case("moved without epoch", "server", "10 03", "the epoch is missing"),
        case(
            "int above 2^53 - 1",
            "client",
            "06 03 0b 01 01 61 02 fd 0000000000004000",
            "zigzag of 2^53",
        ),
        case(
            "int below -(2^53 - 1)",
            "client",
            "06 03 0b 01 01 61 02 fd ffffffffffff3f00",
            "zigzag of -2^53",
        ),
        case("float NaN", "client", "06 03 0b 01 01 61 03 000000000000f87f", "NaN"),
        case("float infinity", "client", "06 03 0b 01 01 61 03 000000000000f07f", "infinity"),
        case(
            "float minus infinity",
            "client",
            "06 03 0b 01 01 61 03 000000000000f0ff",
            "minus infinity",
        ),
        case("float cut", "client", "06 03 0b 01 01 61 03 000000000000f0", "a float has 8 bytes"),
        case(
            "presence event 6",
            "server",
            "06 03 2d 06 00",
            "events end at 5; a client skips the message",
        ),
        case(
            "leave reason 6",
            "server",
            "02 03 06",
            "reasons end at 5; a client skips the message",
        ),
        case(
            "bool 2 from the server",
            "server",
            "06 03 2d 00 06 00 02 00",
            "away is neither 0 nor 1",
        ),
        case("epoch cut", "server", "10 03 e0e1e2e3e4e5e6", "an epoch has 8 bytes"),
        case(
            "resume key cut",
            "client",
            "00 01 01 00 00 00 01 0001020304050607",
            "a key has 24 bytes",
        ),
    ];
    cases.extend(reject_state::binary().into_iter().map(|(a, b, c, d)| case(a, b, c, d)));
    cases.push(roster_of(&unhex("fd 0000000000000010")));
    let hello = client_bytes(&named(client_cases::all(), "hello, everything"));
    let join = client_bytes(&named(client_cases::all(), "join with everything"));
    let joined = server_bytes(&named(server_cases::all(), "joined, everything"));
    let mut cut = |name, direction, whole: &[u8], len: usize| {
        let bytes = whole[..len].to_vec();
        cases.push(Case { name, direction, bytes, why: "the message is cut" });
    };
    cut("hello, half", "client", &hello, hello.len() / 2);
    cut("hello, last byte missing", "client", &hello, hello.len() - 1);
    cut("join, half", "client", &join, join.len() / 2);
    cut("join, last byte missing", "client", &join, join.len() - 1);
    cut("joined, half", "server", &joined, joined.len() / 2);
    cut("joined, last byte missing", "server", &joined, joined.len() - 1);
    cases
}

fn named<M>(cases: Vec<(&'static str, M)>, wanted: &str) -> M {
    cases.into_iter().find(|(name, _)| *name == wanted).expect("there is such a case").1
}

/// A `Joined` whose roster promises more members than there can be.
fn roster_of(count: &[u8]) -> Case {
    let whole = server_bytes(&named(server_cases::all(), "joined, roster full, empty"));
    // The message ends in roster tag 0 and count 0, types 0, capacity 100, labels 0, ext 0.
    let (front, tail) = whole.split_at(whole.len() - 6);
    assert_eq!(tail, [0, 0, 0, 100, 0, 0]);
    let bytes = [front, &[0], count, &[0, 100, 0, 0]].concat();
    let name = "roster claims 2^60 elements";
    Case { name, direction: "server", bytes, why: "too many elements promised" }
}

/// Name, direction, text, why.
type JsonCase = (&'static str, &'static str, String, &'static str);

pub(crate) fn json() -> Vec<JsonCase> {
    let written = json_texts().into_iter().chain(json_payload_texts()).chain(reject_state::json());
    let mut cases: Vec<JsonCase> =
        written.map(|(name, from, text, why)| (name, from, text.to_owned(), why)).collect();
    let too_deep = |open: &str, close: &str| {
        let deep = format!("{}1{}", open.repeat(65), close.repeat(65));
        format!(r#"{{"publish":{{"channel":3,"cseq":1,"type":"t","payload":{{"json":{deep}}}}}}}"#)
    };
    let why = "a json payload nests at most 64 deep";
    cases.push(("json: json payload of 65 arrays", "client", too_deep("[", "]"), why));
    cases.push(("json: json payload of 65 objects", "client", too_deep("{\"a\":", "}"), why));
    cases
}

/// `json` payloads that are JSON and still none for everyone.
fn json_payload_texts() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        (
            "json: json payload with half a surrogate pair",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":["\ud83c"]}}}"#,
            "no such character",
        ),
        (
            "json: json payload with the second half alone",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":"\udfaa\ud83c"}}}"#,
            "no such character",
        ),
        (
            "json: json payload with half a surrogate pair in a key",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":{"\uD83Cx":1}}}}"#,
            "no such character",
        ),
        (
            "json: json payload with a number that no double holds",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":[1e999]}}}"#,
            "infinite as a double",
        ),
        (
            "json: json payload with a leading zero",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":01}}}"#,
            "no number has one",
        ),
        (
            "json: json payload NaN",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"json":NaN}}}"#,
            "JSON has no NaN",
        ),
    ]
}

fn json_texts() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("json: nothing", "client", "", "a message is an object"),
        ("json: cut", "client", r#"{"leave":{"channel":3}"#, "the object ends early"),
        (
            "json: two objects",
            "client",
            r#"{"ping":{"id":1}}{"ping":{"id":2}}"#,
            "one object per text message",
        ),
        (
            "json: a list of messages",
            "client",
            r#"[{"ping":{"id":1}}]"#,
            "there are no batches in JSON",
        ),
        (
            "json: two keys",
            "client",
            r#"{"ping":{"id":1},"leave":{"channel":3}}"#,
            "an object has one message",
        ),
        ("json: no key", "client", "{}", "an object has one message"),
        ("json: unknown message", "client", r#"{"dance":{}}"#, "no such message"),
        (
            "json: name in camel case",
            "client",
            r#"{"getStats":{"ref":1}}"#,
            "names are in snake case",
        ),
        ("json: missing field", "client", r#"{"leave":{}}"#, "channel has no default"),
        (
            "json: field twice",
            "client",
            r#"{"leave":{"channel":3,"channel":3}}"#,
            "a key may be there once",
        ),
        (
            "json: null for a number",
            "client",
            r#"{"leave":{"channel":null}}"#,
            "channel is not optional",
        ),
        (
            "json: null for a list",
            "client",
            r#"{"hello":{"features":null}}"#,
            "a list is never null",
        ),
        ("json: number as text", "client", r#"{"leave":{"channel":"3"}}"#, "channel is a number"),
        ("json: fraction", "client", r#"{"leave":{"channel":3.0}}"#, "an integer has no fraction"),
        ("json: exponent", "client", r#"{"leave":{"channel":3e0}}"#, "an integer has no exponent"),
        ("json: minus zero", "client", r#"{"leave":{"channel":-0}}"#, "-0 is no integer"),
        (
            "json: int minus zero",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",{"int":-0}]]}}"#,
            "-0 is no integer",
        ),
        ("json: negative", "client", r#"{"leave":{"channel":-1}}"#, "channel is unsigned"),
        ("json: u32 too big", "client", r#"{"leave":{"channel":4294967296}}"#, "2^32 in a u32"),
        ("json: u64 above 2^53 - 1", "client", r#"{"ping":{"id":9007199254740992}}"#, "2^53"),
        (
            "json: u64 above 2^53 - 1 from the server",
            "server",
            r#"{"pong":{"id":1,"server_time_us":9007199254740992}}"#,
            "2^53",
        ),
        (
            "json: bool as number",
            "client",
            r#"{"join":{"ref":1,"target":{"name":"a"},"options":{"echo":1}}}"#,
            "echo is a bool",
        ),
        (
            "json: unknown mode",
            "client",
            r#"{"join":{"ref":1,"target":{"name":"a"},"mode":"maybe"}}"#,
            "no such mode",
        ),
        (
            "json: bad base64",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"bytes":"_-8="}}}"#,
            "the URL alphabet is not used",
        ),
        (
            "json: base64 without padding",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"bytes":"AA"}}}"#,
            "padding is required",
        ),
        (
            "json: base64 with unused bits that are not zero",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"bytes":"AB=="}}}"#,
            "one byte has one spelling: AA==",
        ),
        (
            "json: base64 with white space",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"bytes":"AP8= "}}}"#,
            "white space is no digit",
        ),
        (
            "json: base64 with padding too much",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"bytes":"AAAA===="}}}"#,
            "the padding fills up four digits",
        ),
        (
            "json: bare payload",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":"hi"}}"#,
            "a payload says its format",
        ),
        (
            "json: payload of two formats",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"text":"a","json":1}}}"#,
            "a payload has one format",
        ),
        (
            "json: lone surrogate",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":"t","payload":{"text":"\ud800"}}}"#,
            "no such character",
        ),
        (
            "json: type is a float",
            "client",
            r#"{"publish":{"channel":3,"cseq":1,"type":1.5,"payload":{"text":""}}}"#,
            "a type is a name or a number",
        ),
        (
            "json: int too big",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",{"int":9007199254740992}]]}}"#,
            "2^53",
        ),
        (
            "json: bare int too big",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",9223372036854775808]]}}"#,
            "2^63, and no float because it has no fraction",
        ),
        (
            "json: float overflows",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",{"float":1e999}]]}}"#,
            "it would be infinite",
        ),
        (
            "json: float as text",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",{"float":"1.5"}]]}}"#,
            "a float is a number",
        ),
        (
            "json: value is a list",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",[1]]]}}"#,
            "values are scalars",
        ),
        (
            "json: value is an object",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":[["a",{"x":1}]]}}"#,
            "values are scalars",
        ),
        (
            "json: attributes as an object",
            "client",
            r#"{"set_attributes":{"channel":3,"cseq":1,"attributes":{"a":1}}}"#,
            "attributes are a list of pairs",
        ),
        (
            "json: epoch too short",
            "client",
            r#"{"join":{"ref":1,"target":{"name":"a"},"since":{"epoch":"00","seq":1}}}"#,
            "16 digits",
        ),
        (
            "json: epoch is no hex",
            "client",
            r#"{"join":{"ref":1,"target":{"name":"a"},"since":{"epoch":"000000000000000g","seq":1}}}"#,
            "g is no digit",
        ),
        ("json: comment", "client", "{\"ping\":{\"id\":1}} // hello", "JSON has no comments"),
        (
            "json: byte order mark",
            "client",
            "\u{feff}{\"ping\":{\"id\":1}}",
            "JSON starts with no mark",
        ),
    ]
}
