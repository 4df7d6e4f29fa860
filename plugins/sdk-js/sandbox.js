// What a projector has beside its events: a console, which goes to the host's log, and neither clock nor randomness.
// While the component is built, both give something, as other modules may ask for it when they are loaded.

import * as host from "laterna:projection/log@0.1.0";
import { failed, whole } from "./errors.js";

// QuickJS gives an interface as the default export, other engines give its functions.
const log = host.default ?? host;
let inProject = false;

/** Runs the handling of an event, in which nothing may differ from another time. */
export function projecting(handle) {
    inProject = true;
    try {
        return handle();
    } finally {
        inProject = false;
    }
}

function refuse(what, remedy) {
    if (inProject) throw failed(`${what} differs each time, and the same event must always give the same: ${remedy}`);
}

const random = Math.random;
Math.random = () => {
    refuse("Math.random()", "derive ids from the event's id");
    return random();
};

const Clock = globalThis.Date;
const useTime = "use the event's time, `event.occurredAt`";
globalThis.Date = new Proxy(Clock, {
    construct(date, parameters, made) {
        if (parameters.length === 0) refuse("new Date()", useTime);
        return Reflect.construct(date, parameters, made);
    },
    apply(date) {
        refuse("Date()", useTime);
        return date();
    },
    get(date, name, receiver) {
        if (name === "now") refuse("Date.now()", useTime);
        return Reflect.get(date, name, receiver);
    },
});

function line(parts) {
    const words = parts.map((part) => {
        if (typeof part === "string") return part;
        if (part instanceof Error) return `${part}\n${part.stack ?? ""}`;
        try {
            return JSON.stringify(part) ?? String(part);
        } catch {
            return String(part);
        }
    });
    return whole(words.join(" "));
}

const level = (name) => (...parts) => log.write(name, line(parts));
globalThis.console = {
    debug: level("debug"),
    trace: level("debug"),
    log: level("info"),
    info: level("info"),
    warn: level("warn"),
    error: level("error"),
};
