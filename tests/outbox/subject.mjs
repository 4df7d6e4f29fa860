// The outbox in JavaScript, as the compliance suite asks it: a line of JSON in, a line of JSON out.

import { createInterface } from 'node:readline';
import { MongoClient } from 'mongodb';
import { event, Outbox, Projections, Store } from './index.js';

class Refused extends Error {
  name = 'Refused';
}

let client, outbox, attempts;

const deposited = (account, amountCents) =>
  event('MoneyDeposited', 'account', account._id, account.sequence, { amountCents, balanceCents: account.balanceCents });

const nested = (levels) => (levels > 1 ? { in: nested(levels - 1) } : {});

function made({ type, aggregateType, aggregateId, sequence, payload, payloadBytes, payloadLevels, ...more }) {
  if (payloadBytes) payload = { text: 'x'.repeat(payloadBytes - '{"text":""}'.length) };
  return event(type, aggregateType, aggregateId, sequence, payloadLevels ? nested(payloadLevels) : payload, more);
}

const work = {
  open: ({ account, owner }) => async (transaction) => {
    const opened = await transaction.create('accounts', { _id: account, owner, balanceCents: 0 });
    const payload = { owner, balanceCents: 0 };
    return [0, [event('AccountOpened', 'account', account, opened.sequence, payload)]];
  },
  deposit: ({ account, amount, sequence = null }) => async (transaction) => {
    const changed = await transaction.change('accounts', account, sequence, { $inc: { balanceCents: amount } });
    return [changed.balanceCents, [deposited(changed, amount)]];
  },
  withdraw: ({ account, amount }) => async (transaction) => {
    const before = await transaction.collection('accounts').findOne({ _id: account });
    const after = await transaction.change('accounts', account, before.sequence, { $inc: { balanceCents: -amount } });
    if (after.balanceCents < 0) throw new Refused(`${before.balanceCents} is less than ${amount}`);
    const payload = { amountCents: amount, balanceCents: after.balanceCents };
    return [after.balanceCents, [event('MoneyWithdrawn', 'account', account, after.sequence, payload)]];
  },
  close: ({ account, sequence }) => async (transaction) => {
    const next = await transaction.remove('accounts', account, sequence);
    return [next, [event('AccountClosed', 'account', account, next, {})]];
  },
  emit: ({ account, event }) => async (transaction) => {
    await transaction.change('accounts', account, null, {});
    return [null, [made(event)]];
  },
  leaveOut: ({ account, hide, aside }) => async (transaction) => {
    const write = client.db(outbox.database.databaseName).collection(aside).insertOne({ _id: account });
    await (hide ? write.catch(() => {}) : write);
    const changed = await transaction.change('accounts', account, null, { $inc: { balanceCents: 1 } });
    return [null, [deposited(changed, 1)]];
  },
};

const answer = {
  async connect({ uri, database }) {
    client = new MongoClient(uri, { monitorCommands: true });
    outbox = new Outbox(client, database);
  },
  unwatched: ({ uri, database }) => new Outbox(new MongoClient(uri), database),
  ensure: () => outbox.ensure(),
  wait: ({ url, token, projection, id, patience }) => new Projections(url, token).wait(projection, id, patience),
  append: ({ id, sequence, events, command }) =>
    new Store(outbox).append('transfer', id, sequence, events, { command }),
  load: ({ id }) => new Store(outbox).load('transfer', id, 0, (sum, one) => sum + (one.payload.amount ?? 0)),
  snapshot: ({ id, sequence, state }) => new Store(outbox).snapshot('transfer', id, sequence, state),
};

async function ask({ do: what, command, traceparent, ...request }) {
  attempts = 0;
  if (!work[what]) return answer[what]({ command, ...request });
  const counted = (transaction) => ((attempts += 1), work[what](request)(transaction));
  return { ...(await outbox.withOutbox(counted, { command, traceparent })), attempts };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answered = await ask(JSON.parse(line)).then(
    (ok) => ({ ok: ok ?? null }),
    ({ name, message, state, letter }) => ({ error: name, says: message, attempts, state, letter }),
  );
  process.stdout.write(`${JSON.stringify(answered)}\n`);
}
await client?.close();
