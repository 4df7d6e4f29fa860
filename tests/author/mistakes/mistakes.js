import {
    Rejection,
    bytes,
    decimal,
    defineProjector,
    id,
    integer,
    json,
    number,
    optional,
    statements,
    text,
    timestamp,
    update,
} from "./laterna/sdk.js";

const sql = statements({
    save: "INSERT INTO notes (id, body) VALUES (?, ?)",
    change: update("notes", { set: ["body"], key: ["id"] }),
});
const save = (value) => [sql.save(text("a"), value)];

const MISTAKES = {
    forgot: ({ payload }) => [sql.change(payload.name, text("a"))],
    typo: () => [sql.sav(text("a"))],
    count: () => [sql.save(text("a"))],
    none: ({ payload }) => save(payload.nothing),
    missing: ({ payload }) => save(text(payload.nothing)),
    double: () => save(decimal(0.1)),
    fraction: () => save(1.5),
    nan: () => save(number(NaN)),
    large: () => save(integer(2 ** 60)),
    cut: ({ payload }) => save(text(payload.name.slice(0, 3))),
    cut_json: ({ payload }) => save(json({ name: payload.name.slice(0, 3) })),
    date: ({ payload }) => save(timestamp(payload.name)),
    promise: () => Promise.resolve([]),
    nothing: () => {},
    nested: () => [save(text("b"))],
    random: () => save(text(String(Math.random()))),
    clock: () => save(text(String(Date.now()))),
    date_of_today: () => save(timestamp(new Date())),
    key: ({ payload }) => save(text(payload.nothing.deeper)),
    rejects: () => {
        throw new Rejection("invalid", "as it should");
    },
    logs: ({ payload }) => {
        console.log("seen", payload.name, { n: 1 });
        console.warn("cut", "😀".slice(0, 1));
        return sql.save(id(payload.oid), decimal(payload.price));
    },
    values: ({ payload }) => [
        sql.save(timestamp(payload.at), timestamp(payload.old)),
        sql.save(integer(payload.big), bytes(payload.bin)),
        sql.save(timestamp(new Date(payload.at.$date)), optional(payload.none, text)),
        sql.save(text(Array.from(payload.name).slice(0, 3).join("")), json(payload.at)),
    ],
};

export const projector = defineProjector({
    name: "mistakes",
    version: "0.1.0",
    tables: { notes: "CREATE TABLE notes (id VARCHAR(64) PRIMARY KEY, body VARCHAR(200) NULL)" },
    statements: sql,
    events: (event) => MISTAKES[event.payload.do](event),
});
