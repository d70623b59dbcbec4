//! Messages that carry a room's state and its edits, in both directions.

use madang_protocol::client::*;
use madang_protocol::ids::*;
use madang_protocol::server::*;
use madang_protocol::state::{FieldValue, Part, ScalarValue};
use madang_protocol::value::Extension;
use madang_protocol::{ClientMessage, ErrorCode, ServerMessage};
use std::borrow::Cow;

type ClientCase = (&'static str, ClientMessage<'static>);
type ServerCase = (&'static str, ServerMessage<'static>);

const CHANNEL: Channel = Channel(3);
/// The schema that joins and answers carry.
pub(crate) const SCHEMA: &str = r#"{"kinds":[{"name":"room","fields":[]},{"name":"note","fields":[{"name":"at","type":{"one":{"vec2":{"quantised":{"min":0.0,"step":0.5,"steps":2000}}}},"visibility":"everyone"},{"name":"text","type":{"one":"text"},"visibility":"members"}]}]}"#;

pub(crate) fn client() -> Vec<ClientCase> {
    [resyncs(), edits(), values(), joins()].concat()
}

pub(crate) fn server() -> Vec<ServerCase> {
    [snapshots(), deltas(), answers(), failures()].concat()
}

fn resyncs() -> Vec<ClientCase> {
    let resync =
        |part, tick, hash| ClientMessage::Resync(Resync { channel: CHANNEL, part, tick, hash });
    vec![
        ("resync, part members", resync(Part::Members, 900, 0x9747_b28c)),
        ("resync, nothing is there yet", resync(Part::Members, 0, 0)),
        ("resync, part of a team", resync(Part::Team(2), 901, 1)),
        ("resync, part owner", resync(Part::Owner, 250, 250)),
        ("resync, part of a cell", resync(Part::Cell(70_000), 251, 251)),
        ("resync, part spectators", resync(Part::Spectators, 65_536, 65_536)),
        (
            "resync, widest integers",
            ClientMessage::Resync(Resync {
                channel: Channel(u32::MAX),
                part: Part::Team(u32::MAX),
                tick: INTEGER_MAX,
                hash: u32::MAX,
            }),
        ),
    ]
}

fn edit(edits: Vec<StateEdit>) -> ClientMessage<'static> {
    ClientMessage::Edit(Edit { channel: CHANNEL, cseq: Cseq(12), edits })
}

fn one(value: ScalarValue) -> FieldValue {
    FieldValue::One(value)
}

fn set(value: Option<FieldValue>) -> StateEdit {
    StateEdit::Set { entity: EntityRef::Id(7), field: 1, value, if_version: None }
}

fn edits() -> Vec<ClientCase> {
    let create = |temp, fields| StateEdit::Create { temp, kind: 1, fields };
    let text = |text: &str| one(ScalarValue::Text(text.into()));
    let guarded = |if_version| StateEdit::Set {
        entity: EntityRef::Id(0),
        field: 0,
        value: Some(one(ScalarValue::Uint(5))),
        if_version: Some(if_version),
    };
    vec![
        ("edit, nothing", edit(Vec::new())),
        ("edit, create without fields", edit(vec![create(0, Vec::new())])),
        (
            "edit, create with fields",
            edit(vec![create(
                1,
                vec![(0, one(ScalarValue::Vec2([12.5, 700.0]))), (1, text("하나"))],
            )]),
        ),
        ("edit, set", edit(vec![set(Some(text("new")))])),
        ("edit, set to zero", edit(vec![set(None)])),
        ("edit, set a field of the room if it did not change after tick 0", edit(vec![guarded(0)])),
        ("edit, set if it did not change, widest tick", edit(vec![guarded(INTEGER_MAX)])),
        ("edit, remove", edit(vec![StateEdit::Remove { entity: EntityRef::Id(300) }])),
        (
            "edit, give to a member",
            edit(vec![StateEdit::Give { entity: EntityRef::Id(7), to: MemberId(5) }]),
        ),
        (
            "edit, give to nobody",
            edit(vec![StateEdit::Give { entity: EntityRef::Id(7), to: MemberId(0) }]),
        ),
        (
            "edit, everything, of an entity that it creates",
            edit(vec![
                create(9, vec![(62, text(""))]),
                StateEdit::Set {
                    entity: EntityRef::Temp(9),
                    field: 1,
                    value: Some(text("mine")),
                    if_version: Some(900),
                },
                StateEdit::Give { entity: EntityRef::Temp(9), to: MemberId(6) },
                StateEdit::Remove { entity: EntityRef::Temp(9) },
            ]),
        ),
        (
            "edit, widest integers",
            ClientMessage::Edit(Edit {
                channel: Channel(u32::MAX),
                cseq: Cseq(INTEGER_MAX),
                edits: vec![
                    StateEdit::Create { temp: u32::MAX, kind: u32::MAX, fields: Vec::new() },
                    StateEdit::Set {
                        entity: EntityRef::Temp(u32::MAX),
                        field: u32::MAX,
                        value: None,
                        if_version: None,
                    },
                    StateEdit::Give { entity: EntityRef::Id(u32::MAX), to: MemberId(u32::MAX) },
                ],
            }),
        ),
    ]
}

