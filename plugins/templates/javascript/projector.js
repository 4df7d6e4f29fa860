// One row for each customer, with what they ordered.
//
// The component is made of this file alone. Import other files by a bundler (e.g. esbuild) in the script `build`.

const TABLE = `CREATE TABLE customers (
    customer_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    email VARCHAR(200) NULL,
    orders INT NOT NULL DEFAULT 0,
    total_cents BIGINT NOT NULL DEFAULT 0,
    changed_at DATETIME(3) NOT NULL,
    PRIMARY KEY (customer_id)
)`;

// All SQL there will ever be. The host checks it before the projector is deployed; at run time a statement is named by
// its place in this list, and gets its parameters in the order of its `?`.
const STATEMENTS = {
    save:
        "INSERT INTO customers (customer_id, name, email, changed_at) VALUES (?, ?, ?, ?) " +
        "ON DUPLICATE KEY UPDATE name = VALUES(name), email = VALUES(email), changed_at = VALUES(changed_at)",
    rename: "UPDATE customers SET name = ?, changed_at = ? WHERE customer_id = ?",
    forget: "DELETE FROM customers WHERE customer_id = ?",
    count_order:
        "UPDATE customers SET orders = orders + 1, total_cents = total_cents + ?, changed_at = ? WHERE customer_id = ?",
};

// What happens at each event type: the operations that follow from it.
const HANDLERS = {
    CustomerRegistered: ({ id, time, payload }) => [
        operation("save", text(id), text(needed(payload, "name")), optional(payload.email, text), time),
    ],
    CustomerRenamed: ({ id, time, payload }) => [operation("rename", text(needed(payload, "name")), time, text(id))],
    OrderPlaced: ({ id, time, payload }) => [
        operation("count_order", integer(needed(payload, "totalCents")), time, text(id)),
    ],
    CustomerForgotten: ({ id }) => [operation("forget", text(id))],
};

// The same event must always give the same operations: there is no clock but the event's own.
function projectOne(event) {
    const handler = HANDLERS[event.eventType];
    if (!handler) {
        throw new Rejection("unsupported", `${event.eventType} of version ${event.version}`);
    }
    if (!event.occurredAt) {
        throw new Rejection("invalid", "the event has no time");
    }
    return handler({ id: event.aggregateId, time: timestamp(event.occurredAt), payload: JSON.parse(event.payload) });
}

// ---- Parameters keep their type on the way to MySQL. A JavaScript number is not exact beyond 2^53, so integers go out
// ---- as decimals, and larger ones arrive as {"$numberLong": "..."}.

const text = (val) => ({ tag: "text", val });
const timestamp = (val) => ({ tag: "timestamp", val });
const integer = (val) => {
    const digits = String(val.$numberLong ?? val);
    if (!/^-?\d+$/.test(digits)) {
        throw new Rejection("invalid", `${JSON.stringify(val)} is not an integer`);
    }
    return { tag: "decimal", val: digits };
};
const optional = (value, type) => (value === undefined || value === null ? { tag: "null" } : type(value));

const NAMES = Object.keys(STATEMENTS);
const operation = (name, ...parameters) => ({ statement: NAMES.indexOf(name), parameters });

/** Why an event is not taken: `invalid`, `unsupported` or `failed`. It becomes a dead letter with this reason. */
class Rejection extends Error {
    constructor(tag, reason) {
        super(reason);
        this.rejection = { tag, val: reason };
    }
}

function needed(payload, name) {
    if (payload[name] === undefined || payload[name] === null) {
        throw new Rejection("invalid", `the payload has no ${name}`);
    }
    return payload[name];
}

export const projector = {
    describe() {
        return {
            name: "my-projector",
            version: "0.1.0",
            eventTypes: Object.keys(HANDLERS),
            ordering: "aggregate",
            commutative: false,
            tables: [{ name: "customers", ddl: TABLE }],
            statements: Object.entries(STATEMENTS).map(([name, sql]) => ({ name, sql })),
        };
    },

    // An error that leaves this function would end the whole list, so each event's error becomes its own answer.
    project(events) {
        return events.map((event) => {
            try {
                return { tag: "ok", val: projectOne(event) };
            } catch (error) {
                const failed = { tag: "failed", val: `${error}\n${error.stack ?? ""}` };
                return { tag: "err", val: error.rejection ?? failed };
            }
        });
    },
};
