"""The writing side of an outbox: a change and what happened, in one transaction of MongoDB, or neither."""

from .errors import Conflict, DeadLetter, InvalidEvent, NoAnswer, SessionLeftOut, StillPending
from .event import Event
from .store import Store
from .transaction import Outbox, Transaction, Written
from .wait import Projections
from .watch import Watch

__all__ = [
    "Conflict",
    "DeadLetter",
    "Event",
    "InvalidEvent",
    "NoAnswer",
    "Outbox",
    "Projections",
    "SessionLeftOut",
    "StillPending",
    "Store",
    "Transaction",
    "Watch",
    "Written",
]