/// A value of each sort, alone and in lists.
fn values() -> Vec<ClientCase> {
    use ScalarValue::*;
    let max = INTEGER_MAX as i64;
    let all = |values: Vec<ScalarValue>| {
        edit(values.into_iter().map(|value| set(Some(one(value)))).collect())
    };
    let list = |values: Vec<ScalarValue>| edit(vec![set(Some(FieldValue::List(values)))]);
    let blob: Vec<u8> = (0..=255).cycle().take(66_000).collect();
    vec![
        ("edit, bools", all(vec![Bool(false), Bool(true)])),
        ("edit, ints", all([0, -1, 1, 125, -126, 32_768, max, -max].map(Int).to_vec())),
        ("edit, uints", all([0, 250, 251, 65_536, 1 << 32, INTEGER_MAX].map(Uint).to_vec())),
        (
            "edit, numbers",
            all([0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, f64::MAX, f64::MIN].map(Number).to_vec()),
        ),
        (
            "edit, numbers that a careless reader rounds",
            all([1.000_000_000_000_000_2, 2.225_073_858_507_201e-308, 179.769_313_486_231_57]
                .map(Number)
                .to_vec()),
        ),
        ("edit, texts", all(vec![Text(String::new()), Text("aé안🎪\u{0}\n\"\\".into())])),
        ("edit, bytes", all(vec![Bytes(vec![]), Bytes(vec![251, 255]), Bytes(vec![0; 251])])),
        ("edit, bytes, 66000 of them", all(vec![Bytes(blob)])),
        ("edit, two and three numbers", all(vec![Vec2([0.1, -0.0]), Vec3([1e300, -2.5, 0.0])])),
        ("edit, empty list", list(vec![])),
        ("edit, list of bools", list(vec![Bool(true), Bool(false)])),
        ("edit, list of ints", list(vec![Int(-max), Int(0), Int(max)])),
        ("edit, list of uints", list((0..300).map(Uint).collect())),
        ("edit, list of numbers", list(vec![Number(0.25), Number(-0.0)])),
        ("edit, list of texts", list(vec![Text("a".into()), Text(String::new())])),
        ("edit, list of bytes", list(vec![Bytes(vec![]), Bytes(vec![1, 2, 3])])),
        ("edit, list of two numbers", list(vec![Vec2([0.0, 1.0]), Vec2([2.5, -2.5])])),
        ("edit, list of three numbers", list(vec![Vec3([0.0, 1.0, 0.5])])),
        ("edit, list of different sorts", list(vec![Int(1), Text("no field holds this".into())])),
    ]
}

fn joins() -> Vec<ClientCase> {
    let join = |ext| {
        ClientMessage::Join(Join {
            r#ref: 1,
            target: JoinTarget::Name("board".into()),
            mode: JoinMode::Either,
            options: JoinOptions::default(),
            since: None,
            history: 0,
            ext,
        })
    };
    let schema = || Extension(EXT_SCHEMA, SCHEMA.into());
    vec![
        ("join, with a schema", join(vec![schema()])),
        ("join, with a schema, keep", join(vec![schema(), Extension(EXT_ON_LEAVE, vec![0])])),
        ("join, with a schema, remove", join(vec![schema(), Extension(EXT_ON_LEAVE, vec![1])])),
        ("join, with a schema, hand over", join(vec![schema(), Extension(EXT_ON_LEAVE, vec![2])])),
    ]
}

