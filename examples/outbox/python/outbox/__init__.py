"""The writing side of an outbox: a change and what happened, in one transaction of MongoDB, or neither."""

from .errors import Conflict, InvalidEvent, SessionLeftOut
from .event import Event
from .store import Store
from .transaction import Outbox, Transaction, Written
from .watch import Watch

__all__ = ["Conflict", "Event", "InvalidEvent", "Outbox", "SessionLeftOut", "Store", "Transaction", "Watch", "Written"]
