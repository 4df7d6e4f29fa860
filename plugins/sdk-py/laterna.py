"""Laterna's SDK for Python: projectors and upcasters out of plain functions.

    SQL = Statements(rename=update("customers", set=["name"], key=["customer_id"]))

    def renamed(event: Event) -> list[Operation]:
        return [SQL.rename(text(needed(event.payload, "name")), text(event.aggregate_id))]

    Projector = define_projector(name="customers", version="0.1.0", tables={...}, statements=SQL,
                                 events={"CustomerRenamed": renamed})

A parameter is made by one of the functions text, id, integer, decimal, number, boolean, timestamp, json, bytes_ and
optional. What they cannot take rejects the event, with the statement, the parameter and the line.
"""

import base64
import binascii
import builtins
import datetime as datetime_module
import inspect
import json as json_module
import logging
import random
import re
import sys
import time as time_module
import traceback
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import FrameType, SimpleNamespace
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from componentize_py_types import Err, Ok
from wit_world.imports import log
from wit_world.imports import types as wit

Operation = wit.Operation
Value = wit.Value
VALUES = tuple(getattr(wit, name) for name in dir(wit) if name.startswith("Value_"))
CUT = "text with half of a character (a surrogate), which no column can hold"
# Compiled while the component is built, not at each start.
WHOLE = re.compile(r"[+-]?\d+")
EXACT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


class Rejected(Exception):
    """The event is not taken: `invalid`, `unsupported` or `failed`. It becomes a dead letter with this reason."""

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind = kind


class Mistake(Rejected):
    """A rejection that is the fault of a value, or of the code that gives it, and so names the line."""

    def __init__(self, kind: str, reason: str):
        super().__init__(kind, reason)
        self.place = next(places(traceback.walk_stack(None)), None)


@dataclass
class Unusable:
    """What a type could not take. The statement that gets it refuses it, and so can name itself."""

    mistake: Mistake


FOLDER = __file__.rpartition("/")[0] + "/"


def places(stack: Iterable[Tuple[FrameType, int]]) -> Iterator[str]:
    """The author's lines in a stack, in its order."""
    for frame, line in stack:
        code = frame.f_code
        if code.co_filename.startswith(FOLDER) and code.co_filename != __file__:
            yield f"{code.co_name} ({code.co_filename.removeprefix(FOLDER)}:{line})"


def shown(value: object) -> str:
    return (text := repr(value))[:80] + ("…" if len(text) > 80 else "")


def typed(make: Callable[[Any], Value]) -> Callable[[Any], Any]:
    def of(value: Any) -> Any:
        try:
            return make(value)
        except Mistake as mistake:
            return Unusable(mistake)

    of.__doc__, of.__name__ = make.__doc__, make.__name__
    return of


def refuse(kind: str, value: object, takes: str) -> Mistake:
    missing = "; is the field missing in this event? optional(value, type) makes NULL of it" if value is None else ""
    return Mistake("invalid", f"{kind}() takes {takes}, not {shown(value)}{missing}")


def extended(value: Any, key: str) -> Any:
    """What `{"$key": ...}` of relaxed Extended JSON has."""
    return value.get(key) if isinstance(value, dict) else None


