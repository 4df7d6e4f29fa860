// One row for each customer, with what they ordered.

import { defineProjector, integer, needed, optional, statements, text, update, upsert } from "./laterna/sdk.js";

const TABLE = `CREATE TABLE customers (
    customer_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    email VARCHAR(200) NULL,
    orders INT NOT NULL DEFAULT 0,
    total_cents BIGINT NOT NULL DEFAULT 0,
    changed_at DATETIME(3) NOT NULL,
    PRIMARY KEY (customer_id)
)`;

// All SQL there will ever be. The host checks it before the projector is deployed.
const sql = statements({
    save: upsert("customers", { key: ["customer_id"], set: ["name", "email", "changed_at"] }),
    rename: update("customers", { set: ["name", "changed_at"], key: ["customer_id"] }),
    // What the functions do not say is written as text.
    count_order:
        "UPDATE customers SET orders = orders + 1, total_cents = total_cents + ?, changed_at = ? WHERE customer_id = ?",
    forget: "DELETE FROM customers WHERE customer_id = ?",
});

export const projector = defineProjector({
    name: "my-projector",
    version: "0.1.0",
    tables: { customers: TABLE },
    statements: sql,
    // What happens at each event type: the statements that follow from it, with their parameters in the order of the `?`.
    // The same event must always give the same: there is no clock but the event's own.
    events: {
        CustomerRegistered: ({ aggregateId, time, payload }) => [
            sql.save(text(aggregateId), text(needed(payload, "name")), optional(payload.email, text), time),
        ],
        CustomerRenamed: ({ aggregateId, time, payload }) => [
            sql.rename(text(needed(payload, "name")), time, text(aggregateId)),
        ],
        OrderPlaced: ({ aggregateId, time, payload }) => [
            sql.count_order(integer(needed(payload, "totalCents")), time, text(aggregateId)),
        ],
        CustomerForgotten: ({ aggregateId }) => [sql.forget(text(aggregateId))],
    },
});
