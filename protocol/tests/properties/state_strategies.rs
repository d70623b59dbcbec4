//! Arbitrary messages that carry a room's state and its edits.

use super::strategies::{bytes, channel, cseq, float, integer, member_id, seq, small, text};
use madang_protocol::client::{Edit, EntityRef, Resync, StateEdit};
use madang_protocol::server::{Delta, EditRefusal, Edited, InputAck, PartGone, Snapshot};
use madang_protocol::state::{FieldValue, Part, ScalarValue};
use madang_protocol::{ClientMessage, ServerMessage};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::Members),
        small().prop_map(Part::Team),
        Just(Part::Owner),
        small().prop_map(Part::Cell),
        Just(Part::Spectators),
    ]
}

fn scalar() -> BoxedStrategy<ScalarValue> {
    prop_oneof![
        any::<bool>().prop_map(ScalarValue::Bool),
        integer().prop_map(|value| ScalarValue::Int(value as i64)),
        integer().prop_map(|value| ScalarValue::Int(-(value as i64))),
        integer().prop_map(ScalarValue::Uint),
        float().prop_map(ScalarValue::Number),
        text().prop_map(ScalarValue::Text),
        bytes().prop_map(ScalarValue::Bytes),
        [float(), float()].prop_map(ScalarValue::Vec2),
        [float(), float(), float()].prop_map(ScalarValue::Vec3),
    ]
    .boxed()
}

fn field_value() -> BoxedStrategy<FieldValue> {
    prop_oneof![
        3 => scalar().prop_map(FieldValue::One),
        1 => vec(scalar(), 0..5).prop_map(FieldValue::List),
    ]
    .boxed()
}

fn state_edit() -> BoxedStrategy<StateEdit> {
    let entity = || prop_oneof![small().prop_map(EntityRef::Id), small().prop_map(EntityRef::Temp)];
    let fields = vec((small(), field_value()), 0..4);
    prop_oneof![
        (small(), small(), fields).prop_map(|(temp, kind, fields)| StateEdit::Create {
            temp,
            kind,
            fields
        }),
        (entity(), small(), of(field_value()), of(integer())).prop_map(
            |(entity, field, value, if_version)| StateEdit::Set {
                entity,
                field,
                value,
                if_version
            }
        ),
        entity().prop_map(|entity| StateEdit::Remove { entity }),
        (entity(), member_id()).prop_map(|(entity, to)| StateEdit::Give { entity, to }),
    ]
    .boxed()
}

/// From a client.
pub(crate) fn from_client() -> BoxedStrategy<ClientMessage<'static>> {
    let resync = (channel(), part(), integer(), small())
        .prop_map(|(channel, part, tick, hash)| Resync { channel, part, tick, hash });
    let edit = (channel(), cseq(), vec(state_edit(), 0..5))
        .prop_map(|(channel, cseq, edits)| Edit { channel, cseq, edits });
    prop_oneof![
        1 => resync.prop_map(ClientMessage::Resync),
        2 => edit.prop_map(ClientMessage::Edit),
    ]
    .boxed()
}

/// From the server.
pub(crate) fn from_server() -> BoxedStrategy<ServerMessage<'static>> {
    let snapshot = (channel(), part(), integer(), seq(), small(), bytes()).prop_map(
        |(channel, part, tick, seq, hash, state)| Snapshot {
            channel,
            part,
            tick,
            seq,
            hash,
            state: state.into(),
        },
    );
    let delta = (channel(), part(), integer(), integer(), seq(), small(), bytes()).prop_map(
        |(channel, part, base_tick, tick, seq, hash, changes)| Delta {
            channel,
            part,
            base_tick,
            tick,
            seq,
            hash,
            changes: changes.into(),
        },
    );
    let refusal = prop_oneof![
        Just(EditRefusal::Unknown),
        Just(EditRefusal::Invalid),
        Just(EditRefusal::NotOwner),
        Just(EditRefusal::Changed),
        Just(EditRefusal::Full),
        Just(EditRefusal::NoSuchMember),
    ];
    let created = vec((small(), small()), 0..4);
    let edited = (channel(), cseq(), integer(), created, vec((small(), refusal), 0..4)).prop_map(
        |(channel, cseq, tick, created, refused)| Edited { channel, cseq, tick, created, refused },
    );
    prop_oneof![
        snapshot.prop_map(ServerMessage::Snapshot),
        delta.prop_map(ServerMessage::Delta),
        (channel(), integer(), cseq())
            .prop_map(|(channel, tick, cseq)| InputAck { channel, tick, cseq })
            .prop_map(ServerMessage::InputAck),
        (channel(), part())
            .prop_map(|(channel, part)| ServerMessage::PartGone(PartGone { channel, part })),
        edited.prop_map(ServerMessage::Edited),
    ]
    .boxed()
}
