// What the page knows: how projections stand, what they were like lately, who asks. It is told through the event stream.

import { get, listen, at } from "./api.js";
import { changed } from "./draw.js";
import { stillSince } from "./words.js";

/** How many seconds of the past are kept. */
const PAST_SECONDS = 3600;

export const known = {
    me: null,
    projections: new Map(),
    /** By projection: arrays of the same length, the oldest first. */
    past: new Map(),
    operations: new Map(),
    /** How the letters of each projection stand: how many there are, and the newest one's id. */
    letters: new Map(),
    /** Why the host is not heard; null while it is. */
    away: null,
    /** Whether a token is asked for, and why. */
    refused: null,
};

const empty = () => ({ at: [], rate: [], lag: [], behind: [], letters: [], p50: [], p99: [] });

/** Keeps how a projection stands as the newest sample of its past. */
function remember(snapshot) {
    const past = known.past.get(snapshot.projection);
    if (past) append(past, snapshot, Math.floor(Date.now() / 1000));
}

function append(past, snapshot, now) {
    if (past.at.at(-1) >= now) return;
    past.at.push(now);
    past.rate.push(snapshot.events_per_second);
    past.lag.push(snapshot.lag_seconds);
    past.behind.push(snapshot.lag_events);
    past.letters.push(snapshot.parked + snapshot.held);
    past.p50.push(snapshot.last_minute.latency_ms?.p50 ?? null);
    past.p99.push(snapshot.last_minute.latency_ms?.p99 ?? null);
    let gone = 0;
    while (past.at[gone] < now - PAST_SECONDS) gone++;
    if (gone > 60) Object.values(past).forEach((figures) => figures.splice(0, gone));
}

async function recall(projection) {
    known.past.set(projection, empty());
    const told = await get(`${at(projection)}/recent`).catch(() => null);
    const past = known.past.get(projection);
    if (!told || !past) return;
    const count = told.lag_seconds.length;
    const earliest = past.at[0] ?? Infinity;
    const at_ = told.lag_seconds.map((_, index) => told.last_at - (count - 1 - index) * told.interval_seconds);
    const until = at_.findIndex((moment) => moment >= earliest);
    const old = (figures) => figures.slice(0, until < 0 ? count : until);
    past.at.unshift(...old(at_));
    past.rate.unshift(...old(told.events_per_second));
    past.lag.unshift(...old(told.lag_seconds));
    past.behind.unshift(...old(told.lag_events));
    past.letters.unshift(...old(told.letters));
    past.p50.unshift(...old(told.latency_p50_ms));
    past.p99.unshift(...old(told.latency_p99_ms));
    changed();
}

function forget(projection) {
    known.projections.delete(projection);
    known.letters.delete(projection);
}

function hear(kind, told) {
    if (kind === "projection") {
        const isNew = !known.projections.has(told.projection);
        const still_since = stillSince(known.projections.get(told.projection), told, Date.now());
        known.projections.set(told.projection, { ...told, still_since });
        if (isNew) recall(told.projection);
        remember(told);
    }
    if (kind === "gone") forget(told.projection);
    // What went while nobody could tell.
    if (kind === "projections") [...known.projections.keys()].filter((name) => !told.projections.includes(name)).forEach(forget);
    if (kind === "letters") known.letters.set(told.projection, told);
    if (kind === "operation") known.operations.set(told.id, told);
    changed();
}

/** A projection at rest is told of once; it goes on to be at rest. */
function tick() {
    for (const snapshot of known.projections.values()) remember(snapshot);
    changed();
}

export async function begin() {
    known.refused = null;
    try {
        known.me = await get("me");
    } catch (problem) {
        if (problem.status === 401) {
            known.refused = problem;
            changed();
            return;
        }
        known.away = problem;
        changed();
        setTimeout(begin, 1000);
        return;
    }
    known.away = null;
    changed();
    setInterval(tick, 5000);
    await listen(hear, (problem) => {
        if (problem?.status === 401) known.refused = problem;
        known.away = problem;
        changed();
    });
}

export const isOperator = () => known.me?.role === "operator";
