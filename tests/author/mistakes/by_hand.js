// A projector on the contract alone, without the SDK.

const MISTAKES = {
    cut: (payload) => [{ statement: 0, parameters: [{ tag: "text", val: payload.name.slice(0, 3) }] }],
    typo: () => [{ statement: ["save"].indexOf("sav"), parameters: [] }],
};

export const projector = {
    describe: () => ({
        name: "by-hand",
        version: "0.1.0",
        eventTypes: [],
        ordering: "aggregate",
        commutative: false,
        tables: [{ name: "notes", ddl: "CREATE TABLE notes (id VARCHAR(64) PRIMARY KEY)" }],
        statements: [{ name: "save", sql: "INSERT INTO notes (id) VALUES (?)" }],
    }),
    project: (events) =>
        events.map((event) => {
            const payload = JSON.parse(event.payload);
            return { tag: "ok", val: MISTAKES[payload.do](payload) };
        }),
};
