// Parameters of statements. Each function takes what a payload has for it in relaxed Extended JSON, and refuses what
// would not arrive as it was meant.

import { Mistake, invalid, shown } from "./errors.js";

/** A parameter with its type; only the functions of this file make one. */
export class Value {
    constructor(tag, val) {
        this.tag = tag;
        this.val = val;
    }
}

export const NULL = new Value("null");

/** What a function of this file could not take. The statement that gets it refuses it, and so can name itself. */
export class Unusable {
    constructor(mistake) {
        this.mistake = mistake;
    }
}

const typed = (make) => (value) => {
    try {
        return make(value);
    } catch (thrown) {
        if (thrown instanceof Mistake) return new Unusable(thrown);
        throw thrown;
    }
};

const missing = "; is the field missing in this event? `optional(value, type)` makes NULL of it";
const refuse = (type, value, takes) =>
    invalid(`${type}() takes ${takes}, not ${shown(value)}${value === undefined || value === null ? missing : ""}`);
// `{"$key": ...}` is one value, and nothing stands beside it.
const extended = (value, key) => (typeof value === "object" && value !== null ? value[key] : undefined);

/** A string. */
export const text = typed((value) => {
    if (typeof value !== "string") throw refuse("text", value, "a string");
    if (!value.isWellFormed()) {
        throw invalid(
            `text() got a text that was cut inside a character, as \`slice\` and \`substring\` do: ${shown(value.toWellFormed())}; ` +
                'cut it with `Array.from(text).slice(0, 20).join("")`, which counts whole characters',
        );
    }
    return new Value("text", value);
});

/** An id as text: a string, or an ObjectId or UUID of the payload. */
export const id = typed((value) => {
    const uuid = extended(value, "$uuid");
    const binary = extended(value, "$binary");
    if (binary?.subType === "04") {
        const hex = bytesOf(binary.base64, value).reduce((all, byte) => all + byte.toString(16).padStart(2, "0"), "");
        return text(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
    }
    return text(extended(value, "$oid") ?? uuid ?? value);
});

const WHOLE = /^[+-]?\d+$/;
const EXACT = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const digitsOf = (value) => extended(value, "$numberLong") ?? extended(value, "$numberInt");

/** A whole number: a number, a bigint, or a 64-bit integer of the payload. */
export const integer = typed((value) => {
    const takes = "a whole number";
    if (typeof value === "bigint") return new Value("decimal", String(value));
    if (typeof value === "number") {
        if (Number.isSafeInteger(value)) return new Value("decimal", String(value));
        if (!Number.isInteger(value)) throw refuse("integer", value, takes);
        throw invalid(`integer() got ${value}, which is beyond 2^53, where a number is not exact: take a bigint`);
    }
    const digits = digitsOf(value);
    if (!WHOLE.test(String(digits))) throw refuse("integer", value, takes);
    return new Value("decimal", digits);
});

/** An exact number: a Decimal128 of the payload, a whole number, or its digits as a string. */
export const decimal = typed((value) => {
    if (typeof value === "bigint" || Number.isSafeInteger(value)) return new Value("decimal", String(value));
    if (typeof value === "number") {
        throw invalid(
            `decimal() takes an exact number, and ${value} is a double: let the payload have a Decimal128, give ` +
                `\`value.toFixed(2)\`, or take \`number(value)\``,
        );
    }
    const digits = typeof value === "string" ? value : (extended(value, "$numberDecimal") ?? digitsOf(value));
    if (!EXACT.test(String(digits))) throw refuse("decimal", value, "an exact number such as \"12.30\"");
    return new Value("decimal", digits);
});

/** A double. */
export const number = typed((value) => {
    const double = typeof value === "number" ? value : Number(extended(value, "$numberDouble") ?? NaN);
    if (!Number.isFinite(double)) throw refuse("number", value, "a finite number");
    return new Value("number", double);
});

export const boolean = typed((value) => {
    if (typeof value !== "boolean") throw refuse("boolean", value, "true or false");
    return new Value("boolean", value);
});

/** A moment: RFC 3339 text, a date of the payload, or a Date that was made from one. */
export const timestamp = typed((value) => {
    const takes = "RFC 3339 text such as \"2026-01-31T12:00:00Z\", or a date";
    const date = extended(value, "$date");
    const milliseconds = digitsOf(date);
    let moment = date ?? value;
    if (milliseconds !== undefined) moment = new Date(Number(milliseconds));
    if (moment instanceof Date) {
        if (Number.isNaN(moment.getTime())) throw refuse("timestamp", value, takes);
        moment = moment.toISOString();
    }
    if (typeof moment !== "string" || !/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(moment)) {
        throw refuse("timestamp", value, takes);
    }
    return new Value("timestamp", moment);
});

/** Anything that JSON can say, for a JSON column. */
export const json = typed((value) => {
    let written;
    try {
        written = JSON.stringify(value);
    } catch (error) {
        throw invalid(`json() cannot write this value: ${error.message}`);
    }
    if (written === undefined) throw refuse("json", value, "what JSON can say");
    // JSON.stringify escapes the half of a character, and nothing else, like this.
    if (/(^|[^\\])(\\\\)*\\ud[89a-f]/.test(written)) {
        throw invalid(
            'json() got a text that was cut inside a character: cut it with `Array.from(text).slice(0, 20).join("")`, ' +
                "which counts whole characters",
        );
    }
    return new Value("json", written);
});

/** Bytes: a Uint8Array, or binary of the payload. */
export const bytes = typed((value) => {
    if (value instanceof Uint8Array) return new Value("bytes", value);
    const base64 = extended(value, "$binary")?.base64;
    if (typeof base64 !== "string") throw refuse("bytes", value, "a Uint8Array, or binary");
    return new Value("bytes", bytesOf(base64, value));
});

function bytesOf(base64, value) {
    try {
        return Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
    } catch {
        throw refuse("bytes", value, "base64 in $binary");
    }
}

/** NULL where there is no value, and otherwise the value with this type. */
export const optional = (value, type) => (value === undefined || value === null ? NULL : type(value));

/** The field of a payload that has to be there. */
export function needed(payload, name) {
    if (payload?.[name] === undefined || payload[name] === null) throw invalid(`the payload has no ${name}`);
    return payload[name];
}
