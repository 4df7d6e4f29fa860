// Statements declared once, and used by name with a checked number of parameters.

import { failed, shown } from "./errors.js";
import { Unusable, Value } from "./values.js";

/** What a statement with its parameters is; only the functions of `statements` make one. */
export class Operation {
    constructor(statement, parameters) {
        this.statement = statement;
        this.parameters = parameters;
    }
}

const declared = new WeakMap();

/** The declarations behind what `statements` made. */
export const declarations = (sql) => declared.get(sql);

/** A function for each statement: `sql.save(text(id), ...)` is the statement `save` with these parameters. */
export function statements(texts) {
    const names = Object.keys(texts);
    const functions = {};
    names.forEach((name, index) => {
        if (typeof texts[name] !== "string") throw new TypeError(`the statement \`${name}\` is no text of SQL`);
        functions[name] = caller(name, index, placeholders(texts[name]));
    });
    const sql = new Proxy(functions, {
        get(all, name) {
            if (Object.hasOwn(all, name)) return all[name];
            if (typeof name === "symbol") return undefined;
            throw failed(`there is no statement \`${name}\`; there are ${names.join(", ")}`);
        },
    });
    declared.set(sql, names.map((name) => ({ name, sql: texts[name] })));
    return sql;
}

function caller(name, index, count) {
    return (...parameters) => {
        if (parameters.length !== count) {
            throw failed(`the statement \`${name}\` takes ${count} parameters, and gets ${parameters.length}`);
        }
        parameters.forEach((parameter, at) => {
            if (parameter instanceof Value) return;
            const where = `statement \`${name}\`, parameter ${at + 1}: `;
            if (!(parameter instanceof Unusable)) throw failed(where + untyped(parameter));
            parameter.mistake.message = where + parameter.mistake.message;
            throw parameter.mistake;
        });
        return new Operation(index, parameters);
    };
}

const TYPES = { string: "text", number: "integer", bigint: "integer", boolean: "boolean", object: "json" };

function untyped(parameter) {
    if (typeof parameter?.then === "function") return "a promise is no value: there is nothing to wait for";
    if (parameter === undefined || parameter === null) {
        return `it is ${parameter}; \`optional(value, text)\` makes NULL of what is missing`;
    }
    if (typeof parameter === "number" && !Number.isInteger(parameter)) {
        return `${parameter} has no type; write \`number(${parameter})\`, or \`decimal(...)\` of exact digits`;
    }
    const type = parameter instanceof Date ? "timestamp" : (TYPES[typeof parameter] ?? "text");
    return `${shown(parameter)} has no type; write \`${type}(...)\``;
}

/** How many `?` a statement has outside of its quotes. */
function placeholders(sql) {
    const plain = sql.replace(/'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`/gs, "");
    return plain.split("?").length - 1;
}

// ---- Everyday statements, from names. Parameters: those of a key first in an upsert, last in an update.

const quoted = (name) => `\`${name}\``;
const list = (names) => names.map(quoted).join(", ");
const where = (key) => key.map((name) => `${quoted(name)} = ?`).join(" AND ");

/** A new row. Parameters: `set`. */
export const insert = (table, { set }) =>
    `INSERT INTO ${quoted(table)} (${list(set)}) VALUES (${set.map(() => "?").join(", ")})`;

/** A row that is made, or changed where one of this key is there. Parameters: `key`, `add`, `set`. */
export function upsert(table, { key, add = [], set = [] }) {
    const changes = [
        ...add.map((name) => `${quoted(name)} = ${quoted(name)} + VALUES(${quoted(name)})`),
        ...set.map((name) => `${quoted(name)} = VALUES(${quoted(name)})`),
    ];
    return `${insert(table, { set: [...key, ...add, ...set] })} ON DUPLICATE KEY UPDATE ${changes.join(", ")}`;
}

/** Parameters: `add`, `set`, `key`. */
export function update(table, { key, add = [], set = [] }) {
    const changes = [
        ...add.map((name) => `${quoted(name)} = ${quoted(name)} + ?`),
        ...set.map((name) => `${quoted(name)} = ?`),
    ];
    return `UPDATE ${quoted(table)} SET ${changes.join(", ")} WHERE ${where(key)}`;
}

/** Parameters: `key`. */
export const remove = (table, { key }) => `DELETE FROM ${quoted(table)} WHERE ${where(key)}`;
