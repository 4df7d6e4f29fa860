"""One row for each open bank account: the same projector as plugins/accounts, in Python.

Modules have to be imported at the top: nothing can be loaded once the component is built.
"""

import json
import traceback
from typing import List

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
    Value_Text,
    Value_Timestamp,
)

TABLE = """CREATE TABLE accounts (
    account_id VARCHAR(64) NOT NULL,
    owner VARCHAR(200) NOT NULL,
    balance_cents BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    opened_at DATETIME(3) NOT NULL,
    updated_at DATETIME(3) NOT NULL,
    PRIMARY KEY (account_id)
)"""

STATEMENTS = {
    "open": "INSERT INTO accounts (account_id, owner, balance_cents, last_sequence, opened_at, updated_at) "
    "VALUES (?, ?, ?, ?, ?, ?)",
    "move_money": "UPDATE accounts SET balance_cents = balance_cents + ?, last_sequence = ?, updated_at = ? "
    "WHERE account_id = ?",
    "rename": "UPDATE accounts SET owner = ?, last_sequence = ?, updated_at = ? WHERE account_id = ?",
    "close": "DELETE FROM accounts WHERE account_id = ?",
}


class Rejected(Exception):
    """The event is not taken, for this reason."""

    def __init__(self, rejection: Rejection):
        self.rejection = rejection


def invalid(reason: str) -> Rejected:
    return Rejected(Rejection_Invalid(reason))


def operation(name: str, *parameters: Value) -> List[Operation]:
    return [Operation(list(STATEMENTS).index(name), list(parameters))]


def amount(payload: dict) -> int:
    cents = payload.get("amountCents")
    if not isinstance(cents, int) or cents <= 0:
        raise invalid(f"amountCents is {cents}, and should be more than 0")
    return cents


def owner(payload: dict) -> Value_Text:
    if not isinstance(payload.get("owner"), str):
        raise invalid("owner is missing")
    return Value_Text(payload["owner"])


def project_one(event: Event) -> List[Operation]:
    if event.sequence is None:
        raise invalid("sequence is missing")
    if event.occurred_at is None:
        raise invalid("occurredAt is missing")
    account = Value_Text(event.aggregate_id)
    sequence, time = Value_Integer(event.sequence), Value_Timestamp(event.occurred_at)
    payload = json.loads(event.payload)
    match event.event_type:
        case "AccountOpened":
            balance = Value_Integer(payload.get("balanceCents", 0))
            return operation("open", account, owner(payload), balance, sequence, time, time)
        case "MoneyDeposited":
            return operation("move_money", Value_Integer(amount(payload)), sequence, time, account)
        case "MoneyWithdrawn":
            return operation("move_money", Value_Integer(-amount(payload)), sequence, time, account)
        case "AccountRenamed":
            return operation("rename", owner(payload), sequence, time, account)
        case "AccountClosed":
            return operation("close", account)
    raise Rejected(Rejection_Unsupported(f"the event type {event.event_type} is not known"))


class Projector(exports.Projector):
    def describe(self) -> Manifest:
        return Manifest(
            name="accounts-py",
            version="0.1.0",
            event_types=["AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountRenamed", "AccountClosed"],
            ordering=Ordering.AGGREGATE,
            commutative=False,
            tables=[Table("accounts", TABLE)],
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