def whole(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


@typed
def text(value: str) -> Value:
    """A string."""
    if not isinstance(value, str):
        raise refuse("text", value, "a str")
    if not whole(value):
        raise Mistake("invalid", f"text() got {CUT}: {shown(value)}")
    return wit.Value_Text(value)


@typed
def id(value: Any) -> Value:
    """An id as text: a string, or an ObjectId or UUID of the payload."""
    binary = extended(value, "$binary")
    if isinstance(binary, dict) and binary.get("subType") == "04":
        digits = decoded(binary.get("base64"), value).hex()
        return wit.Value_Text("-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]]))
    known = extended(value, "$oid") or extended(value, "$uuid") or value
    if not isinstance(known, str) or not whole(known):
        raise refuse("id", value, "a str, an ObjectId or a UUID")
    return wit.Value_Text(known)


def digits_of(value: Any) -> Any:
    return extended(value, "$numberLong") or extended(value, "$numberInt")


@typed
def integer(value: Any) -> Value:
    """A whole number: an int, or a 64-bit integer of the payload."""
    digits = digits_of(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        digits = str(int(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        digits = str(value)
    if not isinstance(digits, str) or not WHOLE.fullmatch(digits):
        raise refuse("integer", value, "a whole number")
    number = int(digits)
    return wit.Value_Integer(number) if -(2**63) <= number < 2**63 else wit.Value_Decimal(digits)


@typed
def decimal(value: Any) -> Value:
    """An exact number: a Decimal, a Decimal128 of the payload, an int, or its digits as a str."""
    if isinstance(value, float):
        raise Mistake(
            "invalid",
            f"decimal() takes an exact number, and {value} is a float: let the payload have a Decimal128, give "
            'f"{value:.2f}", or take number(value)',
        )
    digits = value if isinstance(value, str) else extended(value, "$numberDecimal") or digits_of(value)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        digits = str(value)
    if not isinstance(digits, str) or not EXACT.fullmatch(digits):
        raise refuse("decimal", value, 'an exact number such as Decimal("12.30")')
    return wit.Value_Decimal(digits)


@typed
def number(value: Any) -> Value:
    """A double."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
        raise refuse("number", value, "a finite number")
    return wit.Value_Number(float(value))


@typed
def boolean(value: bool) -> Value:
    if not isinstance(value, bool):
        raise refuse("boolean", value, "True or False")
    return wit.Value_Boolean(value)


@typed
def timestamp(value: Any) -> Value:
    """A moment: RFC 3339 text, a date of the payload, or a datetime with a time zone."""
    moment = value if extended(value, "$date") is None else extended(value, "$date")
    milliseconds = digits_of(moment)
    if milliseconds is not None:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=int(milliseconds))
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise Mistake("invalid", f"timestamp() got {moment}, which has no time zone: give it tzinfo=timezone.utc")
        moment = moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"
    if not isinstance(moment, str) or not MOMENT.match(moment):
        raise refuse("timestamp", value, 'RFC 3339 text such as "2026-01-31T12:00:00Z", or a date')
    return wit.Value_Timestamp(moment)


@typed
def json(value: Any) -> Value:
    """Anything that JSON can say, for a JSON column."""
    try:
        written = json_module.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise Mistake("invalid", f"json() cannot write {shown(value)}: {error}") from None
    if not whole(written):
        raise Mistake("invalid", f"json() got {CUT}")
    return wit.Value_Json(written)


@typed
def bytes_(value: Any) -> Value:
    """Bytes, or binary of the payload."""
    if isinstance(value, (bytes, bytearray)):
        return wit.Value_Bytes(bytes(value))
    return wit.Value_Bytes(decoded(extended(extended(value, "$binary"), "base64"), value))


def decoded(base64_text: Any, value: Any) -> bytes:
    try:
        return base64.b64decode(base64_text, validate=True)
    except (TypeError, binascii.Error):
        raise refuse("bytes_", value, "bytes, or binary") from None


NULL = wit.Value_Null()


def optional(value: Any, type_: Callable[[Any], Any]) -> Any:
    """NULL where there is no value, and otherwise the value with this type."""
    return NULL if value is None else type_(value)


def needed(payload: Dict[str, Any], name: str) -> Any:
    """The field of a payload that has to be there."""
    if not isinstance(payload, dict) or payload.get(name) is None:
        raise Mistake("invalid", f"the payload has no {name}")
    return payload[name]


class Statements:
    """All SQL there will ever be: `SQL = Statements(forget="DELETE ...")`, then `SQL.forget(text(...))`."""

    def __init__(self, **texts: str):
        self._texts = texts
        self._counts = [placeholders(sql) for sql in texts.values()]
        self._places = {name: at for at, name in enumerate(texts)}

    def __getattr__(self, name: str) -> Callable[..., Operation]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._places:
            raise Mistake("failed", f"there is no statement `{name}`; there are {', '.join(self._places)}")
        return lambda *parameters: self._operation(name, parameters)

    def _operation(self, name: str, parameters: tuple) -> Operation:
        at = self._places[name]
        if len(parameters) != self._counts[at]:
            counts = f"takes {self._counts[at]} parameters, and gets {len(parameters)}"
            raise Mistake("failed", f"the statement `{name}` {counts}")
        for place, parameter in enumerate(parameters, 1):
            if not isinstance(parameter, VALUES):
                raise unusable(f"statement `{name}`, parameter {place}: ", parameter)
        return Operation(at, list(parameters))


def unusable(where: str, parameter: object) -> Mistake:
    if isinstance(parameter, Unusable):
        parameter.mistake.args = (where + str(parameter.mistake),)
        return parameter.mistake
    if parameter is None:
        return Mistake("failed", f"{where}it is None; optional(value, text) makes NULL of what is missing")
    kinds = {str: "text", bool: "boolean", int: "integer", float: "number", Decimal: "decimal", dict: "json", list: "json"}
    kind = kinds.get(type(parameter), "timestamp" if isinstance(parameter, datetime) else "text")
    return Mistake("failed", f"{where}{shown(parameter)} has no type; write {kind}(...)")


def placeholders(sql: str) -> int:
    """How many `?` a statement has outside of its quotes."""
    plain = re.sub(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`""", "", sql, flags=re.DOTALL)
    return plain.count("?")


def quoted(names: Iterable[str], form: str = "`{0}`", between: str = ", ") -> str:
    return between.join(form.format(name) for name in names)


def insert(table: str, *, set: List[str]) -> str:
    """A new row. Parameters: `set`."""
    return f"INSERT INTO `{table}` ({quoted(set)}) VALUES ({', '.join('?' for _ in set)})"


def upsert(table: str, *, key: List[str], add: List[str] = [], set: List[str] = []) -> str:
    """A row that is made, or changed where one of this key is there. Parameters: `key`, `add`, `set`."""
    changes = [quoted(add, "`{0}` = `{0}` + VALUES(`{0}`)"), quoted(set, "`{0}` = VALUES(`{0}`)")]
    made = insert(table, set=[*key, *add, *set])
    return f"{made} ON DUPLICATE KEY UPDATE {', '.join(filter(None, changes))}"


def update(table: str, *, key: List[str], add: List[str] = [], set: List[str] = []) -> str:
    """Parameters: `add`, `set`, `key`."""
    changes = [quoted(add, "`{0}` = `{0}` + ?"), quoted(set, "`{0}` = ?")]
    return f"UPDATE `{table}` SET {', '.join(filter(None, changes))} WHERE {quoted(key, '`{0}` = ?', ' AND ')}"


def delete(table: str, *, key: List[str]) -> str:
    """Parameters: `key`."""
    return f"DELETE FROM `{table}` WHERE {quoted(key, '`{0}` = ?', ' AND ')}"


@dataclass
class Event:
    """One event of the outbox. `raw` is what the host gave."""

    raw: wit.Event
    id: str = field(init=False)
    type: str = field(init=False)
    version: int = field(init=False)
    aggregate_type: str = field(init=False)
    aggregate_id: str = field(init=False)
    sequence: Optional[int] = field(init=False)
    occurred_at: Optional[str] = field(init=False)
    payload: Any = field(init=False)

    def __post_init__(self) -> None:
        self.id, self.type, self.version = self.raw.id, self.raw.event_type, self.raw.version
        self.aggregate_type, self.aggregate_id = self.raw.aggregate_type, self.raw.aggregate_id
        self.sequence, self.occurred_at = self.raw.sequence, self.raw.occurred_at
        self.payload = json_module.loads(self.raw.payload)

    @property
    def metadata(self) -> Any:
        return json_module.loads(self.raw.metadata)

    @property
    def time(self) -> Any:
        """When it happened, as a parameter. An event without a time is rejected as invalid."""
        if self.occurred_at is None:
            raise Rejected("invalid", "the event has no time")
        return wit.Value_Timestamp(self.occurred_at)

    def become(
        self, *, type: Optional[str] = None, version: Optional[int] = None, payload: Any = None, metadata: Any = None
    ) -> wit.Event:
        """The same event in another form: what an upcaster returns."""
        written = lambda value, before: before if value is None else json_module.dumps(value, separators=(",", ":"))
        return replace(
            self.raw,
            event_type=self.type if type is None else type,
            version=self.version if version is None else version,
            payload=written(payload, self.raw.payload),
            metadata=written(metadata, self.raw.metadata),
        )


Handlers = Union[Dict[str, Callable[[Event], Any]], Callable[[Event], Any]]


def define_projector(
    *,
    name: str,
    version: str,
    tables: Dict[str, str],
    statements: Statements,
    events: Handlers,
    ordering: str = "aggregate",
    commutative: bool = False,
) -> type:
    """A projector, to be assigned to the name `Projector`. `events`: a function for each type, or one for all."""
    from wit_world import exports
    from wit_world.exports.projector import Manifest, Ordering, Statement, Table

    if not isinstance(statements, Statements):
        raise TypeError("`statements` is what Statements(...) made")
    if ordering not in ("aggregate", "stream"):
        raise TypeError(f'`ordering` is {ordering!r}: it is "aggregate" or "stream"')
    types = types_of(events)
    refuse_what_differs()

    class Projector(exports.Projector):
        def describe(self) -> Manifest:
            sql = [Statement(*pair) for pair in statements._texts.items()]
            ddl = [Table(*pair) for pair in tables.items()]
            return Manifest(name, version, types, Ordering[ordering.upper()], commutative, ddl, sql)

        def project(self, events_: List[wit.Event]) -> list:
            return [answer(event, events, Operation, "a list of operations") for event in events_]

    return Projector


def define_upcaster(*, name: str, version: str, events: Handlers) -> type:
    """An upcaster, to be assigned to the name `Upcasting`."""
    from wit_world import exports
    from wit_world.exports.upcasting import Manifest

    types = types_of(events)
    refuse_what_differs()

    class Upcasting(exports.Upcasting):
        def describe(self) -> Manifest:
            return Manifest(name, version, types)

        def upcast(self, events_: List[wit.Event]) -> list:
            return [answer(event, events, wit.Event, "a list of what event.become(...) made") for event in events_]

    return Upcasting


def types_of(events: Handlers) -> List[str]:
    if callable(events):
        return []
    for event_type, handler in events.items():
        if not callable(handler):
            raise TypeError(f"the handler of {event_type} is no function")
        if inspect.iscoroutinefunction(handler):
            raise TypeError(f"the handler of {event_type} is async: there is nothing to wait for, so write `def`")
    return list(events)


def answer(raw: wit.Event, events: Handlers, kind: type, what: str) -> Any:
    """The answer to one event, whose error is no other event's."""
    global in_project
    in_project = True
    try:
        handler = events if callable(events) else events.get(raw.event_type)
        if handler is None:
            raise Rejected("unsupported", f"{raw.event_type} of version {raw.version}")
        return Ok(list_of(handler(Event(raw)), kind, raw.event_type, what))
    except Rejected as rejected:
        place = getattr(rejected, "place", None)
        lines = [str(rejected), f"  at {place}"] if place else [str(rejected)]
        return Err(rejection(rejected.kind, lines))
    except Exception as error:
        frames = [f"  at {place}" for place in places(traceback.walk_tb(error.__traceback__))]
        return Err(rejection("failed", [f"{type(error).__name__}: {error}", *reversed(frames)]))
    finally:
        in_project = False


def rejection(kind: str, lines: List[str]) -> Any:
    reason = "\n".join(lines).encode(errors="replace").decode()
    return {"invalid": wit.Rejection_Invalid, "unsupported": wit.Rejection_Unsupported}.get(kind, wit.Rejection_Failed)(reason)


def list_of(given: Any, kind: type, handler: str, what: str) -> list:
    whose = f"the handler of {handler}"
    if inspect.iscoroutine(given):
        given.close()
        raise Mistake("failed", f"{whose} is async: there is nothing to wait for in a projector, so write `def`")
    if isinstance(given, (kind, Event)):
        given = [given]
    if not isinstance(given, (list, tuple)) and not inspect.isgenerator(given):
        raise Mistake("failed", f"{whose} has to return {what}, [] for none, and returned {shown(given)}")
    items = [item.raw if kind is wit.Event and isinstance(item, Event) else item for item in given]
    for at, item in enumerate(items):
        if not isinstance(item, kind):
            raise Mistake("failed", f"{whose} has to return {what}, and item {at} is {shown(item)}")
    return items


# ---- What a projector has beside its events: `logging`, which goes to the host's log, and neither randomness nor a
# ---- clock. While the component is built, there are both, as other modules may ask for them when they are loaded.

in_project = False


class HostLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        levels = [(logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO")]
        level = next((name for least, name in levels if record.levelno >= least), "DEBUG")
        log.write(log.Level[level], self.format(record).encode(errors="replace").decode())


logging.basicConfig(handlers=[HostLog()], level=logging.INFO, format="%(message)s", force=True)
# A record has the time at which it was made, and there is none.
logging.time = SimpleNamespace(**{**vars(logging.time), "time_ns": lambda: 0, "time": lambda: 0.0})


SAME = "and the same event must always give the same"
CHANCE = f"the module `random` gives other numbers each time, {SAME}"
CHANCE += ": derive ids from the event's id, or take random.Random(event.id)"
TIME = f"differs each time, {SAME}: use the event's time, event.time or event.occurred_at"
WAITS = "waits, and a projector never does: it answers from its event alone"
# What reads the clock always, and what does so without a moment, with the place of that among the arguments.
CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns")
CLOCKS_AT = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
are_refused = False


def refuse_what_differs() -> None:
    """Takes the clocks away, and the numbers that the module `random` gives unasked; `random.Random(event.id)` has a
    seed, and stays."""
    global are_refused
    if are_refused:
        return
    are_refused = True
    guards, place = {}, builtins.id
    for name in ("random", "getrandbits"):
        guards[place(getattr(random, name))] = guarded = guard(getattr(random._inst, name), CHANCE)
        setattr(random._inst, name, guarded)
    for name in filter(lambda name: hasattr(time_module, name), (*CLOCKS, *CLOCKS_AT, "sleep")):
        said = f"time.{name}() {WAITS if name == 'sleep' else TIME}"
        original = getattr(time_module, name)
        guards[place(original)] = guard(original, said, CLOCKS_AT.get(name))
    for kind, names in [(datetime, ("now", "utcnow", "today")), (datetime_module.date, ("today",))]:
        guards[place(kind)] = without_clock(kind, names)
    for module in list(sys.modules.values()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if place(value) in guards and getattr(module, "__name__", None) != __name__:
                setattr(module, key, guards[place(value)])


def guard(original: Callable[..., Any], said: str, moment_at: Optional[int] = None) -> Callable[..., Any]:
    """The function, which refuses to be called in a projector; one that takes a moment, only without it."""

    def guarded(*arguments: Any, **named: Any) -> Any:
        if in_project and (moment_at is None or len(arguments) <= moment_at or arguments[moment_at] is None):
            raise Mistake("failed", said)
        return original(*arguments, **named)

    return guarded


class WithoutClock(type):
    """What stands for a class of `datetime`, whose own values are its, too."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls.original) if "original" in vars(cls) else super().__instancecheck__(value)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.original) if "original" in vars(cls) else super().__subclasscheck__(other)


def without_clock(kind: type, names: Tuple[str, ...]) -> type:
    """A class like this one, whose functions of these names are guarded."""
    called = kind.__name__
    functions = {
        name: staticmethod(guard(getattr(kind, name), f"{called}.{name}() {TIME}")) for name in names
    }
    kept = {"original": kind, "__slots__": (), "__module__": kind.__module__, "__doc__": kind.__doc__}
    return WithoutClock(called, (kind,), {**kept, **functions})
