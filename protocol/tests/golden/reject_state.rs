//! What must be refused of the messages that carry a room's state and its edits. The state itself
//! is bytes to them: `state.rs` has what must be refused inside.

/// Name, direction, bytes as hexadecimal digits, why.
pub(crate) fn binary() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    [from_clients(), edits(), field_values(), from_server()].concat()
}

fn from_clients() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("resync without hash", "client", "09 03 00 05", "the hash is missing"),
        ("resync, one byte too many", "client", "09 03 00 05 01 00", "bytes are left over"),
        ("resync, part 5", "client", "09 03 05 05 01", "parts end at 4"),
        ("resync, team without number", "client", "09 03 01 05", "the message ends early"),
        ("resync, tick above 2^53 - 1", "client", "09 03 00 fd 0000000000002000 01", "2^53"),
        ("resync, hash of eight bytes", "client", "09 03 00 05 fd 0100000000000000", "a u32"),
        ("edit without edits", "client", "0a 03 0c", "the count is missing"),
        ("edit, cseq above 2^53 - 1", "client", "0a 03 fd 0000000000002000 00", "2^53"),
        ("edit, one byte too many", "client", "0a 03 0c 00 00", "bytes are left over"),
        (
            "edit claims 2^60 edits",
            "client",
            "0a 03 0c fd 0000000000000010",
            "too many elements promised",
        ),
    ]
}

fn edits() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("edit 4", "client", "0a 03 0c 01 04 00 07", "edits end at 3"),
        ("edit, entity reference 2", "client", "0a 03 0c 01 02 02 07", "references end at 1"),
        ("edit, remove without entity", "client", "0a 03 0c 01 02", "the entity is missing"),
        ("edit, give without member", "client", "0a 03 0c 01 03 00 07", "the member is missing"),
        (
            "edit, create claims 2^64 - 1 fields",
            "client",
            "0a 03 0c 01 00 00 01 fd ffffffffffffffff",
            "too many elements promised",
        ),
        (
            "edit, value neither absent nor present",
            "client",
            "0a 03 0c 01 01 00 07 01 02 00",
            "an option is 0 or 1",
        ),
        (
            "edit, if_version above 2^53 - 1",
            "client",
            "0a 03 0c 01 01 00 07 01 00 01 fd 0000000000002000",
            "2^53",
        ),
        (
            "edit, if_version above 2^53 - 1 behind a good one",
            "client",
            "0a 03 0c 02 01 00 07 01 00 01 05 01 00 07 01 00 01 fd 0000000000002000",
            "2^53",
        ),
        (
            "edit, the last of two is cut",
            "client",
            "0a 03 0c 02 02 00 07 02 00",
            "the entity's id is missing",
        ),
    ]
}

/// In an edit that sets field 1 of entity 7.
fn field_values() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("edit, field value 2", "client", "0a 03 0c 01 01 00 07 01 01 02 00 00", "they end at 1"),
        ("edit, scalar 8", "client", "0a 03 0c 01 01 00 07 01 01 00 08 00 00", "they end at 7"),
        ("edit, bool 2", "client", "0a 03 0c 01 01 00 07 01 01 00 00 02 00", "neither 0 nor 1"),
        (
            "edit, int above 2^53 - 1",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 01 fd 0000000000004000 00",
            "zigzag of 2^53",
        ),
        (
            "edit, int below -(2^53 - 1)",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 01 fd ffffffffffff3f00 00",
            "zigzag of -2^53",
        ),
        (
            "edit, uint above 2^53 - 1",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 02 fd 0000000000002000 00",
            "2^53",
        ),
        (
            "edit, number NaN",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 03 000000000000f87f 00",
            "NaN",
        ),
        (
            "edit, text is no UTF-8",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 04 02 c328 00",
            "c3 28 is no UTF-8",
        ),
        (
            "edit, bytes longer than the message",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 05 05 010203 00",
            "5 bytes promised, 4 there",
        ),
        (
            "edit, second of two numbers infinite",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 06 0000000000000000 000000000000f07f 00",
            "infinity",
        ),
        (
            "edit, third of three numbers minus infinity",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 07 0000000000000000 0000000000000000 000000000000f0ff 00",
            "minus infinity",
        ),
        (
            "edit, two numbers cut",
            "client",
            "0a 03 0c 01 01 00 07 01 01 00 06 0000000000000000 00",
            "each has 8 bytes",
        ),
        (
            "edit, uint above 2^53 - 1 in a list",
            "client",
            "0a 03 0c 01 01 00 07 01 01 01 02 02 05 02 fd 0000000000002000 00",
            "2^53",
        ),
        (
            "edit, list claims 2^32 - 1 elements",
            "client",
            "0a 03 0c 01 01 00 07 01 01 01 fc ffffffff 00 00",
            "too many elements promised",
        ),
    ]
}

