// Reading one's own writes: waits until the tables of a projection have an event. docs/reading-your-writes.md

import { setTimeout as pause } from 'node:timers/promises';
import { DeadLetter, NoAnswer, StillPending } from './errors.js';

/** For how long one answer is waited for, so that a connection through others is not cut. */
const AT_A_TIME_MS = 2_000;

export class Projections {
  /** The API of a host, e.g. `http://127.0.0.1:7420`, and a token of it. */
  constructor(url, token) {
    this.url = `${url.replace(/\/$/, '')}/api/v1/projections`;
    this.headers = token ? { authorization: `Bearer ${token}` } : {};
  }

  /** Waits for an event by its id, and gives what became of it: `applied`, `ignored`, `discarded` or `passed`. */
  async wait(projection, id, patienceMs = 10_000) {
    const until = Date.now() + patienceMs;
    for (;;) {
      const left = Math.max(0, until - Date.now());
      const { status, again, told } = await this.#ask(projection, id, Math.min(left, AT_A_TIME_MS));
      if (status === 200) return told.state;
      if (status === 409) throw Object.assign(new DeadLetter(told.detail), { state: told.state, letter: told.letter });
      // 429: this one asks too often; 503: too many wait.
      if (![202, 429, 503].includes(status)) throw new NoAnswer(`the host answered ${status}: ${told.detail}`);
      if (Date.now() + again >= until) throw new StillPending(`${projection} does not have ${id} after ${patienceMs} ms`);
      await pause(again);
    }
  }

  async #ask(projection, id, waitMs) {
    const place = `${this.url}/${encodeURIComponent(projection)}/events/${encodeURIComponent(id)}?wait=${waitMs}ms`;
    try {
      const answer = await fetch(place, { headers: this.headers, signal: AbortSignal.timeout(waitMs + 5_000) });
      const again = 1_000 * (answer.headers.get('retry-after') ?? 1);
      return { status: answer.status, again, told: await answer.json() };
    } catch (error) {
      throw new NoAnswer(`${place}: ${error.cause?.message ?? error.message}`);
    }
  }
}
