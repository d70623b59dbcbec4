"""The Madang wire in both its forms, written from protocol/SPEC.md (sections 3 to 8) and nothing else.

A table of types, each of which knows its bytes and its JSON. Values in Python: structures are dicts;
enumerations are the name of the tag, or a pair of that name and what follows it; identifiers are
bytes; an absent option is None. A `Value` is None, bool, int, float, str or bytes; a `TypeRef` is an
int or a str; a `Payload` is bytes, str or `Json`. A message is a pair: `("leave", {"channel": 3})`.
"""

import base64
import json
import math
import re
import struct

INTEGER_MAX = 2**53 - 1
JSON_DEPTH_MAX = 64


class Malformed(ValueError):
    """What was received is not what section 3, 4 or 5 allows."""


class Unknown(Malformed):
    """A tag or name that this version does not know: a client skips the message."""


class Json(str):
    """A payload of format `json`: its text, untouched."""


# JSON text (section 5). The standard parser forgets what matters here: `3` or `3.0`, keys that are
# there twice, and how a `json` payload was written.


class Number(str):
    """A JSON number as it was written."""


class Object(list):
    """A JSON object: (key, value, text of the value), in order."""


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_SPACE = re.compile(r"[ \t\n\r]*")


def parse_json(text):
    try:
        value, end = _json_value(text, _SPACE.match(text).end())
    except (ValueError, IndexError, RecursionError) as error:
        raise Malformed(f"JSON: {error}") from error
    if _SPACE.match(text, end).end() != len(text):
        raise Malformed("JSON: text is left over")
    return value


def _json_value(text, at):
    first = text[at : at + 1]
    if first == "{":
        return _json_items(text, at, "}", Object())
    if first == "[":
        return _json_items(text, at, "]", [])
    if first == '"':
        string, end = json.decoder.scanstring(text, at + 1)
        string.encode()  # Refuses lone surrogates.
        return string, end
    for word, value in (("null", None), ("true", True), ("false", False)):
        if text.startswith(word, at):
            return value, at + len(word)
    if not (number := _NUMBER.match(text, at)):
        raise Malformed(f"JSON: no value at {at}")
    if not math.isfinite(float(number[0])):
        raise Malformed(f"JSON: no double holds the number at {at}")
    return Number(number[0]), number.end()


def _json_items(text, at, close, items):
    at = _SPACE.match(text, at + 1).end()
    if text[at] == close:
        return items, at + 1
    while True:
        if close == "}":
            if text[at] != '"':
                raise Malformed(f"JSON: no key at {at}")
            key, at = json.decoder.scanstring(text, at + 1)
            key.encode()  # Refuses lone surrogates.
            at = _SPACE.match(text, at).end()
            if text[at] != ":":
                raise Malformed(f"JSON: no colon at {at}")
            at = _SPACE.match(text, at + 1).end()
        start = at
        value, at = _json_value(text, at)
        items.append((key, value, text[start:at]) if close == "}" else value)
        at = _SPACE.match(text, at).end()
        if text[at] == close:
            return items, at + 1
        if text[at] != ",":
            raise Malformed(f"JSON: no comma at {at}")
        at = _SPACE.match(text, at + 1).end()


def _only(kind, value):
    if type(value) is not kind:
        raise Malformed(f"{value!r} is no {kind.__name__}")
    return value