fn from_server() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("snapshot without state", "server", "12 03 00 05 06 07", "the state is missing"),
        ("snapshot, one byte too many", "server", "12 03 00 05 06 07 01 00 00", "left over"),
        ("snapshot, state cut", "server", "12 03 00 05 06 07 02 00", "2 bytes promised, 1 there"),
        (
            "snapshot claims 2^64 - 1 bytes",
            "server",
            "12 03 00 05 06 07 fd ffffffffffffffff",
            "too many bytes promised",
        ),
        (
            "snapshot, part 5",
            "server",
            "12 03 05 05 06 07 00",
            "parts end at 4; a client skips the message",
        ),
        (
            "snapshot, tick above 2^53 - 1",
            "server",
            "12 03 00 fd 0000000000002000 06 07 00",
            "2^53",
        ),
        ("snapshot, seq above 2^53 - 1", "server", "12 03 00 05 fd 0000000000002000 07 00", "2^53"),
        (
            "snapshot, hash of eight bytes",
            "server",
            "12 03 00 05 06 fd 0100000000000000 00",
            "marker 253 in a u32",
        ),
        ("delta without changes", "server", "13 03 00 05 06 07 08", "the changes are missing"),
        ("delta, one byte too many", "server", "13 03 00 05 06 07 08 00 00", "left over"),
        (
            "delta, base_tick above 2^53 - 1",
            "server",
            "13 03 00 fd 0000000000002000 06 07 08 00",
            "2^53",
        ),
        (
            "delta, tick above 2^53 - 1",
            "server",
            "13 03 00 05 fd 0000000000002000 07 08 00",
            "2^53",
        ),
        ("delta, seq above 2^53 - 1", "server", "13 03 00 05 06 fd 0000000000002000 08 00", "2^53"),
        ("input ack without cseq", "server", "14 03 05", "the cseq is missing"),
        ("input ack, tick above 2^53 - 1", "server", "14 03 fd 0000000000002000 05", "2^53"),
        ("input ack, cseq above 2^53 - 1", "server", "14 03 05 fd 0000000000002000", "2^53"),
        ("input ack, one byte too many", "server", "14 03 05 06 00", "bytes are left over"),
        ("part gone without part", "server", "15 03", "the part is missing"),
        ("part gone, one byte too many", "server", "15 03 00 00", "bytes are left over"),
        ("edited without refusals", "server", "16 03 0c 05 00", "the count is missing"),
        (
            "edited, refusal 6",
            "server",
            "16 03 0c 05 00 01 00 06",
            "refusals end at 5; a client skips the message",
        ),
        ("edited, tick above 2^53 - 1", "server", "16 03 0c fd 0000000000002000 00 00", "2^53"),
        ("edited, one byte too many", "server", "16 03 0c 05 00 00 00", "bytes are left over"),
        (
            "edited, created claims 2^60 elements",
            "server",
            "16 03 0c 05 fd 0000000000000010 00",
            "too many elements promised",
        ),
        (
            "stats without class state",
            "server",
            "0c 02 00 00 00 00 00 00 00 00 00 00 00 00 03 04 01",
            "the message ends early",
        ),
    ]
}

/// Name, direction, text, why.
pub(crate) fn json() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        (
            "json: resync, part of a team without number",
            "client",
            r#"{"resync":{"channel":3,"part":"team","tick":5,"hash":1}}"#,
            "which team?",
        ),
        (
            "json: resync, tick above 2^53 - 1",
            "client",
            r#"{"resync":{"channel":3,"part":"members","tick":9007199254740992,"hash":1}}"#,
            "2^53",
        ),
        (
            "json: resync, negative hash",
            "client",
            r#"{"resync":{"channel":3,"part":"members","tick":5,"hash":-1}}"#,
            "a hash is unsigned",
        ),
        (
            "json: edit, bare value",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":5}}}]}}"#,
            "a value says its sort",
        ),
        (
            "json: edit, value neither one nor a list",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"int":5}}}]}}"#,
            "int is no field value",
        ),
        (
            "json: edit, bare entity",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"remove":{"entity":7}}]}}"#,
            "an entity is an id or a temporary number",
        ),
        (
            "json: edit, int with fraction",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":{"int":5.0}}}}]}}"#,
            "an int has no fraction",
        ),
        (
            "json: edit, int too big",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":{"int":-9007199254740992}}}}]}}"#,
            "-2^53",
        ),
        (
            "json: edit, negative uint",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":{"uint":-1}}}}]}}"#,
            "a uint is not negative",
        ),
        (
            "json: edit, number overflows",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":{"number":1e999}}}}]}}"#,
            "it would be infinite",
        ),
        (
            "json: edit, number is null",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":{"number":null}}}}]}}"#,
            "null is no number",
        ),
        (
            "json: edit, three numbers for two",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"one":{"vec2":[1,2,3]}}}}]}}"#,
            "a vec2 has two",
        ),
        (
            "json: edit, list is null",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":{"list":null}}}]}}"#,
            "a list is never null",
        ),
        (
            "json: edit, if_version above 2^53 - 1",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"set":{"entity":{"id":7},"field":1,"value":null,"if_version":9007199254740992}}]}}"#,
            "2^53",
        ),
        (
            "json: edit, create without fields",
            "client",
            r#"{"edit":{"channel":3,"cseq":12,"edits":[{"create":{"temp":1,"kind":1}}]}}"#,
            "fields has no default",
        ),
        (
            "json: snapshot, state in the URL alphabet",
            "server",
            r#"{"snapshot":{"channel":3,"part":"members","tick":5,"seq":6,"hash":7,"state":"_-8="}}"#,
            "the URL alphabet is not used",
        ),
        (
            "json: snapshot, unknown part",
            "server",
            r#"{"snapshot":{"channel":3,"part":"crowd","tick":5,"seq":6,"hash":7,"state":""}}"#,
            "no such part; a client skips the message",
        ),
        (
            "json: delta, tick above 2^53 - 1",
            "server",
            r#"{"delta":{"channel":3,"part":"members","base_tick":5,"tick":9007199254740992,"seq":6,"hash":7,"changes":""}}"#,
            "2^53",
        ),
        (
            "json: edited, unknown refusal",
            "server",
            r#"{"edited":{"channel":3,"cseq":12,"tick":5,"created":[],"refused":[[0,"maybe"]]}}"#,
            "no such refusal; a client skips the message",
        ),
    ]
}
