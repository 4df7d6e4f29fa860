"""Aggregates that are nothing but their events, on the same outbox. It must keep its documents: `acknowledge = "keep"`."""

from bson.int64 import Int64
from pymongo.errors import DuplicateKeyError

from .errors import Conflict
from .event import Event


class Store:
    def __init__(self, outbox):
        self.outbox = outbox

    def load(self, aggregate_type, aggregate_id, start, apply):
        """The state that events make of a start, or of the newest snapshot: `(state, sequence)`, 0 where there are none."""
        key = {"aggregateType": aggregate_type, "aggregateId": aggregate_id}
        newest = self.outbox.snapshots.find_one({"_id": key}) or {"state": start, "sequence": 0}
        state, sequence = newest["state"], newest["sequence"]
        for event in self.outbox.events.find(key | {"sequence": {"$gt": sequence}}).sort("sequence"):
            state, sequence = apply(state, event), event["sequence"]
        return state, sequence

    def append(self, aggregate_type, aggregate_id, sequence, events, **options):
        """Adds events, `(type, payload)` each, to an aggregate that is at the sequence. Gives the sequence it is at then, as
        the result of `with_outbox`, whose options it takes."""

        def work(transaction):
            key = {"aggregateType": aggregate_type, "aggregateId": aggregate_id}
            last = transaction[self.outbox.events.name].find_one(key, sort=[("sequence", -1)])
            now = last["sequence"] if last else 0
            if now != sequence:
                raise Conflict(f"{aggregate_type}/{aggregate_id} is at sequence {now}, not {sequence}")
            happened = [
                Event(kind, aggregate_type, aggregate_id, number, payload)
                for number, (kind, payload) in enumerate(events, sequence + 1)
            ]
            return sequence + len(happened), happened

        return self.outbox.with_outbox(work, **options)

    def snapshot(self, aggregate_type, aggregate_id, sequence, state):
        """Keeps a state for the next load, unless there is a newer one."""
        key = {"aggregateType": aggregate_type, "aggregateId": aggregate_id}
        older = {"_id": key, "sequence": {"$lt": sequence}}
        try:
            self.outbox.snapshots.replace_one(older, {"sequence": Int64(sequence), "state": state}, upsert=True)
        except DuplicateKeyError:
            pass
