"""One transaction for a change and what happened."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from bson.codec_options import CodecOptions
from bson.binary import UuidRepresentation
from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import BulkWriteError, CollectionInvalid, DuplicateKeyError

from .errors import Conflict
from .event import document
from .watch import in_transaction, is_watched

VALIDATOR = json.loads(Path(__file__).with_name("schema.json").read_text())
TAKEN = "these events are written already, or their sequence is taken"
DUPLICATE_KEY = 11000
COMMANDS_KEPT_SECONDS = 30 * 24 * 3600
# `standard` stores a UUID as binary of subtype 4, the one that all languages read.
OPTIONS = CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)


@dataclass(frozen=True)
class Written:
    """What the function gave, the ids to wait for, and whether an earlier call had done it."""

    result: object
    events: list
    repeated: bool


class Outbox:
    """An outbox. The client has a `Watch`; a payload's limit is the host's `payload_bytes_max`."""

    def __init__(self, client, database, collection="outbox", payload_bytes_max=2**20):
        if not is_watched(client):
            raise ValueError("make the client with `event_listeners=[Watch()]`: a write without the session is noticed")
        self.client, self.payload_bytes_max = client, payload_bytes_max
        self.database = client.get_database(database, codec_options=OPTIONS)
        self.events = self.database[collection]
        self.commands = self.database[f"{collection}_commands"]
        self.snapshots = self.database[f"{collection}_snapshots"]

    def ensure(self):
        """Creates the collections with validator and indexes, or brings those that are there to it."""
        for collection in (self.events, self.commands, self.snapshots):
            try:
                self.database.create_collection(collection.name)
            except CollectionInvalid:
                pass
        self.database.command("collMod", self.events.name, validator=VALIDATOR)
        order = [("aggregateType", ASCENDING), ("aggregateId", ASCENDING), ("sequence", ASCENDING)]
        self.events.create_index(order, unique=True)
        self.commands.create_index("at", expireAfterSeconds=COMMANDS_KEPT_SECONDS)

    def with_outbox(self, work, command=None, traceparent=None):
        """One transaction: `work(transaction)` changes something and gives `(result, events)`, which are written with it.
        The driver repeats it where MongoDB says so, so it changes nothing but the database. A command acts once: the
        second time, what the first one gave is given again."""
        # These are made before, so that whatever is repeated writes the same.
        ids, at = [], datetime.now(timezone.utc)

        def attempt(session):
            known = command is not None and self.commands.find_one({"_id": command}, session=session)
            if known:
                return Written(known["result"], known["events"], True)
            result, happened = work(Transaction(self.database, session))
            while len(ids) < len(happened):
                ids.append(uuid.uuid4())
            events = ids[: len(happened)]
            documents = [
                document(event, event_id, at, traceparent, self.payload_bytes_max)
                for event, event_id in zip(happened, events)
            ]
            if documents:
                conflicting(TAKEN, self.events.insert_many, documents, session=session)
            if command is not None:
                self.commands.insert_one({"_id": command, "at": at, "result": result, "events": events}, session=session)
            return Written(result, events, False)

        with self.client.start_session() as session:
            return session.with_transaction(in_transaction(attempt))


class Transaction:
    """What the function works with: everything through it is in the transaction."""

    def __init__(self, database, session):
        self.database, self.session = database, session

    def __getitem__(self, name):
        """A collection whose every call is given the session."""
        return Bound(self.database[name], self.session)

    def create(self, name, document):
        """A new aggregate, whose sequence is 1."""
        created = document | {"sequence": 1}
        conflicting(f"there is a `{document['_id']}` in `{name}` already", self[name].insert_one, created)
        return created

    def change(self, name, aggregate_id, sequence, update):
        """Changes an aggregate that is at the sequence (None: at any), and gives it as it is then: at the next one."""
        before = {"_id": aggregate_id} | ({} if sequence is None else {"sequence": sequence})
        update = update | {"$inc": update.get("$inc", {}) | {"sequence": 1}}
        changed = self[name].find_one_and_update(before, update, return_document=ReturnDocument.AFTER)
        if changed is None:
            raise Conflict(f"`{aggregate_id}` in `{name}` is not at sequence {sequence}, or is not there")
        return changed

    def remove(self, name, aggregate_id, sequence):
        """Removes an aggregate that is at the sequence, and gives the next one, for the event that says so."""
        if self[name].delete_one({"_id": aggregate_id, "sequence": sequence}).deleted_count == 0:
            raise Conflict(f"`{aggregate_id}` in `{name}` is not at sequence {sequence}, or is not there")
        return sequence + 1


class Bound:
    def __init__(self, collection, session):
        self._collection, self._session = collection, session

    def __getattr__(self, name):
        method = getattr(self._collection, name)
        return lambda *values, **options: method(*values, **options | {"session": self._session})


def conflicting(what, write, *values, **options):
    try:
        return write(*values, **options)
    except DuplicateKeyError as error:
        raise Conflict(what) from error
    except BulkWriteError as error:
        if error.details["writeErrors"][0]["code"] == DUPLICATE_KEY:
            raise Conflict(what) from error
        raise
