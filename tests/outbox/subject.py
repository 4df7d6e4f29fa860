"""The outbox in Python, as the compliance suite asks it: a line of JSON in, a line of JSON out."""

import json
import sys

sys.path.insert(0, sys.argv[1])

from outbox import Event, Outbox, Projections, Store, Watch
from pymongo import MongoClient


class Refused(Exception):
    pass


client = outbox = None
attempts = 0


def deposited(account, amount):
    payload = {"amountCents": amount, "balanceCents": account["balanceCents"]}
    return Event("MoneyDeposited", "account", account["_id"], account["sequence"], payload)


def nested(levels):
    return {"in": nested(levels - 1)} if levels > 1 else {}


def made(type, aggregateType, aggregateId, sequence, payload=None, payloadBytes=None, payloadLevels=None, **more):
    if payloadBytes:
        payload = {"text": "x" * (payloadBytes - len('{"text":""}'))}
    if payloadLevels:
        payload = nested(payloadLevels)
    return Event(type, aggregateType, aggregateId, sequence, payload, **more)


def open_account(transaction, account, owner):
    opened = transaction.create("accounts", {"_id": account, "owner": owner, "balanceCents": 0})
    payload = {"owner": owner, "balanceCents": 0}
    return 0, [Event("AccountOpened", "account", account, opened["sequence"], payload)]


def deposit(transaction, account, amount, sequence=None):
    changed = transaction.change("accounts", account, sequence, {"$inc": {"balanceCents": amount}})
    return changed["balanceCents"], [deposited(changed, amount)]


def withdraw(transaction, account, amount):
    before = transaction["accounts"].find_one({"_id": account})
    after = transaction.change("accounts", account, before["sequence"], {"$inc": {"balanceCents": -amount}})
    if after["balanceCents"] < 0:
        raise Refused(f"{before['balanceCents']} is less than {amount}")
    payload = {"amountCents": amount, "balanceCents": after["balanceCents"]}
    return after["balanceCents"], [Event("MoneyWithdrawn", "account", account, after["sequence"], payload)]


def close(transaction, account, sequence):
    following = transaction.remove("accounts", account, sequence)
    return following, [Event("AccountClosed", "account", account, following, {})]


def emit(transaction, account, event):
    transaction.change("accounts", account, None, {})
    return None, [made(**event)]


def leave_out(transaction, account, hide, aside):
    try:
        client[outbox.database.name][aside].insert_one({"_id": account})
    except Exception:
        if not hide:
            raise
    changed = transaction.change("accounts", account, None, {"$inc": {"balanceCents": 1}})
    return None, [deposited(changed, 1)]


def connect(uri, database):
    global client, outbox
    client = MongoClient(uri, event_listeners=[Watch()])
    outbox = Outbox(client, database)


def append(id, sequence, events, command=None):
    return vars(Store(outbox).append("transfer", id, sequence, events, command=command))


def load(id):
    return Store(outbox).load("transfer", id, 0, lambda total, event: total + event["payload"].get("amount", 0))


work = {"open": open_account, "deposit": deposit, "withdraw": withdraw, "close": close, "emit": emit, "leaveOut": leave_out}
answer = {
    "connect": connect,
    "unwatched": lambda uri, database: Outbox(MongoClient(uri), database) and None,
    "ensure": lambda: outbox.ensure(),
    "wait": lambda url, token, projection, id, patience: Projections(url, token).wait(projection, id, patience / 1000),
    "append": append,
    "load": load,
    "snapshot": lambda id, sequence, state: Store(outbox).snapshot("transfer", id, sequence, state),
}


def ask(request):
    global attempts
    attempts = 0
    what = request.pop("do")
    if what not in work:
        return answer[what](**request)
    cause = {name: request.pop(name, None) for name in ("command", "traceparent")}

    def counted(transaction):
        global attempts
        attempts += 1
        return work[what](transaction, **request)

    return vars(outbox.with_outbox(counted, **cause)) | {"attempts": attempts}


for line in sys.stdin:
    try:
        answered = {"ok": ask(json.loads(line))}
    except Exception as error:
        answered = {"error": type(error).__name__, "says": str(error), "attempts": attempts} | vars(error)
    print(json.dumps(answered, default=str), flush=True)
