// What moved on each account, entry by entry and month by month, from the events of `examples/bank`.

import { Rejection, defineProjector, id, insert, integer, needed, optional, statements, text, upsert } from "../sdk-js/sdk.js";

const STATEMENT = `CREATE TABLE statement (
    account_id VARCHAR(64) NOT NULL,
    sequence BIGINT NOT NULL,
    amount_cents BIGINT NOT NULL,
    balance_cents BIGINT NOT NULL,
    transfer_id VARCHAR(64) NULL,
    booked_at DATETIME(3) NOT NULL,
    PRIMARY KEY (account_id, sequence)
)`;

const MONTHS = `CREATE TABLE months (
    account_id VARCHAR(64) NOT NULL,
    month CHAR(7) NOT NULL,
    deposited_cents BIGINT NOT NULL,
    withdrawn_cents BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    PRIMARY KEY (account_id, month)
)`;

const sql = statements({
    book: insert("statement", {
        set: ["account_id", "sequence", "amount_cents", "balance_cents", "transfer_id", "booked_at"],
    }),
    total: upsert("months", {
        key: ["account_id", "month"],
        add: ["deposited_cents", "withdrawn_cents", "entries"],
    }),
});

/** The two rows of an amount that came (1) or went (-1). */
function booked(event, sign) {
    const cents = needed(event.payload, "amountCents");
    if (!Number.isSafeInteger(cents) || cents <= 0) {
        throw new Rejection("invalid", `amountCents is ${JSON.stringify(cents)}, and should be an amount of cents`);
    }
    const account = id(event.aggregateId);
    const [came, went] = sign > 0 ? [cents, 0] : [0, cents];
    return [
        sql.book(
            account,
            integer(event.sequence),
            integer(sign * cents),
            integer(needed(event.payload, "balanceCents")),
            optional(event.metadata.transfer, text),
            event.time,
        ),
        // A month is the one in which it happened, in UTC.
        sql.total(account, text(event.occurredAt.slice(0, 7)), integer(came), integer(went), integer(1)),
    ];
}

export const projector = defineProjector({
    name: "statement",
    version: "0.1.0",
    tables: { statement: STATEMENT, months: MONTHS },
    statements: sql,
    events: {
        MoneyDeposited: (event) => booked(event, 1),
        MoneyWithdrawn: (event) => booked(event, -1),
    },
});