# Types. Each knows its two forms: `write` and `read` bytes, `dump` and `load` JSON.


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            raise Malformed("the bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]


class Unsigned:
    def __init__(self, bits):
        self.bits, self.max = bits, min(2**bits - 1, INTEGER_MAX)

    def write(self, out, value):
        if not 0 <= value <= self.max:
            raise ValueError(f"{value} is no u{self.bits}")
        _write_varint(out, value)

    def read(self, reader, most=None):
        first = reader.take(1)[0]
        if first <= 250:
            return first
        width = {251: 2, 252: 4, 253: 8}.get(first)
        if width is None or width * 8 > self.bits:
            raise Malformed(f"byte {first} starts no u{self.bits}")
        value = int.from_bytes(reader.take(width), "little")
        if value > (self.max if most is None else most):
            raise Malformed(f"{value} is too large")
        return value

    def dump(self, value):
        return str(value)

    def load(self, node):
        value = _whole(_only(Number, node))
        if not 0 <= value <= self.max:
            raise Malformed(f"{value} is no u{self.bits}")
        return value


def _write_varint(out, value):
    for most, mark, code in (
        (250, b"", "<B"),
        (2**16 - 1, b"\xfb", "<H"),
        (2**32 - 1, b"\xfc", "<I"),
        (2**64 - 1, b"\xfd", "<Q"),
    ):
        if value <= most:
            out += mark + struct.pack(code, value)
            return


def _whole(number):
    if not re.fullmatch(r"-?[0-9]+", number) or number == "-0":
        raise Malformed(f"{number} is not whole")
    return int(number)


class Signed:
    def write(self, out, value):
        if abs(value) > INTEGER_MAX:
            raise ValueError(f"{value} is no i64")
        _write_varint(out, 2 * value if value >= 0 else -2 * value - 1)

    def read(self, reader):
        zigzag = U64.read(reader, most=2 * INTEGER_MAX)
        return -(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2

    def dump(self, value):
        return str(value)

    def load(self, node):
        value = _whole(_only(Number, node))
        if abs(value) > INTEGER_MAX:
            raise Malformed(f"{value} is no i64")
        return value


class Bool:
    def write(self, out, value):
        out.append(1 if value else 0)

    def read(self, reader):
        byte = reader.take(1)[0]
        if byte > 1:
            raise Malformed(f"{byte} is no bool")
        return byte == 1

    def dump(self, value):
        return "true" if value else "false"

    def load(self, node):
        return _only(bool, node)


class Float:
    def write(self, out, value):
        out += struct.pack("<d", self._finite(value))

    def read(self, reader):
        return self._finite(struct.unpack("<d", reader.take(8))[0])

    def dump(self, value):
        return repr(self._finite(value))

    def load(self, node):
        return self._finite(float(_only(Number, node)))

    def _finite(self, value):
        if not math.isfinite(value):
            raise Malformed(f"{value} is not finite")
        return value


class Bytes:
    def write(self, out, value):
        U64.write(out, len(value))
        out += value

    def read(self, reader):
        return reader.take(U64.read(reader))

    def dump(self, value):
        return f'"{base64.b64encode(value).decode()}"'

    def load(self, node):
        try:
            value = base64.b64decode(_only(str, node), validate=True)
        except ValueError as error:
            raise Malformed(f"base64: {error}") from error
        if base64.b64encode(value).decode() != node:
            raise Malformed("base64: unused bits are not zero")
        return value


class Text:
    def write(self, out, value):
        BYTES.write(out, value.encode())

    def read(self, reader):
        try:
            return BYTES.read(reader).decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"UTF-8: {error}") from error

    def dump(self, value):
        return json.dumps(value, ensure_ascii=False)

    def load(self, node):
        return _only(str, node)


class Id:
    def __init__(self, count):
        self.count = count

    def write(self, out, value):
        if len(value) != self.count:
            raise ValueError(f"{len(value)} bytes instead of {self.count}")
        out += value

    def read(self, reader):
        return reader.take(self.count)

    def dump(self, value):
        return f'"{value.hex()}"'

    def load(self, node):
        if not re.fullmatch(r"[0-9a-fA-F]{%d}" % (2 * self.count), _only(str, node)):
            raise Malformed(f"{node!r} is no id{self.count}")
        return bytes.fromhex(node)


class Option:
    def __init__(self, inner):
        self.inner = inner

    def write(self, out, value):
        out.append(0 if value is None else 1)
        if value is not None:
            self.inner.write(out, value)

    def read(self, reader):
        tag = reader.take(1)[0]
        if tag > 1:
            raise Malformed(f"{tag} is no option")
        return self.inner.read(reader) if tag else None

    def dump(self, value):
        return "null" if value is None else self.inner.dump(value)

    def load(self, node):
        return None if node is None else self.inner.load(node)


class List:
    def __init__(self, inner):
        self.inner = inner

    def write(self, out, value):
        U64.write(out, len(value))
        for element in value:
            self.inner.write(out, element)

    def read(self, reader):
        count = U64.read(reader)
        if count > reader.left():
            raise Malformed(f"{count} elements in {reader.left()} bytes")
        return [self.inner.read(reader) for _ in range(count)]

    def dump(self, value):
        return f"[{','.join(self.inner.dump(element) for element in value)}]"

    def load(self, node):
        return [self.inner.load(element) for element in _only(list, node)]


class Pair:
    """Two parts one behind the other, or as many as there are."""

    def __init__(self, *inners):
        self.inners = inners

    def write(self, out, value):
        for inner, part in zip(self.inners, value, strict=True):
            inner.write(out, part)

    def read(self, reader):
        return tuple(inner.read(reader) for inner in self.inners)

    def dump(self, value):
        return f"[{','.join(inner.dump(part) for inner, part in zip(self.inners, value, strict=True))}]"

    def load(self, node):
        if len(_only(list, node)) != len(self.inners):
            raise Malformed(f"{len(self.inners)} parts are expected")
        return tuple(inner.load(part) for inner, part in zip(self.inners, node))


REQUIRED = object()


class Struct:
    """Fields in their order: a type, or a pair of the type and the JSON default."""

    def __init__(self, **fields):
        self.fields = {}
        for name, field in fields.items():
            inner, default = field if isinstance(field, tuple) else (field, REQUIRED)
            self.fields[name.rstrip("_")] = (inner, None if isinstance(inner, Option) else default)

    def write(self, out, value):
        for name, (inner, default) in self.fields.items():
            inner.write(out, value[name] if default is REQUIRED else value.get(name, default))

    def read(self, reader):
        return {name: inner.read(reader) for name, (inner, _) in self.fields.items()}

    def dump(self, value):
        given = ((name, inner, value.get(name, default)) for name, (inner, default) in self.fields.items())
        return f"{{{','.join(TEXT.dump(name) + ':' + inner.dump(field) for name, inner, field in given)}}}"

    def load(self, node):
        known = [(key, field) for key, field, _ in _only(Object, node) if key in self.fields]
        nodes = dict(known)
        if len(nodes) != len(known):
            raise Malformed("a key is there twice")
        missing = [
            name for name, (_, default) in self.fields.items() if default is REQUIRED and name not in nodes
        ]
        if missing:
            raise Malformed(f"{missing[0]} is missing")
        return {
            name: inner.load(nodes[name]) if name in nodes else default
            for name, (inner, default) in self.fields.items()
        }


class Enum:
    """Tags in their order: what follows each, or None."""

    def __init__(self, **variants):
        self.names, self.inners = list(variants), list(variants.values())

    def write(self, out, value):
        name, inner_value = value if isinstance(value, tuple) else (value, None)
        tag = self.names.index(name)
        U32.write(out, tag)
        if self.inners[tag]:
            self.inners[tag].write(out, inner_value)

    def read(self, reader):
        tag = U32.read(reader)
        if tag >= len(self.names):
            raise Unknown(f"tag {tag}")
        inner = self.inners[tag]
        return (self.names[tag], inner.read(reader)) if inner else self.names[tag]

    def dump(self, value):
        if not isinstance(value, tuple):
            return TEXT.dump(value)
        return f"{{{TEXT.dump(value[0])}:{self.inners[self.names.index(value[0])].dump(value[1])}}}"

    def load(self, node):
        name, inner_node = (node, None) if isinstance(node, str) else _one_key(node)[:2]
        if name not in self.names:
            raise Unknown(f"name {name!r}")
        inner = self.inners[self.names.index(name)]
        if isinstance(node, str) != (inner is None):
            raise Malformed(f"what follows {name!r} is missing or too much")
        return (name, inner.load(inner_node)) if inner else name


def _one_key(node):
    if len(_only(Object, node)) != 1:
        raise Malformed("an object with one key is expected")
    return node[0]


class TypeRef:
    def write(self, out, value):
        _TYPE_REF.write(out, ("name" if isinstance(value, str) else "number", value))

    def read(self, reader):
        return _TYPE_REF.read(reader)[1]

    def dump(self, value):
        return (TEXT if isinstance(value, str) else U32).dump(value)

    def load(self, node):
        return (U32 if type(node) is Number else TEXT).load(node)


class Payload:
    def write(self, out, value):
        _PAYLOAD.write(out, (self._format(value), value))

    def read(self, reader):
        name, value = _PAYLOAD.read(reader)
        return Json(value) if name == "json" else value

    def dump(self, value):
        name = self._format(value)
        return f'{{"{name}":{value if name == "json" else _PAYLOAD.inners[name == "text"].dump(value)}}}'

    def load(self, node):
        name, inner, text = _one_key(node)
        if name != "json":
            return _PAYLOAD.load(node)[1]
        if _depth(inner) > JSON_DEPTH_MAX:
            raise Malformed("a json payload nests too deep")
        return Json(text)

    def _format(self, value):
        return "json" if isinstance(value, Json) else "text" if isinstance(value, str) else "bytes"


def _depth(node):
    """How many arrays and objects are inside each other."""
    depth, level = 0, [node]
    while level := [inner for inner in level if isinstance(inner, list)]:
        depth += 1
        level = [
            part[1] if type(inner) is Object else part for inner in level for part in inner
        ]
    return depth


class Value:
    KINDS = {type(None): "null", bool: "bool", int: "int", float: "float", str: "text", bytes: "bytes"}

    def write(self, out, value):
        _VALUE.write(out, (self.KINDS[type(value)], value))

    def read(self, reader):
        tagged = _VALUE.read(reader)
        return None if tagged == "null" else tagged[1]

    def dump(self, value):
        kind = self.KINDS[type(value)]
        return (
            _VALUE.dump((kind, value))
            if kind in ("int", "float", "bytes")
            else json.dumps(value, ensure_ascii=False)
        )

    def load(self, node):
        if type(node) is Number and node == "-0":
            return 0
        if type(node) is Number:
            return (I64 if re.fullmatch(r"-?[0-9]+", node) else F64).load(node)
        if type(node) is Object:
            name = _one_key(node)[0]
            if name not in ("int", "float", "bytes"):
                raise Unknown(f"value {name!r}")
            return _VALUE.load(node)[1]
        if type(node) is list:
            raise Malformed("a list is no value")
        return node


U16, U32, U64, I64 = Unsigned(16), Unsigned(32), Unsigned(64), Signed()
BOOL, F64, BYTES, TEXT, EPOCH = Bool(), Float(), Bytes(), Text(), Id(8)
TYPE_REF, PAYLOAD, VALUE = TypeRef(), Payload(), Value()
_TYPE_REF = Enum(number=U32, name=TEXT)
_PAYLOAD = Enum(bytes=BYTES, text=TEXT, json=TEXT)
_VALUE = Enum(null=None, bool=BOOL, int=I64, float=F64, text=TEXT, bytes=BYTES)
ATTRIBUTES = List(Pair(TEXT, VALUE))
LABELS = List(Pair(TEXT, TEXT))
EXT = List(Pair(U16, BYTES))

ROOM_POSITION = Struct(channel=U32, epoch=EPOCH, seq=U64)
POSITION = Struct(epoch=EPOCH, seq=U64)
RESUME = Struct(key=Id(24), rooms=(List(ROOM_POSITION), []))
JOIN_TARGET = Enum(name=TEXT, match=Struct(kind=TEXT, filter=(LABELS, [])))
JOIN_MODE = Enum(create=None, join=None, either=None)
PRESENCE_MODE = Enum(full=None, count=None, none=None)
CREATE_OPTIONS = Struct(
    capacity=Option(U32), presence=Option(PRESENCE_MODE), public=Option(BOOL), labels=(LABELS, [])
)
JOIN_OPTIONS = Struct(attributes=(ATTRIBUTES, []), echo=(BOOL, True), create=Option(CREATE_OPTIONS))
CLASS = Enum(reliable=None, latest=U32, volatile=None)
MEMBER = Struct(id=U32, user=Option(TEXT), away=BOOL, attributes=ATTRIBUTES)
LIMITS = Struct(
    message_bytes_max=U32,
    batch_bytes_max=U32,
    rooms_max=U32,
    history_messages_max=U32,
    attributes_bytes_max=U32,
    messages_per_second=U32,
)
COUNTS = Struct(sent=U64, dropped=U64, conflated=U64)
ROSTER = Enum(full=List(MEMBER), count=U32, none=None)
LEAVE_REASON = Enum(left=None, gone=None, kicked=None, closed=None, lost=None, failed=None)
PRESENCE_EVENT = Enum(
    join=MEMBER,
    leave=Struct(id=U32, reason=LEAVE_REASON),
    away=U32,
    back=U32,
    attributes=Struct(id=U32, cseq=U64, changes=ATTRIBUTES),
    collapsed=Struct(count=U32),
)
DURABILITY = Enum(sequenced=None, durable=None)
ERROR_REF = Enum(session=None, join=U32, cseq=Struct(channel=U32, cseq=U64))
PART = Enum(members=None, team=U32, owner=None, cell=U32, spectators=None)
SCALAR_VALUE = Enum(
    bool=BOOL,
    int=I64,
    uint=U64,
    number=F64,
    text=TEXT,
    bytes=BYTES,
    vec2=Pair(F64, F64),
    vec3=Pair(F64, F64, F64),
)
FIELD_VALUE = Enum(one=SCALAR_VALUE, list=List(SCALAR_VALUE))
ENTITY_REF = Enum(id=U32, temp=U32)
STATE_EDIT = Enum(
    create=Struct(temp=U32, kind=U32, fields=List(Pair(U32, FIELD_VALUE))),
    set=Struct(entity=ENTITY_REF, field=U32, value=Option(FIELD_VALUE), if_version=Option(U64)),
    remove=Struct(entity=ENTITY_REF),
    give=Struct(entity=ENTITY_REF, to=U32),
)
EDIT_REFUSAL = Enum(
    unknown=None, invalid=None, not_owner=None, changed=None, full=None, no_such_member=None
)

MANAGE_ACTION = Enum(
    kick=Struct(member=U32),
    ban=Struct(user=TEXT, seconds=U32),
    unban=Struct(user=TEXT),
    close=None,
)

FROM_CLIENT = Enum(
    hello=Struct(
        version_min=(U16, 0),
        version_max=(U16, 0),
        features=(List(TEXT), []),
        client=(TEXT, ""),
        token=Option(TEXT),
        resume=Option(RESUME),
        ext=(EXT, []),
    ),
    join=Struct(
        ref=U32,
        target=JOIN_TARGET,
        mode=(JOIN_MODE, "either"),
        options=(JOIN_OPTIONS, {"attributes": [], "echo": True, "create": None}),
        since=Option(POSITION),
        history=(U32, 0),
        ext=(EXT, []),
    ),
    leave=Struct(channel=U32),
    publish=Struct(channel=U32, cseq=U64, class_=(CLASS, "reliable"), type=TYPE_REF, payload=PAYLOAD),
    direct=Struct(channel=U32, cseq=U64, to=U32, type=TYPE_REF, payload=PAYLOAD),
    request=Struct(channel=U32, cseq=U64, type=TYPE_REF, payload=PAYLOAD),
    set_attributes=Struct(channel=U32, cseq=U64, attributes=ATTRIBUTES),
    ping=Struct(id=U64),
    get_stats=Struct(ref=U32),
    resync=Struct(channel=U32, part=PART, tick=U64, hash=U32),
    edit=Struct(channel=U32, cseq=U64, edits=List(STATE_EDIT)),
    renew=Struct(ref=U32, token=TEXT),
    manage=Struct(channel=U32, cseq=U64, action=MANAGE_ACTION),
)
FROM_SERVER = Enum(
    welcome=Struct(
        version=U16,
        features=List(TEXT),
        session=Id(16),
        connection=U64,
        resume_key=Id(24),
        resumed=BOOL,
        heartbeat_ms=U32,
        grace_ms=U32,
        limits=LIMITS,
        server_time_ms=U64,
        ext=EXT,
    ),
    joined=Struct(
        ref=Option(U32),
        channel=U32,
        name=TEXT,
        kind=TEXT,
        epoch=EPOCH,
        epoch_at_ms=U64,
        seq=U64,
        recovered=BOOL,
        replay=U32,
        member=U32,
        applied_cseq=U64,
        presence=PRESENCE_MODE,
        roster=ROSTER,
        types=List(TEXT),
        capacity=U32,
        labels=LABELS,
        ext=EXT,
    ),
    left=Struct(channel=U32, reason=LEAVE_REASON),
    message=Struct(channel=U32, seq=U64, from_=U32, at=U64, cseq=U64, type=TYPE_REF, payload=PAYLOAD),
    ephemeral=Struct(channel=U32, from_=U32, key=Option(U32), type=TYPE_REF, payload=PAYLOAD),
    direct=Struct(channel=U32, seq=U64, from_=U32, at=U64, type=TYPE_REF, payload=PAYLOAD),
    presence=Struct(channel=U32, seq=U64, event=PRESENCE_EVENT),
    presence_count=Struct(channel=U32, count=U32),
    ack=Struct(channel=U32, cseq=U64, seq=Option(U64), durability=DURABILITY),
    reply=Struct(channel=U32, cseq=U64, payload=PAYLOAD),
    gap=Struct(channel=U32, from_seq=U64, to_seq=U64),
    pong=Struct(id=U64, server_time_us=U64),
    stats=Struct(
        ref=U32,
        reliable=COUNTS,
        latest=COUNTS,
        volatile=COUNTS,
        control=COUNTS,
        queued_messages=U32,
        queued_bytes=U64,
        resumes=U32,
        state=COUNTS,
    ),
    error=Struct(code=U16, ref=ERROR_REF, message=TEXT),
    draining=Struct(retry_after_ms=U32),
    redirect=Struct(url=TEXT),
    moved=Struct(channel=U32, epoch=EPOCH),
    types=Struct(channel=U32, first=U32, names=List(TEXT)),
    snapshot=Struct(channel=U32, part=PART, tick=U64, seq=U64, hash=U32, state=BYTES),
    delta=Struct(channel=U32, part=PART, base_tick=U64, tick=U64, seq=U64, hash=U32, changes=BYTES),
    input_ack=Struct(channel=U32, tick=U64, cseq=U64),
    part_gone=Struct(channel=U32, part=PART),
    edited=Struct(
        channel=U32,
        cseq=U64,
        tick=U64,
        created=List(Pair(U32, U32)),
        refused=List(Pair(U32, EDIT_REFUSAL)),
    ),
    expiring=Struct(close_ms=U32),
    renewed=Struct(ref=U32, expires_ms=Option(U64)),
)


def encode(messages, message):
    """The bytes of a message, without a length. `messages` is FROM_CLIENT or FROM_SERVER."""
    out = bytearray()
    messages.write(out, message)
    return bytes(out)


def decode(messages, data):
    reader = Reader(bytes(data))
    message = messages.read(reader)
    if reader.left():
        raise Malformed("bytes are left over")
    return message


def encode_json(messages, message):
    return messages.dump(message)


def decode_json(messages, text):
    node = parse_json(text)
    _one_key(node)  # A message is an object; a bare string is none.
    return messages.load(node)


def join_batch(datas):
    out = bytearray()
    for data in datas:
        BYTES.write(out, data)
    return bytes(out)


def split_batch(batch):
    """Yields the bytes of each message; raises Malformed where the batch breaks."""
    reader = Reader(bytes(batch))
    while reader.left():
        yield BYTES.read(reader)
