/** Laterna's SDK for JavaScript and TypeScript. */

/** A parameter of a statement, with its type. */
export interface Value {
    readonly tag: string;
}

/** A statement with its parameters. */
export interface Operation {
    readonly statement: number;
}

/** An event in another form, as an upcaster gives it. */
export interface Become {
    readonly raw: unknown;
}

/** One event of the outbox. */
export interface Event<Payload = any> {
    /** The id of the outbox document, as text. */
    readonly id: string;
    /** What happened, e.g. `AccountOpened`. */
    readonly type: string;
    /** The version of the payload's shape; 1 where the document has none. */
    readonly version: number;
    readonly aggregateType: string;
    readonly aggregateId: string;
    /** The event's number within its aggregate, where it has one. */
    readonly sequence: number | undefined;
    /** RFC 3339 in UTC, where the event has a time. */
    readonly occurredAt: string | undefined;
    /** `occurredAt` as a parameter. An event without a time is rejected as invalid. */
    readonly time: Value;
    /** Relaxed Extended JSON: strings, booleans and numbers are themselves, the rest are objects such as `{ $date }`. */
    readonly payload: Payload;
    readonly metadata: any;
    /** The same event with another type, version, payload or metadata: what an upcaster returns. */
    become(other: { type?: string; version?: number; payload?: unknown; metadata?: unknown }): Become;
}

export type DateField = { $date: string | { $numberLong: string } };
export type Decimal128 = { $numberDecimal: string };
export type Long = number | { $numberLong: string };
export type ObjectId = { $oid: string };
export type Binary = { $binary: { base64: string; subType: string } };

/** A function for each statement. Its parameters are in the order of the `?`. */
export type Statements<Names extends string> = { readonly [Name in Names]: (...parameters: Value[]) => Operation };

/** All SQL there will ever be. */
export function statements<Names extends string>(sql: Record<Names, string>): Statements<Names>;

/** `INSERT`: a new row. Parameters: `set`. */
export function insert(table: string, columns: { set: string[] }): string;
/** A row that is made, or changed where one of this key is there. Parameters: `key`, `add`, `set`. */
export function upsert(table: string, columns: { key: string[]; add?: string[]; set?: string[] }): string;
/** Parameters: `add`, `set`, `key`. */
export function update(table: string, columns: { key: string[]; add?: string[]; set?: string[] }): string;
/** `DELETE`. Parameters: `key`. */
export function remove(table: string, columns: { key: string[] }): string;

export type Handler = (event: Event) => Operation | Operation[];
export type UpcastHandler = (event: Event) => Event | Become | (Event | Become)[];

/** A projector: `export const projector = defineProjector({ ... })`. */
export function defineProjector(projector: {
    name: string;
    version: string;
    /** The default is "aggregate": in order within each aggregate. "stream": in order over all of them. */
    ordering?: "aggregate" | "stream";
    /** The rows come out the same whichever aggregate's events are applied first. The default is false. */
    commutative?: boolean;
    /** A plain CREATE TABLE for each table. */
    tables: Record<string, string>;
    /** What `statements` made. */
    statements: Statements<string>;
    /** A function for each event type, or one for all types. */
    events: Record<string, Handler> | Handler;
}): unknown;

/** An upcaster: `export const upcasting = defineUpcaster({ ... })`. */
export function defineUpcaster(upcaster: {
    name: string;
    version: string;
    events: Record<string, UpcastHandler> | UpcastHandler;
}): unknown;

/** Why an event is not taken. It becomes a dead letter with this reason. */
export class Rejection extends Error {
    constructor(kind: "invalid" | "unsupported" | "failed", reason: string);
}

export const NULL: Value;
export function text(value: string): Value;
/** An id as text: a string, or an ObjectId or UUID of the payload. */
export function id(value: string | ObjectId | Binary | { $uuid: string }): Value;
/** A whole number. Beyond 2^53: a bigint, or what the payload has. */
export function integer(value: Long | bigint | { $numberInt: string }): Value;
/** An exact number: a Decimal128 of the payload, a whole number, or its digits. */
export function decimal(value: Decimal128 | Long | bigint | string): Value;
/** A double. */
export function number(value: number | { $numberDouble: string }): Value;
export function boolean(value: boolean): Value;
/** RFC 3339 text, a date of the payload, or a Date that was made from one. */
export function timestamp(value: string | DateField | Date): Value;
export function json(value: unknown): Value;
export function bytes(value: Uint8Array | Binary): Value;
/** NULL where there is no value, and otherwise the value with this type. */
export function optional<T>(value: T | null | undefined, type: (value: T) => Value): Value;
/** The field of a payload that has to be there. */
export function needed<T, Name extends keyof T>(payload: T, name: Name): NonNullable<T[Name]>;

declare global {
    /** Writes to the host's log, with the projection and the event. */
    var console: Record<"debug" | "trace" | "log" | "info" | "warn" | "error", (...parts: unknown[]) => void>;
}
