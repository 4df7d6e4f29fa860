"""dlt, for the table `balances`: pages of events that are newer than the last one, merged by account."""

import os

import dlt
import pyarrow
from pymongo import MongoClient

from projections import balances as project

DATABASE = os.environ["BENCH_DATABASE"]
PAGE = 10_000
MYSQL = f"mysql+pymysql://root@127.0.0.1:{os.environ['BENCH_MYSQL_PORT']}/{DATABASE}"
TEXT = {"data_type": "text", "precision": 64}
NUMBER = {"data_type": "bigint"}
# Each column has its own: dlt writes the column's name into what it is given.
COLUMNS = {
    "account_id": dict(TEXT),
    "last_event": dict(TEXT),
    "amount_cents": dict(NUMBER),
    "balance_cents": dict(NUMBER),
    "last_sequence": NUMBER | {"dedup_sort": "desc"},
    "updated_at": {"data_type": "timestamp", "timezone": False, "precision": 3},
}
SCHEMA = pyarrow.schema(
    [(name, {"text": pyarrow.string(), "bigint": pyarrow.int64()}.get(column["data_type"], pyarrow.timestamp("ms")))
     for name, column in COLUMNS.items()]
)  # fmt: skip


def page(rows):
    columns = [pyarrow.array(values, field.type) for values, field in zip(zip(*rows), SCHEMA)]
    return pyarrow.Table.from_arrays(columns, schema=SCHEMA)


@dlt.resource(write_disposition={"disposition": "merge", "strategy": "delete-insert"}, primary_key="account_id", columns=COLUMNS)
def balances(newest=dlt.sources.incremental("updated_at")):
    wanted = {"type": {"$nin": ["AccountRenamed", "AccountClosed"]}}
    if newest.last_value is not None:
        wanted["occurredAt"] = {"$gte": newest.last_value}
    rows = []
    for event in MongoClient(os.environ["BENCH_MONGODB"])[DATABASE].outbox.find(wanted).sort("occurredAt").batch_size(PAGE):
        rows.extend(values for _, values in project(event))
        if len(rows) == PAGE:
            yield page(rows)
            rows = []
    if rows:
        yield page(rows)


dlt.pipeline(
    "bench",
    pipelines_dir=os.environ["BENCH_WORK"],
    destination=dlt.destinations.sqlalchemy(MYSQL),
    dataset_name=DATABASE,
).run(balances())
