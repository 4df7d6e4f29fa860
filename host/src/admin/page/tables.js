// The tables of a projection: the live ones, those beside them, made anew, compared, brought back, given up.

import { html, useState } from "./vendor/preact-htm.js";
import { at, post } from "./api.js";
import { Act, Trouble, ask, change, CommandLine } from "./dialog.js";
import { lately, useReading } from "./projection.js";
import { cli, count, duration, moment, plural, short } from "./words.js";

export function Tables({ name, projection }) {
    const { phase, digest, beside, deployment } = projection;
    // What takes the place of the live tables tells so by the component that it works with.
    const { value, problem, again } = useReading(`${at(name)}/generations`, beside?.events, beside?.generation, phase, digest, deployment?.taken_up, lately(name));
    const [report, setReport] = useState(null);
    const rebuild = () =>
        ask({
            title: `Make the tables of ${name} anew?`,
            says: "They are built from history beside the live ones, which readers go on to read, and then take their place.",
            button: "Rebuild",
            cli: cli("rebuild", name),
            act: change(`${at(name)}/generations`, {}),
            then: again,
        });
    const verify = (repair) => () =>
        ask({
            title: repair ? `Compare ${name}, and repair it?` : `Compare ${name} with its history?`,
            says: `The tables are made anew beside the live ones, and both are compared row by row.${repair ? " Where they differ, those that were made anew take their place: changes by other hands go." : " The live ones stay as they are."}`,
            button: repair ? "Compare and repair" : "Compare",
            typed: repair ? name : undefined,
            cli: cli("verify", name, repair ? "--repair" : null),
            act: (_, key) => post(`${at(name)}/verifications`, { repair }, key),
            then: (over) => setReport(over),
        });
    return html`<section aria-labelledby="tables">
        <div class="title"><h2 id="tables">Tables</h2><div class="buttons">
            <${Act} onClick=${verify(false)}>Verify<//><${Act} onClick=${verify(true)} danger=${true}>Verify and repair<//><${Act} onClick=${rebuild}>Rebuild<//>
        </div></div>
        <${Trouble} problem=${problem} />
        ${value && html`<ul class="generations">
            <li class="now"><p><b>Generation ${value.live.generation}</b> <span class="tag">live</span> <span class="soft">in ${value.live.place}, ${plural(value.live.events, "event")}, ${plural(value.live.letters, "letter")}</span></p></li>
            ${value.aside.map((one) => html`<${Aside} key=${one.generation} name=${name} one=${one} again=${again} />`)}
        </ul>`}
        ${report && html`<${Report} operation=${report} />`}
    </section>`;
}

function Aside({ name, one, again }) {
    const number = one.generation;
    const path = `${at(name)}/generations/${number}`;
    const isKept = one.state === "kept";
    const give = () =>
        ask({
            title: `Drop generation ${number} of ${name}?`,
            says: `Its tables go for good, with ${plural(one.letters, "letter")} of its own. The live ones stay as they are.`,
            button: "Drop it",
            typed: String(number),
            cli: cli("generations", "drop", name, number),
            act: change(`${path}/drop`),
            then: again,
        });
    const bring = () =>
        ask({
            title: `Return to generation ${number}?`,
            says: "It catches up, and takes the live one's place again.",
            button: "Return to it",
            cli: cli("generations", "return", name, number),
            act: change(`${path}/return`),
            then: again,
        });
    const accept = () =>
        ask({
            title: `Let generation ${number} take the live one's place?`,
            says: one.lacks ? `It lacks ${one.lacks}. These rows go from what readers read.` : "It does so although it has letters of events that the live one took.",
            button: "Accept it",
            typed: one.lacks ? name : undefined,
            cli: cli("generations", "accept", name, number),
            act: change(`${path}/accept`, { shown: one.lacks ?? "" }),
            then: again,
        });
    return html`<li>
        <p><b>Generation ${number}</b> <span class="tag">${one.state.replaceAll("-", " ")}</span> <span class="soft">to ${one.purpose}, by ${one.by}, ${moment(one.since)}, component <code>${short(one.digest)}</code></span></p>
        ${!isKept && html`<p class="progress"><progress max=${one.expected || 1} value=${Math.min(one.events, one.expected || 1)} aria-label=${`generation ${number}`}></progress>
            ${count(one.events)} of about ${count(one.expected)} events${one.seconds_left ? `, ${duration(one.seconds_left)} left` : ""}</p>`}
        ${one.reason && html`<p>Waits: ${one.reason}</p>`}
        ${one.lacks && html`<p>Lacks ${one.lacks}</p>`}
        <div class="buttons">
            ${!isKept && one.reason && html`<${Act} onClick=${accept} danger=${Boolean(one.lacks)}>Accept<//>`}
            ${isKept && html`<${Act} onClick=${bring}>Return to it<//>`}
            <${Act} onClick=${give} danger=${true}>Drop<//>
        </div>
    </li>`;
}

/** What a comparison found. A result that is no report is its reason. */
export function Report({ operation }) {
    const report = operation.result;
    if (!report || typeof report === "string") return html`<p class=${["failed", "cancelled"].includes(operation.state) ? "trouble" : ""}>${report}</p>`;
    const { tables } = report;
    const found = tables.reduce((sum, table) => sum + table.missing.rows + table.extra.rows + table.different.rows, 0);
    const isClean = tables.every((table) => !table.not_compared && !table.definition.length) && !found;
    return html`<div class="report" aria-live="polite">
        <h3>${isClean ? "The tables are what history makes of them" : `${plural(found, "row differs", "rows differ")} from what history makes of the tables`}</h3>
        <p class="soft">Compared at ${report.position} in ${duration(report.seconds)}; ${plural(report.letters, "letter")}, ${count(report.discarded)} discarded.</p>
        <table><thead><tr><th>Table</th><th class="number">Rows</th><th class="number">Missing</th><th class="number">Too many</th><th class="number">Different</th></tr></thead>
        <tbody>${tables.map((table) => html`<tr><td>${table.table}${[table.not_compared, ...table.definition].filter(Boolean).map((told) => html`<br /><span class="soft">${told}</span>`)}</td>
            <td class="number">${count(table.live_rows)}</td><td class="number">${count(table.missing.rows)}</td><td class="number">${count(table.extra.rows)}</td><td class="number">${count(table.different.rows)}</td></tr>`)}</tbody></table>
        ${tables.map((table) => html`<${Samples} key=${table.table} table=${table} />`)}
        ${report.lacks && html`<p>The outbox does not hold any more: ${report.lacks}</p>`}
        <details><summary>The whole report</summary><pre>${JSON.stringify(report, null, 2)}</pre></details>
        <${CommandLine}>${cli("verify", operation.projection, "--json")}<//>
    </div>`;
}

/** The first rows that differ, by their keys. */
const Samples = ({ table }) => html`${table.different.samples.map(
    (row) => html`<p><code>${table.table}</code> ${row.key.join(", ")}: ${row.differences.map(
        (one) => html`<span class="difference">${one.column} <s>${one.live ?? "NULL"}</s> <b>${one.rebuilt ?? "NULL"}</b></span> `,
    )}</p>`,
)}`;
