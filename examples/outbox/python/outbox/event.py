"""An event, and what the host takes for one: docs/events.md. Whatever it would park is refused before it is written."""

import uuid
from dataclasses import dataclass, field

from bson import json_util
from bson.int64 import Int64
from bson.objectid import ObjectId

from .errors import InvalidEvent

NESTED_MAX = 100
SEQUENCE_MAX = 2**53 - 1
RELAXED = json_util.RELAXED_JSON_OPTIONS.with_options(uuid_representation=4)


@dataclass(frozen=True)
class Event:
    """What happened, to whom, as which of its events. The transaction adds id, time and where it was caused."""

    type: str
    aggregate_type: str
    aggregate_id: str | int | uuid.UUID | ObjectId
    sequence: int
    payload: object
    version: int = 1
    metadata: dict = field(default_factory=dict)


def document(event, event_id, occurred_at, traceparent, payload_bytes_max):
    """The outbox document of an event."""
    metadata = ({"traceparent": traceparent} if traceparent else {}) | event.metadata
    made = {
        "_id": event_id,
        "type": text("type", event.type, 128),
        "version": whole("version", event.version, 2**32 - 1),
        "aggregateType": text("aggregateType", event.aggregate_type, 128),
        "aggregateId": identity("aggregateId", event.aggregate_id),
        "sequence": whole("sequence", event.sequence, SEQUENCE_MAX),
        "occurredAt": occurred_at,
        "payload": event.payload,
        "metadata": metadata,
    }
    for name in ("payload", "metadata"):
        check_json(name, made[name], payload_bytes_max)
    return made


def text(name, value, most):
    if not isinstance(value, str):
        raise InvalidEvent(f"`{name}` is of type {kind(value)}, not a string")
    size = len(value.encode())
    if not 1 <= size <= most:
        raise InvalidEvent(f"`{name}` has {size} bytes; it has 1 to {most}")
    return value


def identity(name, value):
    if isinstance(value, (ObjectId, uuid.UUID)):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Int64(value)
    if not isinstance(value, str):
        raise InvalidEvent(f"`{name}` is of type {kind(value)}, not a string, an ObjectId, a UUID or an integer")
    return text(name, value, 512)


def whole(name, value, most):
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidEvent(f"`{name}` is of type {kind(value)}, not an integer")
    if not 0 <= value <= most:
        raise InvalidEvent(f"`{name}` is {value}; it is 0 to {most}")
    return Int64(value)


def check_json(name, value, most):
    """The host makes JSON of it, relaxed Extended JSON with large integers as text, and has room for so much."""
    size = size_of(name, value, 1)
    if size > most:
        raise InvalidEvent(f"`{name}` has {size} bytes as JSON, at most {most}: store what is large, and its id here")


def size_of(name, value, level):
    if not isinstance(value, (dict, list, tuple)):
        return leaf(value)
    if level > NESTED_MAX:
        raise InvalidEvent(f"`{name}` nests deeper than {NESTED_MAX} levels")
    if isinstance(value, dict):
        parts = [leaf(key) + 1 + size_of(name, part, level + 1) for key, part in value.items()]
    else:
        parts = [size_of(name, part, level + 1) for part in value]
    return 2 + sum(parts) + max(0, len(parts) - 1)


def leaf(value):
    is_large = isinstance(value, int) and abs(value) > SEQUENCE_MAX
    options = json_util.CANONICAL_JSON_OPTIONS if is_large else RELAXED
    value = Int64(value) if is_large else value
    return len(json_util.dumps(value, json_options=options, ensure_ascii=False, separators=(",", ":")).encode())


def kind(value):
    return type(value).__name__
