"""The benchmark's read models for Python: tables, statements in the order in which a batch sends them, and what an event
becomes: numbers of statements, each with its values.

A row is there before it is changed, and none comes back, so that upserts do for updates, and a batch can go statement by
statement.
"""

ACCOUNT = "(account_id, owner, balance_cents, last_sequence, opened_at, updated_at)"
NEWEST = (
    "last_sequence = GREATEST(last_sequence, VALUES(last_sequence)), "
    "updated_at = GREATEST(updated_at, VALUES(updated_at))"
)


def balances(event):
    if event["type"] in ("AccountRenamed", "AccountClosed"):
        return
    payload = event["payload"]
    yield 0, (
        event["aggregateId"], event["type"], payload.get("amountCents", 0), payload.get("balanceCents", 0),
        event["sequence"], event["occurredAt"],
    )  # fmt: skip


def orders(event):
    payload, lines = event["payload"], event["payload"]["lines"]
    yield 0, (event["aggregateId"], payload["customer"], len(lines), payload["totalCents"], event["occurredAt"])
    for number, line in enumerate(lines, 1):
        yield 1, (event["aggregateId"], number, line["sku"], line["quantity"], line["priceCents"])


def counters(event):
    yield 0, (event["aggregateId"], event["payload"]["by"], event["sequence"])


def customers(event):
    payload = event["payload"]
    yield 0, (event["aggregateId"], payload["city"], payload["street"], event["sequence"], event["occurredAt"])


def sessions(event):
    if event["type"] == "SessionClosed":
        yield 1, (event["aggregateId"],)
    else:
        yield 0, (event["aggregateId"], event["payload"]["visitor"], event["occurredAt"])


def accounts(event):
    key, payload, at = event["aggregateId"], event["payload"], event["occurredAt"]
    match event["type"]:
        case "AccountOpened":
            yield 0, (key, payload["owner"], payload["balanceCents"], event["sequence"], at, at)
        case "AccountRenamed":
            yield 2, (key, payload["owner"], event["sequence"], at)
        case "AccountClosed":
            yield 3, (key,)
        case _:
            yield 1, (key, payload["balanceCents"], event["sequence"], at)


KEY, NAME, NUMBER, TIME = "VARCHAR(64) NOT NULL PRIMARY KEY", "VARCHAR(64) NOT NULL", "BIGINT NOT NULL", "DATETIME(3) NOT NULL"

BALANCES = (
    balances,
    [f"balances (account_id {KEY}, last_event {NAME}, amount_cents {NUMBER}, balance_cents {NUMBER}, "
     f"last_sequence {NUMBER}, updated_at {TIME})"],
    ["INSERT INTO balances (account_id, last_event, amount_cents, balance_cents, last_sequence, updated_at) "
     "VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE last_event = VALUES(last_event), "
     "amount_cents = VALUES(amount_cents), balance_cents = VALUES(balance_cents), "
     "last_sequence = VALUES(last_sequence), updated_at = VALUES(updated_at)"],
)  # fmt: skip

PROJECTIONS = {
    "upserts": BALANCES,
    "large": BALANCES,
    "hot": BALANCES,
    "steps": BALANCES,
    "orders": (
        orders,
        [f"orders (order_id {KEY}, customer {NAME}, line_count {NUMBER}, total_cents {NUMBER}, placed_at {TIME})",
         f"order_lines (order_id {NAME}, line {NUMBER}, sku {NAME}, quantity {NUMBER}, price_cents {NUMBER}, "
         "PRIMARY KEY (order_id, line))"],
        ["INSERT INTO orders (order_id, customer, line_count, total_cents, placed_at) VALUES (%s, %s, %s, %s, %s)",
         "INSERT INTO order_lines (order_id, line, sku, quantity, price_cents) VALUES (%s, %s, %s, %s, %s)"],
    ),
    "counters": (
        counters,
        [f"counters (counter_id {KEY}, n {NUMBER}, last_sequence {NUMBER})"],
        ["INSERT INTO counters (counter_id, n, last_sequence) VALUES (%s, %s, %s) "
         "ON DUPLICATE KEY UPDATE n = n + VALUES(n), last_sequence = VALUES(last_sequence)"],
    ),
    "updates": (
        customers,
        [f"customers (customer_id {KEY}, city {NAME}, street {NAME}, last_sequence {NUMBER}, updated_at {TIME})"],
        ["INSERT INTO customers (customer_id, city, street, last_sequence, updated_at) VALUES (%s, %s, %s, %s, %s) "
         "ON DUPLICATE KEY UPDATE city = VALUES(city), street = VALUES(street), "
         "last_sequence = VALUES(last_sequence), updated_at = VALUES(updated_at)"],
    ),
    "deletes": (
        sessions,
        [f"sessions (session_id {KEY}, visitor {NAME}, opened_at {TIME})"],
        ["INSERT INTO sessions (session_id, visitor, opened_at) VALUES (%s, %s, %s)",
         "DELETE FROM sessions WHERE session_id IN %s"],
    ),
    "bank": (
        accounts,
        [f"accounts (account_id {KEY}, owner VARCHAR(200) NOT NULL, balance_cents {NUMBER}, last_sequence {NUMBER}, "
         f"opened_at {TIME}, updated_at {TIME})"],
        [f"INSERT INTO accounts {ACCOUNT} VALUES (%s, %s, %s, %s, %s, %s)",
         f"INSERT INTO accounts {ACCOUNT} VALUES (%s, '', %s, %s, '2026-01-01', %s) "
         f"ON DUPLICATE KEY UPDATE balance_cents = VALUES(balance_cents), {NEWEST}",
         f"INSERT INTO accounts {ACCOUNT} VALUES (%s, %s, 0, %s, '2026-01-01', %s) "
         f"ON DUPLICATE KEY UPDATE owner = VALUES(owner), {NEWEST}",
         "DELETE FROM accounts WHERE account_id IN %s"],
    ),
}  # fmt: skip
