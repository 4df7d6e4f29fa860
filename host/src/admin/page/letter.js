// One letter: why its event was not applied, the event, and what can be done about it.

import { html, useState } from "./vendor/preact-htm.js";
import { at, follow, post } from "./api.js";
import { Act, CommandLine, Trouble, ask } from "./dialog.js";
import { pieces } from "./json.js";
import { useReading } from "./projection.js";
import { bytes, cli, moment, plural, short } from "./words.js";

const MASKED = "(masked)";

export const Reason = ({ letter }) =>
    letter.reason && html`<p class=${letter.reason === MASKED ? "reason soft" : "reason"}>${letter.reason === MASKED ? "a viewer does not see the reason" : letter.reason}</p>`;

export function Letter({ name, id, isHead, boundary, again }) {
    const { value: letter, problem } = useReading(`${at(name)}/letters/${id}`);
    if (!letter) return html`<div class="whole">${problem ? html`<${Trouble} problem=${problem} />` : "…"}</div>`;
    return html`<div class="whole">
        <dl class="facts">
            <div><dt>letter</dt><dd>${letter.id}, ${letter.state}</dd></div>
            <div><dt>event</dt><dd><code>${letter.event_id ?? "none that can be read"}</code></dd></div>
            <div><dt>class</dt><dd>${letter.class ?? "not tried yet"}</dd></div>
            <div><dt>tried</dt><dd>${plural(letter.attempts, "time")}, last <time datetime=${letter.updated_at}>${moment(letter.updated_at)}</time>, with <code>${short(letter.digest)}</code></dd></div>
            ${letter.trace_id && html`<div><dt>trace</dt><dd><code>${letter.trace_id}</code></dd></div>`}
            <div><dt>document</dt><dd>${bytes(letter.document_bytes)}</dd></div>
        </dl>
        <${Reason} letter=${letter} />
        <${Document} letter=${letter} />
        ${letter.operations && html`<h3>The operations that the tables refused</h3><pre>${letter.operations}</pre>`}
        <${Actions} name=${name} letter=${letter} isHead=${isHead} boundary=${boundary} again=${again} />
    </div>`;
}

function Document({ letter }) {
    if (letter.erased_at) return html`<p class="soft">It was erased ${moment(letter.erased_at)}.</p>`;
    if (letter.document) return html`<h3>The event</h3><pre class="document" tabindex="0" aria-label="The event as JSON">${pieces(letter.document, letter.reason).map((piece) => (piece.isNamed ? html`<mark title="named by the reason">${piece.text}</mark>` : piece.text))}</pre>`;
    if (letter.document_base64) return html`<h3>The document, which is no valid BSON</h3><pre class="document" tabindex="0" aria-label="The document in Base64">${letter.document_base64}</pre>`;
    return html`<p class="soft">A viewer does not see what events hold.</p>`;
}

function Actions({ name, letter, isHead, again }) {
    const [tried, setTried] = useState(null);
    const [problem, setProblem] = useState(null);
    const path = `${at(name)}/letters`;
    const body = { ids: [letter.id], count: 1 };
    const called = `letter ${letter.id} of ${letter.aggregate ?? "no aggregate"}`;
    const rehearse = async () => {
        setProblem(null);
        setTried("…");
        try {
            const operation = await post(`${path}/replay?dry_run=true`, { ids: [letter.id] });
            await follow(operation.id, (now) => setTried(typeof now.result === "string" ? now.result : now.waits ?? now.progress ?? "…"));
        } catch (told) {
            setTried(null);
            setProblem(told);
        }
    };
    const replay = () =>
        ask({
            title: `Replay ${called}?`,
            says: "It is given to the component in force; what waits behind it follows in order.",
            button: "Replay 1",
            cli: cli("dlq", "replay", name, "--id", letter.id),
            act: (_, key) => post(`${path}/replay`, body, key),
            then: again,
        });
    const gone = (what, says, button) => () =>
        ask({
            title: `${what === "discard" ? "Discard" : "Erase"} ${called}?`,
            says,
            fields: [{ name: "why", label: "Why: it is recorded" }],
            typed: String(letter.id),
            button,
            cli: ({ why }) => cli("dlq", what, name, "--id", letter.id, "--why", why || "…"),
            act: ({ why }, key) => post(`${path}/${what}`, { ...body, why }, key),
            then: again,
        });
    const discard = gone("discard", "Its event is given up for good; what waits behind it is replayed.", "Discard 1");
    const erase = gone("erase", "Its document, operations and reason go for good. It keeps its place, and can only be discarded then.", "Erase 1");
    return html`
        ${tried && html`<p class="tried" role="status"><b>With the component in force:</b> ${tried}</p>`}
        <${Trouble} problem=${problem} />
        <div class="buttons">
            ${isHead && html`<${Act} onClick=${rehearse}>What would happen now?<//><${Act} onClick=${replay}>Replay …<//><${Act} danger=${true} onClick=${discard}>Discard …<//>`}
            <${Act} danger=${true} onClick=${erase} disabled=${Boolean(letter.erased_at)}>Erase …<//>
        </div>
        <${CommandLine}>${cli("dlq", "show", name, letter.id)}<//>
        ${isHead && html`<${CommandLine}>${cli("dlq", "replay", name, "--id", letter.id, "--dry-run")}<//>`}`;
}
