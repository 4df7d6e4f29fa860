// One row for each open bank account: the same projector as plugins/accounts, in JavaScript.
//
// Integers that come from an event's payload are plain numbers, exact up to 2^53 - 1; larger ones arrive as
// {"$numberLong": "..."}. Parameters that are integers go out as decimals, which MySQL takes for any integer column.

const TABLE = `CREATE TABLE accounts (
    account_id VARCHAR(64) NOT NULL,
    owner VARCHAR(200) NOT NULL,
    balance_cents BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    opened_at DATETIME(3) NOT NULL,
    updated_at DATETIME(3) NOT NULL,
    PRIMARY KEY (account_id)
)`;

const STATEMENTS = [
    {
        name: "open",
        sql: "INSERT INTO accounts (account_id, owner, balance_cents, last_sequence, opened_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
    },
    {
        name: "move_money",
        sql: "UPDATE accounts SET balance_cents = balance_cents + ?, last_sequence = ?, updated_at = ? WHERE account_id = ?",
    },
    { name: "rename", sql: "UPDATE accounts SET owner = ?, last_sequence = ?, updated_at = ? WHERE account_id = ?" },
    { name: "close", sql: "DELETE FROM accounts WHERE account_id = ?" },
];

const text = (val) => ({ tag: "text", val });
const timestamp = (val) => ({ tag: "timestamp", val });
const decimal = (val) => ({ tag: "decimal", val: String(val) });

/** An operation by its statement's name. */
function operation(name, ...parameters) {
    return { statement: STATEMENTS.findIndex((statement) => statement.name === name), parameters };
}

/** Why an event is not taken: `invalid`, `unsupported` or `failed`. */
class Rejection extends Error {
    constructor(tag, message) {
        super(message);
        this.rejection = { tag, val: message };
    }
}

function required(value, what) {
    if (value === undefined || value === null) {
        throw new Rejection("invalid", `${what} is missing`);
    }
    return value;
}

function amount(payload) {
    const cents = payload.amountCents;
    if (!Number.isSafeInteger(cents) || cents <= 0) {
        throw new Rejection("invalid", `amountCents is ${cents}, and should be more than 0`);
    }
    return cents;
}

function projectOne(event) {
    const id = text(event.aggregateId);
    const sequence = decimal(required(event.sequence, "sequence"));
    const time = timestamp(required(event.occurredAt, "occurredAt"));
    const payload = JSON.parse(event.payload);
    switch (event.eventType) {
        case "AccountOpened": {
            const owner = text(required(payload.owner, "owner"));
            return [operation("open", id, owner, decimal(payload.balanceCents ?? 0), sequence, time, time)];
        }
        case "MoneyDeposited":
            return [operation("move_money", decimal(amount(payload)), sequence, time, id)];
        case "MoneyWithdrawn":
            return [operation("move_money", decimal(-amount(payload)), sequence, time, id)];
        case "AccountRenamed":
            return [operation("rename", text(required(payload.owner, "owner")), sequence, time, id)];
        case "AccountClosed":
            return [operation("close", id)];
        default:
            throw new Rejection("unsupported", `the event type ${event.eventType} is not known`);
    }
}

export const projector = {
    describe() {
        return {
            name: "accounts-js",
            version: "0.1.0",
            eventTypes: ["AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountRenamed", "AccountClosed"],
            ordering: "aggregate",
            commutative: false,
            tables: [{ name: "accounts", ddl: TABLE }],
            statements: STATEMENTS,
        };
    },

    // An error that leaves this function would end the whole list, so each event's error becomes its own answer.
    project(events) {
        return events.map((event) => {
            try {
                return { tag: "ok", val: projectOne(event) };
            } catch (error) {
                const rejection = error.rejection ?? { tag: "failed", val: `${error}\n${error.stack ?? ""}` };
                return { tag: "err", val: rejection };
            }
        });
    },
};
