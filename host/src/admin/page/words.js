// How things stand, in words: pure functions of what the API told. Nothing here draws or asks.

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12345 as 12 345. */
export const count = (value) => number.format(value ?? 0).replaceAll(",", "\u202f");

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** How fast, with the precision that can be read. */
export function rate(value) {
    if (!value) return "0";
    return value < 10 ? value.toFixed(1) : count(value);
}

/** Seconds as people say them. */
export function duration(seconds) {
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min${whole < 600 && whole % 60 ? ` ${whole % 60} s` : ""}`;
    if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Milliseconds as people say them. */
export function millis(value) {
    if (value === null || value === undefined) return "?";
    if (value >= 10_000) return duration(value / 1000);
    if (value < 10) return `${value.toFixed(value < 0.1 ? 2 : 1)} ms`;
    return `${count(value)} ms`;
}

export const bytes = (value) => {
    if (value < 1024) return `${value} B`;
    return value < 1024 * 1024 ? `${(value / 1024).toFixed(0)} KiB` : `${(value / 1024 / 1024).toFixed(1)} MiB`;
};

export const short = (digest) => (digest ?? "").slice(0, 12);

/** A moment, with the day where it is not today. */
export function moment(text) {
    if (!text) return "";
    const at = new Date(text);
    if (Number.isNaN(at.getTime())) return text;
    const time = at.toLocaleTimeString("en-GB");
    const isToday = at.toDateString() === new Date().toDateString();
    return isToday ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
}

export function ago(text) {
    const seconds = (Date.now() - new Date(text).getTime()) / 1000;
    return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

/** Failures that lie on the outbox's side, and on the tables' side. All others are the component's, or the host's own. */
const OF_SOURCE = ["source-unavailable", "no-primary", "source-stalled", "oversized", "resume-lost", "stream-held"];
const OF_TABLES = [
    "connection-lost", "limit-reached", "timed-out", "transaction-lost", "cannot-write", "schema-mismatch", "read-model-restored",
    "commits-lost", "access-denied", "lost-race",
];

/** Where the light is stopped: at the lamp, the slide or the picture. */
function place(failure) {
    if (OF_SOURCE.includes(failure)) return "lamp";
    return OF_TABLES.includes(failure) ? "picture" : "slide";
}

/** How long nothing may be committed while something waits before it is called a stall, in milliseconds. */
const STILL_MS = 15_000;

/** Since when nothing was committed although something waits: what tells a stall from being behind. */
export function stillSince(before, told, now) {
    const isStill = before && told.lag_events > 0 && told.events === before.events;
    return isStill ? (before.still_since ?? now) : null;
}

/** From when on the read model is called behind, in seconds. */
const BEHIND_SECONDS = 5;

/**
 * How a projection stands: `kind`, from good to bad; what is said of it; what to do; and where the light is stopped, if it is.
 */
export function standing(projection, past) {
    const { phase, trouble, remedy } = projection;
    const told = (kind, says, more = {}) => ({ kind, says, todo: null, stopped: null, ...more });
    if (phase === "paused") {
        const byHand = projection.class === "paused";
        const says = byHand ? `Paused: ${projection.reason}` : `Stands still: ${projection.reason}`;
        return told(byHand ? "paused" : "still", says, { todo: remedy, stopped: place(projection.class) });
    }
    if (trouble) return told("still", `Stands still: ${trouble}`, { todo: remedy, stopped: place(projection.class) });
    if (phase === "standby") return told("standby", `Stands by: ${projection.owner} writes`);
    if (phase === "starting") return told("starting", "Is being started");
    if (phase === "stopping" || phase === "stopped") return told("standby", phase === "stopped" ? "Has stopped" : "Is stopping");
    if (projection.still_since && Date.now() - projection.still_since > STILL_MS) {
        const since = duration((Date.now() - projection.still_since) / 1000);
        const says = `Stands still: ${plural(projection.lag_events, "event waits", "events wait")}, and none was applied for ${since}`;
        return told("still", says, { todo: "see what the lanes do now", stopped: "slide" });
    }
    if (projection.parked) return { ...told("letters", letters(projection)), todo: "look at the letters, fix their cause, replay them" };
    if (phase === "history") return told("history", `Reads history${pace(projection, past)}`);
    if (projection.lag_seconds > BEHIND_SECONDS) return told("behind", `Behind by ${duration(projection.lag_seconds)}${pace(projection, past)}`);
    return told("in-step", "In step");
}

function letters({ parked, held }) {
    const behind = held ? `, and ${plural(held, "event waits", "events wait")} behind ${parked === 1 ? "it" : "them"}` : "";
    return `Goes on, but ${plural(parked, "event", "events")} could not be applied${behind}`;
}

/** Whether it gets nearer, by the last half minute. */
export function trend(past) {
    if (!past || past.at.length < 3) return 0;
    const now = past.behind.at(-1);
    const from = past.at.findIndex((at) => at >= past.at.at(-1) - 30);
    const seconds = past.at.at(-1) - past.at[from];
    return seconds > 0 ? (now - past.behind[from]) / seconds : 0;
}

/** Whether the lag has been `rising` or `falling` in the last half minute; null where it stays as it is. */
export function lagTrend(past) {
    if (!past || past.at.length < 3) return null;
    const from = past.at.findIndex((at) => at >= past.at.at(-1) - 30);
    const change = past.lag.at(-1) - past.lag[from];
    if (Math.abs(change) < 2) return null;
    return change > 0 ? "rising" : "falling";
}

function pace(projection, past) {
    const change = trend(past);
    const waiting = `, ${plural(projection.lag_events, "event")} wait${projection.lag_events === 1 ? "s" : ""}`;
    if (change > 0.5) return `${waiting}, and more every second`;
    if (change < -0.5 && projection.lag_events) return `${waiting}; caught up in about ${duration(projection.lag_events / -change)}`;
    return waiting;
}

/** How bad it is: what stands first. */
export const RANK = { still: 0, paused: 1, letters: 2, behind: 3, history: 4, starting: 5, standby: 6, "in-step": 7 };

/** The command line that does the same. Words that a shell would take apart are quoted. */
export function cli(...words) {
    const quoted = words.filter((word) => word !== null && word !== undefined).map((word) => {
        const text = String(word);
        return /^[A-Za-z0-9_./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
    });
    return ["laterna", ...quoted].join(" ");
}
