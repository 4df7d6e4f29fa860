"""One row for each customer, with what they ordered.

Modules have to be imported at the top: nothing can be loaded once the component is built.
"""

import json
import traceback
from typing import List, Optional

from componentize_py_types import Err, Ok, Result
from wit_world import exports
from wit_world.exports.projector import Manifest, Ordering, Statement, Table
from wit_world.imports.types import (
    Event,
    Operation,
    Rejection,
    Rejection_Failed,
    Rejection_Invalid,
    Rejection_Unsupported,
    Value,
    Value_Integer,
    Value_Null,
    Value_Text,
    Value_Timestamp,
)

TABLE = """CREATE TABLE customers (
    customer_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    email VARCHAR(200) NULL,
    orders INT NOT NULL DEFAULT 0,
    total_cents BIGINT NOT NULL DEFAULT 0,
    changed_at DATETIME(3) NOT NULL,
    PRIMARY KEY (customer_id)
)"""

# All SQL there will ever be. The host checks it before the projector is deployed; at run time a statement is named by
# its place in this list, and gets its parameters in the order of its `?`.
STATEMENTS = {
    "save": "INSERT INTO customers (customer_id, name, email, changed_at) VALUES (?, ?, ?, ?) "
    "ON DUPLICATE KEY UPDATE name = VALUES(name), email = VALUES(email), changed_at = VALUES(changed_at)",
    "rename": "UPDATE customers SET name = ?, changed_at = ? WHERE customer_id = ?",
    "forget": "DELETE FROM customers WHERE customer_id = ?",
    "count_order": "UPDATE customers SET orders = orders + 1, total_cents = total_cents + ?, changed_at = ? "
    "WHERE customer_id = ?",
}
EVENT_TYPES = ["CustomerRegistered", "CustomerRenamed", "OrderPlaced", "CustomerForgotten"]


def project_one(event: Event) -> List[Operation]:
    """The same event must always give the same operations: there is no clock but the event's own."""
    if event.occurred_at is None:
        raise Rejected(Rejection_Invalid("the event has no time"))
    customer, time = Value_Text(event.aggregate_id), Value_Timestamp(event.occurred_at)
    payload = json.loads(event.payload)
    match event.event_type:
        case "CustomerRegistered":
            return [operation("save", customer, text(payload, "name"), optional_text(payload.get("email")), time)]
        case "CustomerRenamed":
            return [operation("rename", text(payload, "name"), time, customer)]
        case "OrderPlaced":
            return [operation("count_order", integer(payload, "totalCents"), time, customer)]
        case "CustomerForgotten":
            return [operation("forget", customer)]
    raise Rejected(Rejection_Unsupported(f"{event.event_type} of version {event.version}"))


class Rejected(Exception):
    """The event is not taken, for this reason. It becomes a dead letter."""

    def __init__(self, rejection: Rejection):
        self.rejection = rejection


def operation(name: str, *parameters: Value) -> Operation:
    return Operation(list(STATEMENTS).index(name), list(parameters))


def needed(payload: dict, name: str):
    if payload.get(name) is None:
        raise Rejected(Rejection_Invalid(f"the payload has no {name}"))
    return payload[name]


def text(payload: dict, name: str) -> Value_Text:
    return Value_Text(needed(payload, name))


def optional_text(value: Optional[str]) -> Value:
    return Value_Null() if value is None else Value_Text(value)


def integer(payload: dict, name: str) -> Value_Integer:
    """Integers beyond 2^53 arrive as {"$numberLong": "..."}."""
    value = needed(payload, name)
    return Value_Integer(int(value["$numberLong"]) if isinstance(value, dict) else value)


class Projector(exports.Projector):
    def describe(self) -> Manifest:
        return Manifest(
            name="my-projector",
            version="0.1.0",
            event_types=EVENT_TYPES,
            ordering=Ordering.AGGREGATE,
            commutative=False,
            tables=[Table("customers", TABLE)],
            statements=[Statement(name, sql) for name, sql in STATEMENTS.items()],
        )

    def project(self, events: List[Event]) -> List[Result[List[Operation], Rejection]]:
        return [answer(event) for event in events]


def answer(event: Event) -> Result[List[Operation], Rejection]:
    """An exception that leaves `project` would end the whole list, so each event's becomes its own answer."""
    try:
        return Ok(project_one(event))
    except Rejected as rejected:
        return Err(rejected.rejection)
    except Exception:
        return Err(Rejection_Failed(traceback.format_exc()))
