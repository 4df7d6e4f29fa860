// What goes wrong in a projector, and where in its own code that was.

/** The folder of the SDK, whose own lines are left out of a place. */
const OWN = /^\/?laterna\//;

/** Why an event is not taken: `invalid`, `unsupported` or `failed`. It becomes a dead letter with this reason. */
export class Rejection extends Error {
    constructor(kind, reason) {
        super(reason);
        this.name = "Rejection";
        this.kind = kind;
    }
}

/** A rejection that is the fault of a value, or of the code that gives it, and so names the line. */
export class Mistake extends Rejection {}

export const invalid = (reason) => new Mistake("invalid", reason);
export const failed = (reason) => new Mistake("failed", reason);

/** The lines of the author in a stack, as `projector.js:31:9`, innermost first. */
export function places(stack) {
    const found = [];
    for (const line of String(stack ?? "").split("\n")) {
        const frame = /^\s*at (?:(.*) \()?([^()]+?):(\d+)(?::(\d+))?\)?$/.exec(line);
        if (!frame) continue;
        const [, name, file, row, column] = frame;
        const place = original(file.replace(/^\/+/, ""), Number(row), Number(column ?? 0));
        if (!OWN.test(place)) found.push(name && name !== "<anonymous>" ? `${name} (${place})` : place);
    }
    return found;
}

// A bundle has other lines than its sources; the script that made it left a table of both.
function original(file, row, column) {
    const lines = globalThis.laternaLines?.rows[row - 1];
    if (!lines) return `${file}:${row}`;
    let at = 0;
    while (at + 1 < lines.length && lines[at + 1][0] < column) at += 1;
    const [, source, line] = lines[at];
    return `${globalThis.laternaLines.sources[source]}:${line}`;
}

/** The answer to an event whose handling threw this. */
export function rejected(thrown) {
    if (thrown instanceof Rejection) {
        const place = thrown instanceof Mistake ? places(thrown.stack).slice(0, 1) : [];
        return { tag: thrown.kind, val: whole([thrown.message, ...place.map((line) => `  at ${line}`)].join("\n")) };
    }
    const lines = places(thrown?.stack).map((line) => `  at ${line}`);
    return { tag: "failed", val: whole([String(thrown), ...lines].join("\n")) };
}

/** Text that can leave the component: a cut character becomes a question mark in a box. */
export const whole = (text) => text.toWellFormed();

/** A value as it is shown in a message. */
export function shown(value) {
    if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return "a function";
    if (typeof value === "object" && value !== null) {
        try {
            const text = JSON.stringify(value);
            return text.length > 80 ? `${text.slice(0, 80)}…` : text;
        } catch {
            return "an object";
        }
    }
    return String(value);
}
