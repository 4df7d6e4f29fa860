// Laterna's SDK for JavaScript and TypeScript. `sdk.d.ts` describes it.

import "./sandbox.js";
import { Rejection, failed, rejected, shown } from "./errors.js";
import { projecting } from "./sandbox.js";
import { Operation, declarations } from "./statements.js";
import { timestamp } from "./values.js";

export { Rejection } from "./errors.js";
export { insert, remove, statements, update, upsert } from "./statements.js";
export {
    NULL,
    boolean,
    bytes,
    decimal,
    id,
    integer,
    json,
    needed,
    number,
    optional,
    text,
    timestamp,
} from "./values.js";

/** An event, with its payload and metadata read from JSON when they are asked for. */
class Event {
    #raw;
    #payload;

    constructor(raw) {
        this.#raw = raw;
        this.id = raw.id;
        this.type = raw.eventType;
        this.version = raw.version;
        this.aggregateType = raw.aggregateType;
        this.aggregateId = raw.aggregateId;
        this.sequence = raw.sequence ?? undefined;
        this.occurredAt = raw.occurredAt ?? undefined;
    }

    get payload() {
        this.#payload ??= JSON.parse(this.#raw.payload);
        return this.#payload;
    }

    get metadata() {
        return JSON.parse(this.#raw.metadata);
    }

    /** When it happened, as a parameter. */
    get time() {
        if (this.occurredAt === undefined) throw new Rejection("invalid", "the event has no time");
        return timestamp(this.occurredAt);
    }

    /** The same event in another form, for an upcaster. */
    become({ type = this.type, version = this.version, payload, metadata }) {
        const json = (value, before) => (value === undefined ? before : JSON.stringify(value));
        return new Become({
            ...this.#raw,
            eventType: type,
            version,
            payload: json(payload, this.#raw.payload),
            metadata: json(metadata, this.#raw.metadata),
        });
    }
}

class Become {
    constructor(raw) {
        this.raw = raw;
    }
}

/** What a handler returned, as a list of this class. */
function listOf(answer, kind, handler, what) {
    const whose = `the handler of ${handler}`;
    if (typeof answer?.then === "function") {
        throw failed(`${whose} is async: there is nothing to wait for in a projector, so make it a plain function`);
    }
    const list = answer instanceof kind ? [answer] : answer;
    if (!Array.isArray(list)) throw failed(`${whose} has to return ${what}, \`[]\` for none, and returned ${shown(answer)}`);
    list.forEach((item, at) => {
        if (!(item instanceof kind)) throw failed(`${whose} has to return ${what}, and item ${at} is ${shown(item)}`);
    });
    return list;
}

/** The handler of each event type, or one for all. */
function handlersOf(events) {
    if (typeof events === "function") return { types: [], find: () => events };
    if (typeof events !== "object" || events === null || Object.keys(events).length === 0) {
        throw new TypeError("`events` is an object with a function for each event type, or one function for all");
    }
    for (const [type, handler] of Object.entries(events)) {
        if (typeof handler !== "function") throw new TypeError(`the handler of ${type} is no function`);
        if (handler.constructor?.name === "AsyncFunction") {
            throw new TypeError(`the handler of ${type} is async: there is nothing to wait for, so make it a plain function`);
        }
    }
    return { types: Object.keys(events), find: (type) => (Object.hasOwn(events, type) ? events[type] : undefined) };
}

/** One answer for each event, so that the error of one is no other's. */
function answers(events, { find }, answer) {
    return events.map((raw) => {
        try {
            return projecting(() => {
                const handler = find(raw.eventType);
                if (!handler) throw new Rejection("unsupported", `${raw.eventType} of version ${raw.version}`);
                const event = new Event(raw);
                return { tag: "ok", val: answer(handler(event), event) };
            });
        } catch (thrown) {
            return { tag: "err", val: rejected(thrown) };
        }
    });
}

const ORDERINGS = ["aggregate", "stream"];

/** A projector, to be exported under the name `projector`. */
export function defineProjector({ name, version, ordering = "aggregate", commutative = false, tables, statements, events }) {
    named(name, version);
    if (!ORDERINGS.includes(ordering)) {
        throw new TypeError(`\`ordering\` is ${shown(ordering)}: it is "aggregate" or "stream"`);
    }
    const sql = declarations(statements);
    if (!sql) throw new TypeError("`statements` is what the function `statements` made: statements: sql");
    const handlers = handlersOf(events);
    const ddl = Object.entries(tables ?? {}).map(([table, text]) => ({ name: table, ddl: text }));
    const manifest = { name, version, eventTypes: handlers.types, ordering, commutative, tables: ddl, statements: sql };
    return {
        describe: () => manifest,
        project: (list) =>
            answers(list, handlers, (answer, event) => listOf(answer, Operation, event.type, "a list of operations")),
    };
}

/** An upcaster, to be exported under the name `upcasting`. */
export function defineUpcaster({ name, version, events }) {
    named(name, version);
    const handlers = handlersOf(events);
    const manifest = { name, version, eventTypes: handlers.types };
    return {
        describe: () => manifest,
        upcast: (list) =>
            answers(list, handlers, (answer, event) => {
                const became = answer === event ? event.become({}) : answer;
                const list = Array.isArray(became) ? became.map((one) => (one === event ? event.become({}) : one)) : became;
                return listOf(list, Become, event.type, "a list of what `event.become` made").map(({ raw }) => raw);
            }),
    };
}

function named(name, version) {
    if (typeof name !== "string" || typeof version !== "string") {
        throw new TypeError("`name` and `version` are texts");
    }
}
