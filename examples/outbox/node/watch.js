// The classic mistake, a write inside of a transaction's function that is not in the transaction, is noticed: the
// driver tells of each command before it is sent, and the commands of one function are known by its context.

import { AsyncLocalStorage } from 'node:async_hooks';
import { SessionLeftOut } from './errors.js';

const WRITES = new Set(['insert', 'update', 'delete', 'findAndModify', 'bulkWrite']);
const running = new AsyncLocalStorage();
const watched = new WeakSet();

export function watch(client) {
  if (!client.options.monitorCommands) {
    throw new Error('make the client with `monitorCommands: true`, so that a write without the session is noticed');
  }
  if (watched.has(client)) return;
  watched.add(client);
  client.on('commandStarted', ({ commandName, command }) => {
    const context = running.getStore();
    if (!context || !WRITES.has(commandName) || command.autocommit === false) return;
    context.mistake ??= new SessionLeftOut(
      `\`${commandName}\` on \`${command[commandName]}\` is not in the transaction: use the collections of the ` +
        'transaction that the function is given',
    );
    // Who listens comes before the command is sent, so it is not.
    throw context.mistake;
  });
}

/** Runs what a transaction consists of; rejects when that wrote outside of it, even if it hides it. */
export function inTransaction(work) {
  const context = {};
  return running.run(context, async () => {
    try {
      const done = await work();
      if (!context.mistake) return done;
    } catch (error) {
      throw context.mistake ?? error;
    }
    throw context.mistake;
  });
}
