// The writing side of an outbox: a change and what happened, in one transaction of MongoDB, or neither.

import { readFileSync } from 'node:fs';
import { BSON, UUID } from 'mongodb';
import { Conflict } from './errors.js';
import { document } from './event.js';
import { inTransaction, watch } from './watch.js';

export * from './errors.js';
export { event } from './event.js';
export { Store } from './store.js';
export { Projections } from './wait.js';

// Its numbers as whole ones of BSON, as other languages write them.
const validator = BSON.EJSON.parse(readFileSync(new URL('./schema.json', import.meta.url), 'utf8'), { relaxed: false });
const TAKEN = 'these events are written already, or their sequence is taken';
const DUPLICATE_KEY = 11000;
const NAMESPACE_EXISTS = 48;
const COMMANDS_KEPT_SECONDS = 30 * 24 * 3600;

export class Outbox {
  /** The client is made with `monitorCommands: true`. A payload's limit is the host's `payload_bytes_max`. */
  constructor(client, database, { collection = 'outbox', payloadBytesMax = 2 ** 20 } = {}) {
    watch(client);
    Object.assign(this, { client, database: client.db(database), collection, payloadBytesMax });
  }

  /** Creates the collections with validator and indexes, or brings those that are there to it. */
  async ensure() {
    const names = [this.collection, `${this.collection}_commands`, `${this.collection}_snapshots`];
    for (const name of names) {
      await this.database.createCollection(name).catch((error) => {
        if (error.code !== NAMESPACE_EXISTS) throw error;
      });
    }
    await this.database.command({ collMod: this.collection, validator });
    const order = { aggregateType: 1, aggregateId: 1, sequence: 1 };
    await this.database.collection(this.collection).createIndex(order, { unique: true });
    await this.database.collection(names[1]).createIndex({ at: 1 }, { expireAfterSeconds: COMMANDS_KEPT_SECONDS });
  }

  /**
   * One transaction: `work(transaction)` changes something and gives `[result, events]`, which are written with it. The
   * driver repeats it where MongoDB says so, so it changes nothing but the database. A command acts once: the second
   * time, what the first one gave is given again. Gives `{ result, events, repeated }`, the ids being what to wait for.
   */
  async withOutbox(work, { command, traceparent } = {}) {
    // These are made before, so that whatever is repeated writes the same.
    const ids = [];
    const at = new Date();
    const outbox = this.database.collection(this.collection);
    const commands = this.database.collection(`${this.collection}_commands`);
    const attempt = async (session) => {
      const known = command !== undefined && (await commands.findOne({ _id: command }, { session }));
      if (known) return { result: known.result, events: known.events, repeated: true };
      const [result, happened] = await work(new Transaction(this.database, session));
      while (ids.length < happened.length) ids.push(new UUID());
      const events = ids.slice(0, happened.length);
      const documents = happened.map((one, n) => document(one, events[n], at, traceparent, this.payloadBytesMax));
      if (documents.length) await conflicting(TAKEN, outbox.insertMany(documents, { session }));
      if (command !== undefined) await commands.insertOne({ _id: command, at, result, events }, { session });
      return { result, events, repeated: false };
    };
    return this.client.withSession((session) =>
      session.withTransaction(() => inTransaction(() => attempt(session))));
  }
}

/** What the function works with: everything through it is in the transaction. */
class Transaction {
  constructor(database, session) {
    Object.assign(this, { database, session });
  }

  /** A collection whose every call is given the session. */
  collection(name) {
    return bound(this.database.collection(name), this.session);
  }

  /** A new aggregate, whose sequence is 1. */
  async create(name, document) {
    const created = { ...document, sequence: 1 };
    const inserted = this.collection(name).insertOne(created);
    await conflicting(`there is a \`${document._id}\` in \`${name}\` already`, inserted);
    return created;
  }

  /** Changes an aggregate that is at the sequence (null: at any), and gives it as it is then: at the next one. */
  async change(name, id, sequence, { $inc, ...update }) {
    const before = sequence === null ? { _id: id } : { _id: id, sequence };
    const next = { ...update, $inc: { ...$inc, sequence: 1 } };
    const changed = await this.collection(name).findOneAndUpdate(before, next, { returnDocument: 'after' });
    if (!changed) throw new Conflict(`\`${id}\` in \`${name}\` is not at sequence ${sequence}, or is not there`);
    return changed;
  }

  /** Removes an aggregate that is at the sequence, and gives the next one, for the event that says so. */
  async remove(name, id, sequence) {
    const { deletedCount } = await this.collection(name).deleteOne({ _id: id, sequence });
    if (!deletedCount) throw new Conflict(`\`${id}\` in \`${name}\` is not at sequence ${sequence}, or is not there`);
    return sequence + 1;
  }
}

/** How many arguments stand before the options. */
const ARGUMENTS = {
  aggregate: 1, countDocuments: 1, deleteMany: 1, deleteOne: 1, distinct: 2, find: 1, findOne: 1, findOneAndDelete: 1,
  findOneAndReplace: 2, findOneAndUpdate: 2, insertMany: 1, insertOne: 1, replaceOne: 2, updateMany: 2, updateOne: 2,
  bulkWrite: 1,
};

function bound(collection, session) {
  const call = (name, count) => [
    name,
    (...all) => {
      const given = [...all.slice(0, count), ...Array(Math.max(0, count - all.length)).fill({})];
      return collection[name](...given, { ...all[count], session });
    },
  ];
  return Object.fromEntries(Object.entries(ARGUMENTS).map(([name, count]) => call(name, count)));
}

async function conflicting(what, write) {
  try {
    return await write;
  } catch (error) {
    throw error.code === DUPLICATE_KEY ? new Conflict(what) : error;
  }
}
