"""One row for each customer, with what they ordered.

Modules have to be imported at the top: nothing can be loaded once the component is built.
"""

from typing import List

from laterna import Event, Operation, Statements, define_projector, integer, needed, optional, text, update, upsert

TABLE = """CREATE TABLE customers (
    customer_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    email VARCHAR(200) NULL,
    orders INT NOT NULL DEFAULT 0,
    total_cents BIGINT NOT NULL DEFAULT 0,
    changed_at DATETIME(3) NOT NULL,
    PRIMARY KEY (customer_id)
)"""

# All SQL there will ever be. The host checks it before the projector is deployed.
SQL = Statements(
    save=upsert("customers", key=["customer_id"], set=["name", "email", "changed_at"]),
    rename=update("customers", set=["name", "changed_at"], key=["customer_id"]),
    # What the functions do not say is written as text.
    count_order="UPDATE customers SET orders = orders + 1, total_cents = total_cents + ?, changed_at = ? "
    "WHERE customer_id = ?",
    forget="DELETE FROM customers WHERE customer_id = ?",
)


# What follows from each event: statements, with their parameters in the order of the `?`. The same event must always
# give the same: there is no clock but the event's own.


def registered(event: Event) -> List[Operation]:
    name, email = needed(event.payload, "name"), event.payload.get("email")
    return [SQL.save(text(event.aggregate_id), text(name), optional(email, text), event.time)]


def renamed(event: Event) -> List[Operation]:
    return [SQL.rename(text(needed(event.payload, "name")), event.time, text(event.aggregate_id))]


def ordered(event: Event) -> List[Operation]:
    cents = needed(event.payload, "totalCents")
    return [SQL.count_order(integer(cents), event.time, text(event.aggregate_id))]


def forgotten(event: Event) -> List[Operation]:
    return [SQL.forget(text(event.aggregate_id))]


Projector = define_projector(
    name="my-projector",
    version="0.1.0",
    tables={"customers": TABLE},
    statements=SQL,
    events={
        "CustomerRegistered": registered,
        "CustomerRenamed": renamed,
        "OrderPlaced": ordered,
        "CustomerForgotten": forgotten,
    },
)
