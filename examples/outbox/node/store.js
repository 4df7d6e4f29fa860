// Aggregates that are nothing but their events, on the same outbox. It must keep its documents: `acknowledge = "keep"`.

import { Conflict } from './errors.js';
import { event } from './event.js';

export class Store {
  constructor(outbox) {
    this.outbox = outbox;
    this.events = outbox.database.collection(outbox.collection);
    this.snapshots = outbox.database.collection(`${outbox.collection}_snapshots`);
  }

  /** The state that events make of a start, or of the newest snapshot: `[state, sequence]`, 0 where there are none. */
  async load(aggregateType, aggregateId, start, apply) {
    const _id = { aggregateType, aggregateId };
    let { state, sequence } = (await this.snapshots.findOne({ _id })) ?? { state: start, sequence: 0 };
    const after = this.events.find({ ..._id, sequence: { $gt: sequence } }).sort({ sequence: 1 });
    for await (const one of after) [state, sequence] = [apply(state, one), one.sequence];
    return [state, sequence];
  }

  /**
   * Adds events, `[type, payload]` each, to an aggregate that is at the sequence. Gives the sequence it is at then, as
   * the result of `withOutbox`, whose options it takes.
   */
  async append(aggregateType, aggregateId, sequence, events, options) {
    const work = async (transaction) => {
      const collection = transaction.collection(this.outbox.collection);
      const last = await collection.findOne({ aggregateType, aggregateId }, { sort: { sequence: -1 } });
      if ((last?.sequence ?? 0) !== sequence) {
        throw new Conflict(`${aggregateType}/${aggregateId} is at sequence ${last?.sequence ?? 0}, not ${sequence}`);
      }
      const happened = events.map(([type, payload], n) =>
        event(type, aggregateType, aggregateId, sequence + n + 1, payload));
      return [sequence + events.length, happened];
    };
    return this.outbox.withOutbox(work, options);
  }

  /** Keeps a state for the next load, unless there is a newer one. */
  async snapshot(aggregateType, aggregateId, sequence, state) {
    const _id = { aggregateType, aggregateId };
    const older = { _id, sequence: { $lt: sequence } };
    await this.snapshots.replaceOne(older, { sequence, state }, { upsert: true }).catch((error) => {
      if (error.code !== 11000) throw error;
    });
  }
}