fn snapshot(part: Part, state: impl Into<Cow<'static, [u8]>>) -> ServerMessage<'static> {
    let state = state.into();
    let (tick, seq, hash) = (900, Seq(43), 0xe654_6b64);
    ServerMessage::Snapshot(Snapshot { channel: CHANNEL, part, tick, seq, hash, state })
}

fn snapshots() -> Vec<ServerCase> {
    vec![
        ("snapshot of part members", snapshot(Part::Members, &[0, 0, 0, 7, 1, 1, 25, 120][..])),
        ("snapshot of part members, empty", snapshot(Part::Members, &[][..])),
        ("snapshot of a team's part", snapshot(Part::Team(0), &[7, 1, 0][..])),
        ("snapshot of the owner's part", snapshot(Part::Owner, &[7, 1, 0][..])),
        ("snapshot of a cell's part", snapshot(Part::Cell(251), &[7, 1, 0][..])),
        ("snapshot of part spectators", snapshot(Part::Spectators, &[7, 1, 0][..])),
        (
            "snapshot, widest integers",
            ServerMessage::Snapshot(Snapshot {
                channel: Channel(u32::MAX),
                part: Part::Cell(u32::MAX),
                tick: INTEGER_MAX,
                seq: Seq(INTEGER_MAX),
                hash: u32::MAX,
                state: Cow::Borrowed(&[255]),
            }),
        ),
        (
            "snapshot of 66000 bytes",
            snapshot(Part::Members, (0..=255).cycle().take(66_000).collect::<Vec<u8>>()),
        ),
    ]
}

fn deltas() -> Vec<ServerCase> {
    let delta = |part, changes: &'static [u8]| {
        ServerMessage::Delta(Delta {
            channel: CHANNEL,
            part,
            base_tick: 900,
            tick: 903,
            seq: Seq(46),
            hash: 1,
            changes: Cow::Borrowed(changes),
        })
    };
    vec![
        ("delta of part members", delta(Part::Members, &[7, 2, 1, 0])),
        ("delta without changes", delta(Part::Members, &[])),
        ("delta of a team's part", delta(Part::Team(u32::MAX), &[7, 0])),
        ("delta of the owner's part", delta(Part::Owner, &[7, 0])),
        ("delta of a cell's part", delta(Part::Cell(0), &[7, 0])),
        ("delta of part spectators", delta(Part::Spectators, &[7, 0])),
        ("delta of 251 bytes", delta(Part::Members, &[0; 251])),
        (
            "delta, widest integers",
            ServerMessage::Delta(Delta {
                channel: Channel(u32::MAX),
                part: Part::Team(65_536),
                base_tick: INTEGER_MAX - 1,
                tick: INTEGER_MAX,
                seq: Seq(INTEGER_MAX),
                hash: u32::MAX,
                changes: Cow::Borrowed(&[0, 255]),
            }),
        ),
    ]
}

fn answers() -> Vec<ServerCase> {
    let gone = |part| ServerMessage::PartGone(PartGone { channel: CHANNEL, part });
    let acknowledged =
        |tick, cseq| ServerMessage::InputAck(InputAck { channel: CHANNEL, tick, cseq: Cseq(cseq) });
    let edited = |created, refused| {
        let (cseq, tick) = (Cseq(12), 904);
        ServerMessage::Edited(Edited { channel: CHANNEL, cseq, tick, created, refused })
    };
    let refusals = [
        EditRefusal::Unknown,
        EditRefusal::Invalid,
        EditRefusal::NotOwner,
        EditRefusal::Changed,
        EditRefusal::Full,
        EditRefusal::NoSuchMember,
    ];
    vec![
        ("input ack", acknowledged(903, 17)),
        ("input ack, widest integers", acknowledged(INTEGER_MAX, INTEGER_MAX)),
        ("part members gone", gone(Part::Members)),
        ("part of a team gone", gone(Part::Team(2))),
        ("part owner gone", gone(Part::Owner)),
        ("part of a cell gone", gone(Part::Cell(70_000))),
        ("part spectators gone", gone(Part::Spectators)),
        ("edited, everything accepted", edited(Vec::new(), Vec::new())),
        ("edited, created", edited(vec![(1, 300), (u32::MAX, u32::MAX)], Vec::new())),
        ("edited, each refusal", edited(vec![(9, 301)], (0..).zip(refusals).collect())),
        (
            "edited, widest integers",
            ServerMessage::Edited(Edited {
                channel: Channel(u32::MAX),
                cseq: Cseq(INTEGER_MAX),
                tick: INTEGER_MAX,
                created: Vec::new(),
                refused: vec![(255, EditRefusal::Full)],
            }),
        ),
    ]
}

fn failures() -> Vec<ServerCase> {
    let error = |code, cseq| {
        let message = "What was wrong, and what to do.".into();
        let r#ref = ErrorRef::Cseq { channel: CHANNEL, cseq: Cseq(cseq) };
        ServerMessage::Error(ErrorMessage { code, r#ref, message })
    };
    vec![
        ("error, the room's rules refuse it", error(ErrorCode::REFUSED, 17)),
        ("error, the room has no state", error(ErrorCode::NO_STATE, 12)),
        ("error, the room's rules failed", error(ErrorCode::ROOM_FAILED, 0)),
        (
            "left, failed",
            ServerMessage::Left(Left { channel: CHANNEL, reason: LeaveReason::Failed }),
        ),
    ]
}
