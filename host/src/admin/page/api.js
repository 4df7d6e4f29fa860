// The host's API: asked with the token where one is needed, and followed through its event stream.
// It must not ask anybody but the host that served the page.

const BASE = "/api/v1/";
const KEPT = "laterna-token";

/** What the host said when it did not do what it was asked. */
export class Problem extends Error {
    constructor(told) {
        super(told.detail);
        Object.assign(this, { status: told.status, class: told.class, detail: told.detail, remedy: told.remedy });
    }
}

const NO_HOST = {
    status: 0,
    class: "away",
    detail: "the host does not answer",
    remedy: "see whether it runs; the page asks again by itself",
};

// The token stays in this tab, and goes when it is closed.
export const token = () => sessionStorage.getItem(KEPT);
export const keepToken = (value) => sessionStorage.setItem(KEPT, value);
export const forgetToken = () => sessionStorage.removeItem(KEPT);

async function ask(method, path, body, more = {}) {
    const headers = { ...more };
    if (token()) headers.Authorization = `Bearer ${token()}`;
    if (body !== undefined && !(body instanceof Blob)) {
        headers["Content-Type"] = "application/json";
        body = JSON.stringify(body);
    }
    let answer;
    try {
        answer = await fetch(BASE + path, { method, headers, body, credentials: "omit", cache: "no-store", redirect: "error" });
    } catch {
        throw new Problem(NO_HOST);
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({ ...NO_HOST, status: answer.status, detail: `the host answered ${answer.status}` }));
    throw new Problem(told);
}

export const get = async (path) => (await ask("GET", path)).json();

/** Asks for a change. With one key it is one change, also where the answer was lost and it is sent again. */
export const post = async (path, body, key) => (await ask("POST", path, body, key ? { "Idempotency-Key": key } : {})).json();

/** Ends something. */
export const remove = async (path) => (await ask("DELETE", path)).json();

/** A key for one change. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Uploads a component: it is checked and stored, and nothing is deployed by that. */
export const upload = async (projection, file) =>
    (await ask("POST", `${at(projection)}/components`, file, { "Content-Type": "application/wasm" })).json();

/** The path of a projection. */
export const at = (projection) => `projections/${encodeURIComponent(projection)}`;

/** The query of a request: what is empty is left out. */
export function query(parts) {
    const given = Object.entries(parts).filter(([, value]) => value !== undefined && value !== null && value !== "");
    return given.length ? `?${new URLSearchParams(given)}` : "";
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks how an operation stands until it is over, and says each time. */
export async function follow(id, tell) {
    for (;;) {
        const operation = await get(`operations/${id}`).catch((problem) => {
            if (problem.status === 0 || problem.status === 503) return null;
            throw problem;
        });
        if (operation) {
            tell(operation);
            if (["done", "failed", "cancelled"].includes(operation.state)) return operation;
        }
        await pause(700);
    }
}

/** Tells each event of the stream, for as long as the page is open. `EventSource` cannot send a token. */
export async function listen(tell, state) {
    for (let wait = 500; ; wait = Math.min(wait * 2, 10_000)) {
        try {
            const answer = await ask("GET", "events");
            state(null);
            wait = 250;
            await read(answer.body, tell);
            state(new Problem(NO_HOST));
        } catch (problem) {
            state(problem);
            if (problem.status === 401) return;
        }
        await pause(wait);
    }
}

async function read(body, tell) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
        const { value, done } = await reader.read().catch(() => ({ done: true }));
        if (done) return;
        text += value;
        const parts = text.split("\n\n");
        text = parts.pop();
        for (const part of parts) {
            const lines = part.split("\n");
            const field = (name) => lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length).trimStart()).join("\n");
            const data = field("data:");
            if (data) tell(field("event:"), JSON.parse(data));
        }
    }
}
