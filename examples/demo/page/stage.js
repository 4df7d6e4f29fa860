// What the page knows, as it is told; and what it asks: commands, queries, buttons. Nothing here draws.

import { changed } from "./draw.js";

export const known = {
    /** Both sides, the hosts, what is on its way; null until it is told. */
    standing: null,
    /** Whether the demo is not heard. */
    isAway: false,
    buttons: [],
    account: "ada",
    /** What came of the last command. */
    answer: null,
    /** What MySQL says of the account. */
    view: { name: "statement", rows: null, why: null },
    busy: new Set(),
};

const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function ask(path, options) {
    const answer = await fetch(path, { cache: "no-store", ...options }).catch(() => null);
    if (!answer) return { ok: false, told: { refused: "the demo does not answer" } };
    return { ok: answer.ok, told: await answer.json().catch(() => ({})) };
}

const post = (path, body, headers = {}) =>
    ask(path, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });

/** Sends a command, then reads in MySQL what it wrote. */
export async function command(path, body) {
    const began = performance.now();
    const { ok, told } = await post(path, body, { "Idempotency-Key": newKey() });
    const took = Math.round(performance.now() - began);
    if (!ok) {
        known.answer = { refused: told.refused ?? "it was refused" };
        return changed();
    }
    known.answer = { took, state: told.state, why: told.why, balance: told.account?.balanceCents };
    changed();
    const account = known.account;
    const read = await ask(`/api/accounts/${account}?after=${told.events.join(",")}`);
    const after = Math.round(performance.now() - began - took);
    known.answer = { ...known.answer, after, read: read.ok ? read.told.balanceCents : null, unread: read.ok ? null : read.told.unanswered };
    changed();
    look();
}

export async function press(name) {
    known.busy.add(name);
    changed();
    await post(name === "tour" ? "/demo/tour" : `/demo/buttons/${name}`, {});
    known.busy.delete(name);
    changed();
}

/** Asks MySQL for what is shown of the account. */
export async function look() {
    const { account, view } = known;
    const path = view.name === "audit" ? `/api/audit?aggregate=account/${account}` : `/api/accounts/${account}/${view.name}`;
    const { ok, told } = await ask(path);
    if (known.account !== account || known.view.name !== view.name) return;
    known.view = { name: view.name, rows: ok ? told : null, why: ok ? null : (told.unanswered ?? told.refused) };
    changed();
}

export function choose(account) {
    known.account = account;
    known.view.rows = null;
    changed();
    look();
}

export function show(name) {
    known.view = { name, rows: null, why: null };
    changed();
    look();
}

/** What MySQL has of the account, as far as it is told: when it changes, the view is asked for again. */
const mark = () => {
    const row = known.standing?.mysql.accounts?.find(({ id }) => id === known.account);
    return row ? `${row.lastSequence} ${row.balanceCents}` : "none";
};

export async function begin() {
    known.buttons = (await ask("/demo/buttons")).told;
    const heard = new EventSource("/demo/standing");
    let before = null;
    heard.onmessage = ({ data }) => {
        const now = JSON.parse(data);
        if (!now) return;
        known.standing = now;
        known.isAway = false;
        if (mark() !== before) look();
        before = mark();
        changed();
    };
    heard.onerror = () => {
        known.isAway = true;
        changed();
    };
}

/** The projection as the host says that leads it. */
export function projection(name) {
    const all = (known.standing?.hosts ?? []).flatMap(({ projections }) => projections ?? []);
    const of = all.filter((one) => one.projection === name);
    return of.find(({ phase }) => phase !== "standby" && phase !== "starting") ?? of[0];
}

/** Which projections a host leads. */
export const led = (host) =>
    (host.projections ?? []).filter(({ phase }) => !["standby", "starting", "stopped"].includes(phase)).map((one) => one.projection);

/** 123456 cents as 1 234.56. */
export function money(cents) {
    const text = (Math.abs(cents) / 100).toFixed(2).replace(/(\d)(?=(\d{3})+\.)/g, "$1\u202f");
    return `${cents < 0 ? "−" : ""}${text}`;
}
