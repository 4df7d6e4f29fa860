"""A follower in Python with the official MongoDB driver and PyMySQL, rows and checkpoint in one transaction.

    follow.py 1      a transaction for each event, as it is written first
    follow.py 500    up to 500 events a transaction, many rows a statement, and a thread that reads ahead
"""

import json
import os
import queue
import sys
import threading

import pymysql
from pymongo import MongoClient

from projections import PROJECTIONS

EVENTS_MAX = int(sys.argv[1])
DATABASE = os.environ["BENCH_DATABASE"]
project, tables, statements = PROJECTIONS[os.environ["BENCH_WORKLOAD"]]


def connect():
    socket = os.environ["BENCH_MYSQL_SOCKET"]
    place = {"unix_socket": socket} if socket else {"host": "127.0.0.1", "port": int(os.environ["BENCH_MYSQL_PORT"])}
    return pymysql.connect(user="root", database=DATABASE, charset="utf8mb4", ssl_disabled=True, **place)


def prepare(connection):
    """Makes the tables, and gives the token to go on from; none at the first start."""
    checkpoint = "checkpoint (id INT NOT NULL PRIMARY KEY, events BIGINT NOT NULL, position TEXT NOT NULL, commits BIGINT NOT NULL)"
    with connection.cursor() as cursor:
        for table in [*tables, checkpoint]:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        cursor.execute("INSERT IGNORE INTO checkpoint VALUES (0, 0, '', 0)")
        cursor.execute("SELECT position FROM checkpoint")
        (position,) = cursor.fetchone()
    connection.commit()
    return json.loads(position) if position else None


def read(outbox, stream, token, found):
    """Puts each event with its position into the queue: history, which has none, then what changes."""
    if token is None:
        for event in outbox.find().sort([("aggregateType", 1), ("aggregateId", 1), ("sequence", 1)]).batch_size(2000):
            found.put((event, ""))
    # Whoever waits for the end of history sees it.
    found.put((None, json.dumps(stream.resume_token) if stream.resume_token else ""))
    for change in stream:
        found.put((change["fullDocument"], change["_id"]))
    os._exit(1)


def apply(connection, events):
    rows = [[] for _ in statements]
    for event, _ in events:
        for number, values in project(event) if event else ():
            rows[number].append(values)
    position = events[-1][1]
    with connection.cursor() as cursor:
        for sql, values in zip(statements, rows):
            if values and sql.startswith("DELETE"):
                cursor.execute(sql, ([key for (key,) in values],))
            elif values:
                cursor.executemany(sql, values)  # PyMySQL makes one statement of the rows
        cursor.execute(
            "UPDATE checkpoint SET events = events + %s, position = %s, commits = commits + 1",
            (sum(event is not None for event, _ in events), position if isinstance(position, str) else json.dumps(position)),
        )
    connection.commit()


def main():
    connection = connect()
    token = prepare(connection)
    outbox = MongoClient(os.environ["BENCH_MONGODB"])[DATABASE].outbox
    only = [{"$match": {"operationType": "insert"}}]
    stream = outbox.watch(only, start_after=token, batch_size=2000, max_await_time_ms=1000)
    found = queue.Queue(maxsize=4 * EVENTS_MAX)
    threading.Thread(target=read, args=(outbox, stream, token, found), daemon=True).start()
    while True:
        events = [found.get()]
        try:
            while len(events) < EVENTS_MAX:
                events.append(found.get_nowait())
        except queue.Empty:
            pass
        apply(connection, events)


main()
