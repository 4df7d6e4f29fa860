// Why an aggregate's rows are as they are: its events in their order, what became of each, and the SQL that each becomes, beside
// the rows of now. What is not known any more is said to be unknown.

import { html, useState } from "./vendor/preact-htm.js";
import { at, query } from "./api.js";
import { CommandLine, Trouble } from "./dialog.js";
import { Reason } from "./letter.js";
import { link } from "./overview.js";
import { lately, useReading } from "./projection.js";
import { cli, moment, plural, short } from "./words.js";

/** The type and the id of an aggregate as somebody names it, as in `account/42` or `"account"/"42"`; null where it is none. */
export function parts(text) {
    const exact = /^("(?:[^"\\]|\\.)*")\/(.+)$/s.exec(text);
    if (exact) {
        try {
            return [JSON.parse(exact[1]), exact[2]];
        } catch {
            return null;
        }
    }
    const cut = text.indexOf("/");
    return cut > 0 && cut < text.length - 1 ? [text.slice(0, cut), text.slice(cut + 1)] : null;
}

/** The address of an aggregate's view. */
export function whyLink(name, aggregate) {
    const named = parts(aggregate ?? "");
    return named && link(name, `/why/${named.map(encodeURIComponent).join("/")}`);
}

/** Where an aggregate is asked for. */
export function Search({ name, value = "" }) {
    const [text, setText] = useState(value);
    const [isWrong, setWrong] = useState(false);
    const go = (event) => {
        event.preventDefault();
        const address = whyLink(name, text.trim());
        setWrong(!address);
        if (address) location.hash = address.slice(1);
    };
    return html`<form class="search" role="search" aria-label="An aggregate" onSubmit=${go}>
        <label>Why are its rows as they are?<input name="why" value=${text} placeholder="account/42" autocomplete="off" aria-invalid=${isWrong} onInput=${(event) => setText(event.target.value)} /></label>
        <button type="submit" disabled=${!text.trim()}>Why?</button>
        ${isWrong && html`<p class="trouble" role="alert">An aggregate is its type and its id, as in account/42.</p>`}
    </form>`;
}

const BECAME = {
    applied: "applied",
    ignored: "came to nothing",
    discarded: "was given up",
    parked: "was not applied: a dead letter",
    held: "waits behind a dead letter",
    passed: "was taken; not remembered what it came to",
    pending: "is not taken yet",
    unknown: "not known",
};

export function Aggregate({ name, type, id }) {
    const [mark, setMark] = useState({});
    const path = `${at(name)}/aggregates/${encodeURIComponent(type)}/${encodeURIComponent(id)}`;
    const { value: why, problem, again } = useReading(path + query(mark), lately(name));
    const called = why?.aggregate ?? `${type}/${id}`;
    return html`
        <p class="back"><a href=${link(name)}>${name}</a></p>
        <h1 tabindex="-1">${called}</h1>
        <${Search} key=${called} name=${name} value=${called} />
        <${Trouble} problem=${problem} />
        ${!why && !problem && html`<p class="soft">Its events are run again …</p>`}
        ${why && html`
            <div class="why">
                <section aria-labelledby="story"><h2 id="story">Its events</h2>
                    ${why.before && html`<p><button type="button" class="quiet" onClick=${() => setMark({ before: why.before })}>Earlier events</button></p>`}
                    <ol class="story">${why.events.map((one) => html`<${Story} key=${one.event_id} one=${one} why=${why} name=${name} />`)}</ol>
                    ${!why.events.length && html`<p class="empty">None here.</p>`}
                    <p class="buttons">${why.after && html`<button type="button" onClick=${() => setMark({ after: why.after })}>Later events</button>`}<button type="button" class="quiet" onClick=${() => (mark.before || mark.after ? setMark({}) : again())}>${mark.before || mark.after ? "The last ones" : "Look again"}</button></p>
                </section>
                <${Rows} why=${why} />
            </div>
            <${CommandLine}>${cli("why", name, why.aggregate_exact, ...Object.entries(mark).flatMap(([option, value]) => [`--${option}`, value]))}<//>`}`;
}

