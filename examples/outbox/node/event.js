// An event, and what the host takes for one: docs/events.md. Whatever it would park is refused before it is written.

import { BSON, Long, ObjectId, UUID } from 'mongodb';
import { InvalidEvent } from './errors.js';

/** What happened, to whom, as which of its events. The transaction adds id, time and where it was caused. */
export function event(type, aggregateType, aggregateId, sequence, payload, { version = 1, metadata = {} } = {}) {
  return { type, version, aggregateType, aggregateId, sequence, payload, metadata };
}

const NESTED_MAX = 100;

/** The outbox document of an event. */
export function document(event, id, occurredAt, traceparent, payloadBytesMax) {
  text('type', event.type, 128);
  text('aggregateType', event.aggregateType, 128);
  const aggregateId = identity('aggregateId', event.aggregateId);
  const version = whole('version', event.version, 0xffff_ffff);
  const sequence = whole('sequence', event.sequence, Number.MAX_SAFE_INTEGER);
  if (event.payload === undefined) throw new InvalidEvent('`payload` is missing');
  const metadata = { ...(traceparent && { traceparent }), ...event.metadata };
  json('payload', event.payload, payloadBytesMax);
  json('metadata', metadata, payloadBytesMax);
  return { ...event, _id: id, version: long(version), aggregateId, sequence: long(sequence), occurredAt, metadata };
}

function text(name, value, most) {
  if (typeof value !== 'string') throw new InvalidEvent(`\`${name}\` is of type ${kind(value)}, not a string`);
  const bytes = Buffer.byteLength(value);
  if (bytes < 1 || bytes > most) throw new InvalidEvent(`\`${name}\` has ${bytes} bytes; it has 1 to ${most}`);
}

function identity(name, value) {
  if (value instanceof ObjectId || value instanceof UUID || value instanceof Long) return value;
  if (Number.isSafeInteger(value)) return long(value);
  if (typeof value !== 'string') {
    throw new InvalidEvent(`\`${name}\` is of type ${kind(value)}, not a string, an ObjectId, a UUID or an integer`);
  }
  text(name, value, 512);
  return value;
}

/** A large number would become a double. */
const long = (number) => Long.fromNumber(number);

function whole(name, value, most) {
  const number = value instanceof Long ? value.toNumber() : value;
  if (!Number.isSafeInteger(number)) throw new InvalidEvent(`\`${name}\` is of type ${kind(value)}, not an integer`);
  if (number < 0 || number > most) throw new InvalidEvent(`\`${name}\` is ${number}; it is 0 to ${most}`);
  return number;
}

/** The host makes JSON of it, relaxed Extended JSON with large integers as text, and has room for so much. */
function json(name, value, most) {
  const bytes = size(name, value, 1);
  if (bytes <= most) return;
  throw new InvalidEvent(`\`${name}\` has ${bytes} bytes as JSON, at most ${most}: store what is large, and its id here`);
}

function size(name, value, level) {
  if (value === null || typeof value !== 'object' || value._bsontype || value instanceof Date) return leaf(value);
  if (level > NESTED_MAX) throw new InvalidEvent(`\`${name}\` nests deeper than ${NESTED_MAX} levels`);
  const parts = Array.isArray(value)
    ? value.map((part) => size(name, part, level + 1))
    : Object.entries(value).map(([key, part]) => leaf(key) + 1 + size(name, part, level + 1));
  return parts.reduce((sum, part) => sum + part, 2 + Math.max(0, parts.length - 1));
}

function leaf(value) {
  const large = typeof value === 'bigint' || (value instanceof Long && !Number.isSafeInteger(value.toNumber()));
  const bytes = Buffer.byteLength(BSON.EJSON.stringify(value ?? null, { relaxed: !large }));
  // Numbers that are no int32 are stored as doubles, and whole ones keep their point.
  return Number.isInteger(value) && (value !== (value | 0) || Object.is(value, -0)) ? bytes + 3 : bytes;
}

function kind(value) {
  return value === null ? 'null' : (value?._bsontype ?? value?.constructor?.name ?? typeof value);
}
