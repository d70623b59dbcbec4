"""A room's state as a member sees it, written from protocol/SPEC.md (section 17) and nothing else.

A field's value is kept as it travels: a bool, an int (a whole number, or the steps of a quantised
one), a float, a tuple of two or three of those, a str, bytes, or a list. `Schema.shown` turns it into
what it means.
"""

import json
import math
import struct

from madang_wire import INTEGER_MAX, Malformed

LIST_MAX = 4096
MASK = 2**32 - 1


class Reader:
    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def is_empty(self):
        return self.at == len(self.data)

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed("the state ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def uint(self):
        """LEB128 in its shortest form, of at most 64 bits."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
            if shift > 63:
                raise Malformed("an integer is too long")
        if value >= 2**64 or (byte == 0 and shift):
            raise Malformed("an integer is too large, or not in its shortest form")
        return value


def leb128(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value):
    return -(value + 1) // 2 if value & 1 else value // 2


# Scalars. Each reads a value that stands whole and one that is a change of an old one, writes it whole
# (which is what the hash of a list is of), and says which 64-bit numbers the hash takes.


class Whole:
    """A whole number from `least` to `most`; a change is the zigzag of the difference."""

    def __init__(self, least, most):
        self.least, self.most, self.zero = least, most, 0

    def read(self, reader):
        value = reader.uint()
        return self._checked(unzigzag(value) if self.least < 0 else value)

    def change(self, reader, old):
        return self._checked(old + unzigzag(reader.uint()))

    def _checked(self, value):
        if not self.least <= value <= self.most:
            raise Malformed(f"{value} is out of bounds")
        return value

    def write(self, value):
        return leb128(self.words(value)[0])

    def words(self, value):
        return [zigzag(value) if self.least < 0 else value]

    def shown(self, value):
        return value


class Steps(Whole):
    def __init__(self, min, step, steps):
        super().__init__(0, steps)
        self.min, self.step = min, step

    def shown(self, value):
        return self.min + value * self.step


class Bool:
    zero = False

    def read(self, reader):
        byte = reader.take(1)[0]
        if byte > 1:
            raise Malformed(f"{byte} is no bool")
        return byte == 1

    def change(self, reader, old):
        return self.read(reader)

    def write(self, value):
        return bytes([value])

    def words(self, value):
        return [int(value)]

    def shown(self, value):
        return value


class Float:
    zero = 0.0

    def __init__(self, size):
        self.size = size
        self.code, self.bits = {4: ("<f", "<I"), 8: ("<d", "<Q")}[size]

    def read(self, reader):
        (value,) = struct.unpack(self.code, reader.take(self.size))
        if not math.isfinite(value):
            raise Malformed(f"{value} is not finite")
        return value

    def change(self, reader, old):
        return self.read(reader)

    def write(self, value):
        return struct.pack(self.code, value)

    def words(self, value):
        return list(struct.unpack(self.bits, self.write(value)))

    def shown(self, value):
        return value


class Vector:
    def __init__(self, number, count):
        self.number, self.zero = number, (number.zero,) * count

    def read(self, reader):
        return tuple(self.number.read(reader) for _ in self.zero)

    def change(self, reader, old):
        return tuple(self.number.change(reader, part) for part in old)

    def write(self, value):
        return b"".join(map(self.number.write, value))

    def words(self, value):
        return [word for part in value for word in self.number.words(part)]

    def shown(self, value):
        return tuple(map(self.number.shown, value))


class Blob:
    def __init__(self, is_text):
        self.is_text, self.zero = is_text, "" if is_text else b""

    def read(self, reader):
        value = reader.take(reader.uint())
        if not self.is_text:
            return value
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"UTF-8: {error}") from error

    def change(self, reader, old):
        return self.read(reader)

    def write(self, value):
        content = self.content(value)
        return leb128(len(content)) + content

    def content(self, value):
        return value.encode() if self.is_text else value

    def shown(self, value):
        return value


class List:
    zero = ()

    def __init__(self, inner):
        self.inner = inner

    def read(self, reader):
        return self._elements(reader, reader.uint())

    def _elements(self, reader, count):
        if count > LIST_MAX:
            raise Malformed("a list is too long")
        return tuple(self.inner.read(reader) for _ in range(count))

    def change(self, reader, old):
        new, rest, more = (), old, True
        while more:
            kept, more = divmod(reader.uint(), 2)
            count, other = divmod(reader.uint(), 2)
            left = reader.uint() if other else min(count, max(len(rest) - kept, 0))
            if kept + left > len(rest):
                raise Malformed("an edit goes beyond the old list")
            new += rest[:kept] + self._elements(reader, count)
            rest = rest[kept + left :]
        if len(new + rest) > LIST_MAX:
            raise Malformed("a list is too long")
        return new + rest

    def content(self, value):
        return b"".join(map(self.inner.write, value))

    def shown(self, value):
        return [self.inner.shown(element) for element in value]


def _number(text):
    if isinstance(text, str):
        return Float({"f32": 4, "f64": 8}[text])
    return Steps(**text["quantised"])


def _scalar(text):
    if isinstance(text, dict):
        ((name, number),) = text.items()
        number = _number(number)
        return number if name == "number" else Vector(number, {"vec2": 2, "vec3": 3}[name])
    return {
        "bool": Bool(),
        "int": Whole(-INTEGER_MAX, INTEGER_MAX),
        "uint": Whole(0, INTEGER_MAX),
        "text": Blob(is_text=True),
        "bytes": Blob(is_text=False),
    }[text]


class Field:
    def __init__(self, text):
        ((form, scalar),) = text["type"].items()
        self.name, self.visibility = text["name"], text.get("visibility", "everyone")
        self.type = {"one": lambda: _scalar(scalar), "list": lambda: List(_scalar(scalar))}[form]()


class Schema:
    def __init__(self, text):
        kinds = json.loads(text)["kinds"]
        self.kinds = [(kind["name"], [Field(field) for field in kind["fields"]]) for kind in kinds]

    def fields(self, kind, mask=0):
        if kind >= len(self.kinds):
            raise Malformed(f"there is no kind {kind}")
        fields = self.kinds[kind][1]
        if mask >> len(fields):
            raise Malformed("there is no such field")
        return fields

    def shown(self, kind, values):
        return [field.type.shown(value) for field, value in zip(self.kinds[kind][1], values)]


class Copy:
    """A part: its entities by id, each a pair of its kind and its values, and the tick it is of."""

    def __init__(self, schema, data=b"", tick=0):
        self.schema, self.tick, self.entities = schema, tick, {}
        reader = Reader(data)
        for entity in self._ids(reader):
            self.entities[entity] = self._whole(reader, reader.uint(), reader.uint())
        self.hash = sum(entity_hash(schema, *item) for item in self.entities.items()) & MASK

    def apply(self, data, tick):
        """Applies a delta, or raises Malformed and is as it was."""
        changes, reader = {}, Reader(data)
        for entity in self._ids(reader):
            mask, new = divmod(reader.uint(), 2)
            old = self.entities.get(entity)
            if bool(new) != (old is None):
                raise Malformed(f"entity {entity} is there, or is not")
            if new:
                changes[entity] = self._whole(reader, reader.uint(), mask)
            elif not mask:
                changes[entity] = None
            else:
                fields = enumerate(zip(self.schema.fields(old[0], mask), old[1]))
                changes[entity] = old[0], [
                    field.type.change(reader, value) if mask >> place & 1 else value
                    for place, (field, value) in fields
                ]
        for entity, new in changes.items():
            if (old := self.entities.pop(entity, None)) is not None:
                self.hash -= entity_hash(self.schema, entity, old)
            if new is not None:
                self.entities[entity] = new
                self.hash += entity_hash(self.schema, entity, new)
        self.hash &= MASK
        self.tick = tick

    def _ids(self, reader):
        entity = None
        while not reader.is_empty():
            step = reader.uint()
            if entity is not None and not step:
                raise Malformed("ids ascend")
            entity = step + (entity or 0)
            if entity > MASK:
                raise Malformed(f"{entity} is no id")
            yield entity

    def _whole(self, reader, kind, mask):
        fields = enumerate(self.schema.fields(kind, mask))
        return kind, [
            field.type.read(reader) if mask >> place & 1 else field.type.zero for place, field in fields
        ]


def entity_hash(schema, entity, kind_and_values):
    kind, values = kind_and_values
    shares = [share(entity, 255, split([kind + 1]))]
    for place, (field, value) in enumerate(zip(schema.kinds[kind][1], values)):
        if isinstance(field.type, (Blob, List)):
            content = field.type.content(value)
            padded = content + bytes(-len(content) % 4)
            rounds = [len(content), *struct.unpack(f"<{len(padded) // 4}I", padded)]
            is_zero = not content
        else:
            words = field.type.words(value)
            rounds, is_zero = split(words), not any(words)
        if not is_zero:
            shares.append(share(entity, place, rounds))
    return sum(shares) & MASK


def split(words):
    return [half for word in words for half in (word & MASK, word >> 32)]


def rotl(value, bits):
    return (value << bits | value >> 32 - bits) & MASK


def share(entity, place, rounds):
    value = 0x9747B28C
    for word in [entity, place, *rounds]:
        word = rotl(word * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK
        value = rotl(value ^ word, 13) * 5 + 0xE6546B64 & MASK
    value = (value ^ value >> 16) * 0x85EBCA6B & MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & MASK
    return value ^ value >> 16


class State:
    """The parts that a member was sent (section 17.5)."""

    def __init__(self, schema):
        self.schema, self.copies, self.is_waiting = schema, {}, True

    def take(self, name, body):
        """Handles a `snapshot`, `delta` or `part_gone`; the fields of a `resync` where one is due."""
        part = body["part"]
        if name == "snapshot" and part == "members":
            self.copies, self.is_waiting = {}, False
        if self.is_waiting:
            return None
        if name == "part_gone":
            self.copies.pop(part, None)
            return None
        try:
            return self._snapshot(part, body) if name == "snapshot" else self._delta(part, body)
        except Malformed:
            return self._wrong(part)

    def _snapshot(self, part, body):
        if part[0] == "team":
            self.copies = {other: copy for other, copy in self.copies.items() if other[0] != "team"}
        self.copies.pop(part, None)
        self.copies[part] = Copy(self.schema, body["state"], body["tick"])
        return self._checked(part, body)

    def _delta(self, part, body):
        copy = self.copies.get(part)
        if copy is None or body["base_tick"] > copy.tick:
            return self._wrong(part)
        if copy.tick >= body["tick"]:
            return None
        copy.apply(body["changes"], body["tick"])
        return self._checked(part, body)

    def _checked(self, part, body):
        return None if self.copies[part].hash == body["hash"] else self._wrong(part)

    def _wrong(self, part):
        self.is_waiting = True
        copy = self.copies.get(part)
        return {"part": part, "tick": copy.tick if copy else 0, "hash": copy.hash if copy else 0}

    def picture(self):
        """The sum of the parts: {id: (name of the kind, {name of the field: value})}."""
        picture = {}
        for part, copy in self.copies.items():
            sort = part if isinstance(part, str) else part[0]
            seen = {"team": ["team"], "owner": ["owner"]}.get(sort, ["everyone", "members"])
            for entity, (kind, values) in copy.entities.items():
                name, fields = self.schema.kinds[kind]
                zeros = [field.type.shown(field.type.zero) for field in fields]
                _, shown = picture.setdefault(
                    entity, (name, {field.name: zero for field, zero in zip(fields, zeros)})
                )
                for field, value in zip(fields, self.schema.shown(kind, values)):
                    if field.visibility in seen:
                        shown[field.name] = value
        return picture