function Story({ one, why, name }) {
    const isBad = one.became === "parked" || one.became === "held" || one.became === "discarded";
    const isOpen = one.became === "passed" || one.became === "unknown" || one.became === "pending";
    // Of two reasons that are masked nobody knows whether they are the same.
    const isSame = why.rows && one.letter && one.answer.answer === "fails" && one.answer.reason === one.letter.reason;
    return html`<li class=${isBad ? "bad" : isOpen ? "open" : ""}>
        <p><b>${one.event_type ?? "No event"}</b> ${one.sequence !== null && html`<span class="soft">number ${one.sequence},</span>`} <code>${one.event_id ?? "no id"}</code></p>
        <p class="soft"><span class="tag">${BECAME[one.became]}</span> ${when(one)}</p>
        ${one.unknown && html`<p class="soft">${one.unknown}</p>`}
        ${one.given_up && html`<p>given up by ${one.given_up.by}: ${one.given_up.why}</p>`}
        ${one.letter && html`<p><a href=${link(name, "/letters")}>Letter ${one.letter.id}</a> ${one.letter.class ?? ""}</p><${Reason} letter=${one.letter} />`}
        ${isSame ? html`<p class="soft">It would fail in the same way now.</p>` : html`
            ${one.answered_by && one.answered_by !== one.digest && html`<p class="soft">What the component in force, <code>${short(why.digest)}</code>, makes of it:</p>`}
            <${Answer} answer=${one.answer} />`}
    </li>`;
}

/** When it was, and with which component, as far as that is known. */
function when(one) {
    const time = one.at && html`<time datetime=${one.at} title=${one.at}>${moment(one.at)}</time>`;
    const letter = one.was_letter && "as a dead letter that was dealt with";
    const isTaken = one.became === "applied" || one.became === "ignored";
    const by = one.digest ? html`with <code>${short(one.digest)}</code>` : isTaken && "with a component of which is not remembered which";
    return [time, letter, by].filter(Boolean).map((part, index) => html`${index > 0 && ", "}${part}`);
}

function Answer({ answer }) {
    if (answer.answer === "unhandled") return html`<p class="soft">The projector does not take this type.</p>`;
    if (answer.answer === "ignored") return html`<p class="soft">The upcaster makes nothing of it.</p>`;
    if (answer.answer === "undecodable") return html`<p class="trouble">It is no event: ${answer.reason}</p>`;
    if (answer.answer === "fails") return html`<p class="trouble"><b>${answer.class}</b> ${answer.reason}</p>`;
    if (!answer.statements.length && !answer.more) return html`<p class="soft">No statement.</p>`;
    return html`${answer.statements.length > 0 && html`<pre class="sql" tabindex="0" aria-label="What it becomes">${answer.statements.map((one) => `${one.sql};`).join("\n")}</pre>`}
        ${answer.more > 0 && html`<p class="soft">and ${plural(answer.more, "more statement")}</p>`}`;
}

function Rows({ why }) {
    return html`<section class="now" aria-labelledby="rows"><h2 id="rows">The rows that these name, now</h2>
        ${!why.rows && html`<p class="soft">A viewer does not see what rows hold.</p>`}
        ${why.rows?.length === 0 && html`<p class="soft">These events name none.</p>`}
        ${why.rows?.toReversed().map((one) => html`<div class="found">
            <h3>${one.table} ${one.condition && html`<code>${one.condition}</code>`}</h3>
            ${one.untold && html`<p class="soft">They cannot be told: ${one.untold}.</p>`}
            ${!one.untold && !one.rows.length && html`<p class="soft">There is no row.</p>`}
            ${one.rows.map((row) => html`<dl class="cells">${one.columns.map((column, index) => html`<div><dt>${column}</dt><dd class=${row[index] === null ? "soft" : ""}>${row[index] ?? "NULL"}</dd></div>`)}</dl>`)}
        </div>`)}
    </section>`;
}
