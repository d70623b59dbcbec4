//! Batches: several messages behind one another, each with its length before it.

use super::files::unhex;

/// A batch, and what comes out of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Whole messages before the end or the fault.
    pub(crate) messages: usize,
    pub(crate) broken: bool,
}

pub(crate) fn all() -> Vec<Case> {
    let long = |prefix: &str, len: usize| [unhex(prefix), vec![7; len]].concat();
    let case = |name, bytes, messages, broken| Case { name, bytes, messages, broken };
    vec![
        case("one message", unhex("02 0203"), 1, false),
        case("three messages", unhex("02 0203 02 0701 02 0802"), 3, false),
        case(
            "an unknown tag between two known ones",
            unhex("02 0203 04 c8010203 02 0204"),
            3,
            false,
        ),
        case("no message at all", Vec::new(), 0, false),
        case("a message of no bytes (framed well, decodes to nothing)", unhex("00"), 1, false),
        case("longest length of one byte", long("fa", 250), 1, false),
        case("shortest length of three bytes", long("fbfb00", 251), 1, false),
        case("length of three bytes, least significant first", long("fb2c01", 300), 1, false),
        case(
            "non-minimal lengths",
            unhex("fb0200 0203 fc02000000 0701 fd0200000000000000 0802"),
            3,
            false,
        ),
        case("ends inside a message", unhex("02 0203 02 07"), 1, true),
        case("ends inside a length", unhex("02 0203 fb02"), 1, true),
        case("length byte 254", unhex("02 0203 fe 0203"), 1, true),
        case("length byte 255", unhex("ff"), 0, true),
        case("length of 2^64 - 1", unhex("fd ffffffffffffffff 00"), 0, true),
        case("length of 2^53", unhex("fd 0000000000002000 00"), 0, true),
    ]
}
