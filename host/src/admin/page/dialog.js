// Questions before a change: what would be done, to how many, and the command line that does the same. What cannot be undone
// has to be typed. Then the operation is followed to its end.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { follow, newKey, post, remove } from "./api.js";
import { changed } from "./draw.js";
import { isOperator } from "./state.js";
import { cli } from "./words.js";

let question = null;
const answered = [];

/**
 * Asks for a word before a change. `says`: what is done; `cli`: the same on the command line; `typed`: what has to be typed;
 * `fields`: what is asked for, by name; `act`: makes the change of these and gives the operation.
 */
export function ask(asked) {
    question = asked;
    changed();
}

function close() {
    question = null;
    changed();
}

/** A button that is there for operators only. */
export function Act({ children, onClick, danger = false, disabled = false, label }) {
    const cannot = disabled || !isOperator();
    const why = isOperator() ? undefined : "a viewer changes nothing";
    return html`<button type="button" class=${danger ? "danger" : ""} disabled=${cannot} title=${why} aria-label=${label} onClick=${onClick}>${children}</button>`;
}

export const CommandLine = ({ children }) => html`<p class="cli"><span class="soft">the same: </span><code>${children}</code></p>`;

export const Trouble = ({ problem }) =>
    problem && html`<p class="trouble" role="alert"><b>${problem.detail}</b> <span>${problem.remedy}</span></p>`;

/** Follows an operation that was asked for, where everybody sees it. */
export async function watch(operation, then) {
    const known = answered.find((one) => one.id === operation.id);
    if (known) {
        // It is followed already.
        Object.assign(known, operation);
        changed();
        return then?.(operation);
    }
    const item = { ...operation };
    answered.unshift(item);
    answered.splice(4);
    changed();
    const over = await follow(operation.id, (now) => {
        Object.assign(item, now);
        changed();
    }).catch((problem) => Object.assign(item, { state: "failed", result: problem.detail }));
    // What is done is seen for a while; what failed stays until it is put away.
    if (over.state === "done") setTimeout(() => putAway(item), 10_000);
    changed();
    then?.(over);
}

function putAway(item) {
    if (answered.includes(item)) answered.splice(answered.indexOf(item), 1);
    changed();
}

export function Dialog() {
    const box = useRef(null);
    const key = useRef("");
    const [values, setValues] = useState({});
    const [typed, setTyped] = useState("");
    const [problem, setProblem] = useState(null);
    const [isBusy, setBusy] = useState(false);
    useEffect(() => {
        if (!question) return box.current?.close();
        setValues(Object.fromEntries((question.fields ?? []).map((field) => [field.name, field.value ?? ""])));
        setTyped("");
        setProblem(null);
        setBusy(false);
        key.current = newKey();
        if (!box.current.open) box.current.showModal();
    }, [question]);
    const asked = question ?? { title: "", says: "" };
    const isReady = (!asked.typed || typed === String(asked.typed)) && (asked.fields ?? []).every((field) => field.isOptional || values[field.name]?.trim());
    const send = async (event) => {
        event.preventDefault();
        if (!isReady || isBusy) return;
        setBusy(true);
        setProblem(null);
        try {
            const operation = await asked.act(values, key.current);
            close();
            if (operation?.id) watch(operation, asked.then);
        } catch (told) {
            setProblem(told.detail ? told : { detail: String(told), remedy: "" });
            setBusy(false);
        }
    };
    return html`<dialog ref=${box} aria-labelledby="asked" onClose=${close} onCancel=${close}>
        <form onSubmit=${send}>
            <h2 id="asked">${asked.title}</h2>
            <p>${asked.says}</p>
            ${(asked.fields ?? []).map(
                (field) => html`<label>${field.label}<input name=${field.name} value=${values[field.name] ?? ""} autocomplete="off"
                    onInput=${(event) => setValues({ ...values, [field.name]: event.target.value })} /></label>`,
            )}
            ${asked.typed && html`<label>Type <b>${asked.typed}</b> to go on: this cannot be undone<input name="typed" value=${typed} autocomplete="off"
                onInput=${(event) => setTyped(event.target.value)} /></label>`}
            ${asked.cli && html`<${CommandLine}>${typeof asked.cli === "function" ? asked.cli(values) : asked.cli}<//>`}
            <${Trouble} problem=${problem} />
            <div class="buttons">
                <button type="button" onClick=${close}>Leave it</button>
                <button type="submit" class=${asked.typed ? "danger" : "primary"} disabled=${!isReady || isBusy}>${isBusy ? "Asking …" : asked.button}</button>
            </div>
        </form>
    </dialog>`;
}

/** Whether an operation goes on. */
export const isUnderWay = (one) => !["done", "failed", "cancelled"].includes(one.state);

/** Asks whether an operation is to end. Where that is too late, the host says so, and what can be done instead. */
export const cancel = (one, then) =>
    ask({
        title: `Cancel operation ${one.id}, ${one.kind} of ${one.projection}?`,
        says: "What it has done stays done, and nothing more of it is begun. Tables that it builds beside the live ones are given up.",
        button: "Cancel it",
        cli: cli("operations", "cancel", one.id),
        act: () => remove(`operations/${one.id}`),
        then,
    });

/** What became of what was asked for. */
export const Answers = () => html`<div class="answers" role="status" aria-live="polite">
    ${answered.map(
        (one) => html`<p key=${one.id} class=${`answer ${one.state}`}>
            <b>${one.kind}</b> ${one.projection} <span class="soft">operation ${one.id}</span>
            <span>${{ pending: "goes on", waits: "waits", done: "done", failed: "failed", cancelled: "cancelled" }[one.state]}${outcome(one)}</span>
            ${isUnderWay(one) && html`<${Act} label=${`Cancel operation ${one.id}`} onClick=${() => cancel(one)}>Cancel …<//>`}
            <button type="button" class="quiet" aria-label=${`Put operation ${one.id} away`} onClick=${() => putAway(one)}>×</button>
        </p>`,
    )}
</div>`;

function outcome(one) {
    const told = one.waits ?? (typeof one.result === "string" ? one.result : null) ?? one.progress;
    return told ? `: ${told}` : "";
}

/** A change as most are: one path, one body. */
export const change = (path, body) => (_, key) => post(path, body, key);
