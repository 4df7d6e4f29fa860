"""The outbox pattern with pymongo: an account and what happened to it, in one transaction."""

import os
import uuid
from datetime import datetime, timezone

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from pymongo import ASCENDING, MongoClient

client = MongoClient(os.environ.get("MONGODB_URI", "mongodb://127.0.0.1:27017/?replicaSet=rs0"))
# `standard` stores a UUID as binary of subtype 4, the one that all languages read.
options = CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)
bank = client.get_database(os.environ.get("MONGODB_DATABASE", "bank"), codec_options=options)


class Conflict(Exception):
    """Another writer was faster: read the account again, and decide again."""


def event(kind, account_id, sequence, payload):
    """An outbox document. Make it before the transaction: its id is what a repeated write is known by."""
    return {
        "_id": uuid.uuid4(),
        "type": kind,
        "version": 1,
        "aggregateType": "account",
        "aggregateId": account_id,
        "sequence": Int64(sequence),
        "occurredAt": datetime.now(timezone.utc),
        "payload": payload,
        "metadata": {"source": "outbox-python"},
    }


def open_account(owner):
    account_id = f"account-{uuid.uuid4()}"
    opened = event("AccountOpened", account_id, 1, {"owner": owner, "balanceCents": Int64(0)})

    def transaction(session):
        account = {"_id": account_id, "owner": owner, "balanceCents": Int64(0), "sequence": Int64(1)}
        bank.accounts.insert_one(account, session=session)
        bank.outbox.insert_one(opened, session=session)

    # Repeats the transaction, or its commit, where MongoDB's error says that it may.
    with client.start_session() as session:
        session.with_transaction(transaction)
    return account_id


def deposit(account_id, amount_cents):
    account = bank.accounts.find_one({"_id": account_id})
    sequence, balance = account["sequence"] + 1, Int64(account["balanceCents"] + amount_cents)
    payload = {"amountCents": Int64(amount_cents), "balanceCents": balance}
    deposited = event("MoneyDeposited", account_id, sequence, payload)

    def transaction(session):
        before = {"_id": account_id, "sequence": account["sequence"]}
        change = {"$set": {"balanceCents": balance, "sequence": Int64(sequence)}}
        if bank.accounts.update_one(before, change, session=session).matched_count == 0:
            raise Conflict(account_id)
        bank.outbox.insert_one(deposited, session=session)

    with client.start_session() as session:
        session.with_transaction(transaction)


if __name__ == "__main__":
    bank.outbox.create_index([("aggregateType", ASCENDING), ("aggregateId", ASCENDING), ("sequence", ASCENDING)])
    ada = open_account("Ada Lovelace")
    deposit(ada, 12_50)
    for document in bank.outbox.find({"aggregateId": ada}).sort("sequence"):
        print(document["sequence"], document["type"], document["payload"])
