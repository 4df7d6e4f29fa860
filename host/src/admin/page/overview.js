// Are both sides in step? What is wrong, and what to do, stands first; then one row for each projection.

import { html } from "./vendor/preact-htm.js";
import { Sparkline } from "./chart.js";
import { Lantern } from "./lantern.js";
import { known } from "./state.js";
import { RANK, count, duration, lagTrend, millis, plural, rate, short, standing } from "./words.js";

const SAID = { still: "stands still", paused: "is paused", letters: "has letters", behind: "is behind", history: "reads history", starting: "is being started" };

/** In a row, where the whole sentence stands at the top. */
const SHORT = { still: "Stands still", paused: "Paused", letters: "Goes on, with letters" };

/** Troubles first, then by name. */
function sorted() {
    const all = [...known.projections.values()].map((projection) => {
        const past = known.past.get(projection.projection);
        return { projection, past, stands: standing(projection, past) };
    });
    return all.sort((one, other) => RANK[one.stands.kind] - RANK[other.stands.kind] || one.projection.projection.localeCompare(other.projection.projection));
}

function headline(all) {
    if (!all.length) return known.me ? "No projection is configured on this host." : "…";
    const worst = all[0].stands.kind;
    if (!(worst in SAID)) return "Both sides are in step.";
    const alike = all.filter(({ stands }) => stands.kind === worst);
    if (alike.length === 1) return `${alike[0].projection.projection} ${SAID[worst]}.`;
    return `${count(alike.length)} of ${plural(all.length, "projection")}: ${SAID[worst].replace("stands", "stand").replace("is ", "are ").replace("has ", "have ").replace("reads", "read")}.`;
}

export function Overview() {
    const all = sorted();
    const wrong = all.filter(({ stands, projection }) => ["still", "paused", "letters"].includes(stands.kind) || projection.warning);
    return html`
        <h1 tabindex="-1" class="headline" aria-live="polite">${headline(all)}</h1>
        ${wrong.length > 0 && html`<ul class="todos" aria-label="What is wrong, and what to do">${wrong.map((one) => html`<${Todo} key=${one.projection.projection} ...${one} />`)}</ul>`}
        <section class="rows" aria-label="Projections">${all.map((one) => html`<${Row} key=${one.projection.projection} ...${one} />`)}</section>`;
}

/** Where the lag goes, where it goes anywhere. */
function Trend({ past }) {
    const goes = lagTrend(past);
    return goes && html`<span class=${`trend ${goes}`} role="img" aria-label=${`and ${goes}`} title=${goes}>${goes === "rising" ? "↗" : "↘"}</span>`;
}

export const link = (name, part = "") => `#/projections/${encodeURIComponent(name)}${part}`;

function Todo({ projection, stands }) {
    const name = projection.projection;
    const isLetters = stands.kind === "letters" || ["letters-full", "stream-held", "breaker-open"].includes(projection.class);
    const says = ["still", "paused", "letters"].includes(stands.kind) ? stands.says : projection.warning;
    return html`<li class=${stands.kind}>
        <p><a href=${link(name)}><b>${name}</b></a> ${says}</p>
        ${stands.todo && html`<p class="todo"><span class="soft">What to do:</span> ${stands.todo}</p>`}
        ${isLetters && html`<p><a class="button" href=${link(name, "/letters")}>See its letters</a></p>`}
    </li>`;
}

function Row({ projection, past, stands }) {
    const name = projection.projection;
    const [p99, p50] = [past?.p99 ?? [], past?.p50 ?? []];
    const most = Math.max(0, ...p99.map((value) => value ?? 0));
    const now = projection.last_minute.latency_ms;
    return html`<article class=${`row ${stands.kind}`} aria-labelledby=${`row-${name}`}>
        <div class="who">
            <h2 id=${`row-${name}`}><a href=${link(name)}>${name}</a></h2>
            <p class="says">${SHORT[stands.kind] ?? stands.says}</p>
        </div>
        <${Lantern} projection=${projection} past=${past} />
        <dl class="figures">
            <div><dt>events/s</dt><dd>${rate(projection.events_per_second)}</dd></div>
            <div><dt>lag</dt><dd>${duration(projection.lag_seconds)} <${Trend} past=${past} /></dd></div>
            <div class="wide"><dt>latency p50, p99</dt><dd>${now ? `${millis(now.p50)}, ${millis(now.p99)}` : "none"}<${Sparkline} lines=${[p99, p50]} label=${`latency of 99 of 100 events, and of half of them, in the last hour, at most ${millis(most)}`} /></dd></div>
            <div><dt>letters</dt><dd>${projection.parked ? html`<a href=${link(name, "/letters")}>${count(projection.parked)}${projection.held ? `\u2009+\u2009${count(projection.held)}` : ""}</a>` : "none"}</dd></div>
            <div><dt>oplog left</dt><dd>${projection.oplog ? `${100 - Math.min(100, projection.oplog.used_percent)} %` : "?"}</dd></div>
            <div><dt>component</dt><dd>${projection.component ? html`${projection.component} <code>${short(projection.digest).slice(0, 8)}</code>` : "none"}</dd></div>
        </dl>
    </article>`;
}
