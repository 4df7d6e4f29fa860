"""Every event of the bank as it was told: who looks for what happened, and in which order, finds it here."""

from typing import List

from laterna import Event, Operation, Statements, define_projector, id, insert, integer, text
from laterna import json as json_value

TABLE = """CREATE TABLE audit (
    event_id VARCHAR(64) NOT NULL,
    event_type VARCHAR(128) NOT NULL,
    aggregate_type VARCHAR(64) NOT NULL,
    aggregate_id VARCHAR(64) NOT NULL,
    sequence BIGINT NOT NULL,
    happened_at DATETIME(3) NOT NULL,
    payload JSON NOT NULL,
    PRIMARY KEY (event_id),
    KEY by_aggregate (aggregate_type, aggregate_id, sequence),
    KEY by_time (happened_at)
)"""

SQL = Statements(
    tell=insert(
        "audit",
        set=["event_id", "event_type", "aggregate_type", "aggregate_id", "sequence", "happened_at", "payload"],
    ),
)


def happened(event: Event) -> List[Operation]:
    return [
        SQL.tell(
            id(event.id),
            text(event.type),
            text(event.aggregate_type),
            id(event.aggregate_id),
            integer(event.sequence),
            event.time,
            json_value(event.payload),
        )
    ]


# One function for all: a type that nobody knows yet is told as well.
Projector = define_projector(
    name="audit",
    version="0.1.0",
    tables={"audit": TABLE},
    statements=SQL,
    events=happened,
)
