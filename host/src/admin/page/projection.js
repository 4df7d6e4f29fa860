// One projection: its lantern, what is wrong and what to do, its lanes, costs, deployments and tables.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { Search } from "./aggregate.js";
import { at, get, post } from "./api.js";
import { Chart, Histogram } from "./chart.js";
import { Deployments } from "./deployments.js";
import { Act, ask, change } from "./dialog.js";
import { Captions, Lantern } from "./lantern.js";
import { link } from "./overview.js";
import { known } from "./state.js";
import { Tables } from "./tables.js";
import { cli, count, millis, plural, short, standing } from "./words.js";

/** What is read of a projection beside its stream, anew when something happens. */
export function useReading(path, ...when) {
    const [told, tell] = useState({ value: null, problem: null });
    const [turn, again] = useState(0);
    useEffect(() => {
        let isWanted = true;
        get(path).then(
            (value) => isWanted && tell({ value, problem: null }),
            (problem) => isWanted && tell((before) => ({ ...before, problem })),
        );
        return () => {
            isWanted = false;
        };
    }, [path, turn, ...when]);
    return { ...told, again: () => again((count) => count + 1) };
}

/** Changes whenever an operation on a projection goes on. */
export function lately(name) {
    const own = [...known.operations.values()].filter((one) => one.projection === name);
    return own.map((one) => `${one.id} ${one.state}`).join();
}

export function Projection({ name }) {
    const projection = known.projections.get(name);
    if (!projection) return html`<h1 tabindex="-1">${name}</h1><p class="soft">${known.projections.size ? "This host has no projection of this name." : "…"}</p>`;
    const past = known.past.get(name);
    const stands = standing(projection, past);
    return html`
        <div class=${`hero ${stands.kind}`}>
            <div class="title"><h1 tabindex="-1">${name}</h1><${Controls} projection=${projection} /></div>
            <p class="says" aria-live="polite">${stands.says}.</p>
            ${stands.todo && html`<p class="todo"><span class="soft">What to do:</span> ${stands.todo}</p>`}
            ${projection.warning && html`<p class="todo"><span class="soft">Soon:</span> ${projection.warning}</p>`}
            <${Lantern} projection=${projection} past=${past} isLarge=${true} />
            <${Captions} projection=${projection} />
        </div>
        <${Search} name=${name} />
        ${past && html`<div class="charts">
            <${Chart} title="Throughput" unit="events/s" tone="--light" at=${past.at} values=${past.rate} />
            <${Chart} title="Lag" unit="s" tone="--ink-soft" at=${past.at} values=${past.lag} />
            <${Chart} title="Latency of 99 of 100 events" unit="ms" tone="--ink-soft" at=${past.at} values=${past.p99} />
            <${Minute} minute=${projection.last_minute} />
            ${projection.last_minute.latencies.length > 0 && html`<${Histogram} title="Events by their latency in milliseconds" sizes=${TIMES} counts=${projection.last_minute.latencies} />`}
            ${projection.last_minute.batches.length > 0 && html`<${Histogram} title="Batches by their events" sizes=${SIZES} counts=${projection.last_minute.batches} />`}
        </div>`}
        <${Lanes} projection=${projection} />
        <${Deployments} name=${name} projection=${projection} />
        <${Tables} name=${name} projection=${projection} />
        <${Costs} projection=${projection} />`;
}

/** The upper ends of the ranges of batches, in events, and of latencies; the last one has what lies beyond. */
const SIZES = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1k", "2k", "more"];
const TIMES = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1 s", "2 s", "5 s", "more"];

/** How long things took in the last minute, and how large batches were. */
function Minute({ minute }) {
    const of = (title, figures, shown) => figures && html`<tr><th scope="row">${title}</th><td class="number">${shown(figures.p50)}</td><td class="number">${shown(figures.p99)}</td></tr>`;
    return html`<div class="minute">
        <table aria-label="The last minute"><thead><tr><th>The last minute</th><th class="number">half</th><th class="number">99 of 100</th></tr></thead><tbody>
            ${of("Latency", minute.latency_ms, millis)}${of("A batch in the sandbox", minute.projecting_ms, millis)}${of("Its transaction", minute.committing_ms, millis)}${of("Events of a batch", minute.batch_events, count)}
            ${!minute.batch_events && html`<tr><td colspan="3" class="soft">Nothing was applied.</td></tr>`}
        </tbody></table>
    </div>`;
}

function Controls({ projection }) {
    const name = projection.projection;
    const isPaused = projection.phase === "paused";
    const pause = () =>
        ask({
            title: `Pause ${name}?`,
            says: "It takes no events until it is resumed. Its letters can still be replayed and discarded.",
            fields: [{ name: "why", label: "Why: it is shown to everybody" }],
            button: "Pause",
            cli: ({ why }) => cli("pause", name, "--why", why || "…"),
            act: ({ why }, key) => post(`${at(name)}/pause`, { why }, key),
        });
    const resume = () =>
        ask({
            title: `Resume ${name}?`,
            says: "It takes events again, from where it stands.",
            button: "Resume",
            cli: cli("resume", name),
            act: change(`${at(name)}/resume`),
        });
    return html`<div class="buttons">
        ${isPaused && ["paused", "breaker-open"].includes(projection.class) ? html`<${Act} onClick=${resume}>Resume<//>` : html`<${Act} onClick=${pause} disabled=${isPaused}>Pause<//>`}
        <a class=${projection.parked ? "button primary" : "button"} href=${link(name, "/letters")}>${projection.parked ? plural(projection.parked + projection.held, "letter") : "Letters"}</a>
    </div>`;
}

function Lanes({ projection }) {
    if (!projection.lanes.length) return null;
    return html`<section aria-labelledby="lanes"><h2 id="lanes">Lanes</h2><div class="scroll" tabindex="0" role="region" aria-label="Lanes"><table>
        <thead><tr><th>Lane</th><th>Does now</th><th class="number">Waiting</th><th class="number">Events</th><th>Component</th><th>Position</th></tr></thead>
        <tbody>${projection.lanes.map(
            (lane) => html`<tr key=${lane.lane} class=${lane.trouble ? "still" : ""}>
                <td>${lane.lane}</td>
                <td>${lane.trouble ?? lane.doing ?? html`<span class="soft">nothing to do</span>`}</td>
                <td class="number">${count(lane.waiting)}</td><td class="number">${count(lane.events)}</td>
                <td><code>${short(lane.digest)}</code></td><td class="long"><code>${lane.position}</code></td>
            </tr>`,
        )}</tbody></table></div></section>`;
}

/** What events cost, by type: fuel, beside the component before, and time in MySQL. */
function Costs({ projection }) {
    const [now, before] = projection.components ?? [];
    if (!now?.fuel.length) return null;
    const most = Math.max(...now.fuel.map((cost) => cost.mean));
    const earlier = (type) => before?.fuel.find((cost) => cost.type === type)?.mean;
    const inMysql = (type) => projection.commit_times.find((one) => one.type === type)?.mean_us;
    return html`<section aria-labelledby="costs"><h2 id="costs">What events cost</h2>
        ${now.impure && html`<p>It was caught keeping state, so it gets each event on a fresh instance.</p>`}
        <div class="scroll" tabindex="0" role="region" aria-label="What events cost"><table>
        <thead><tr><th>Type</th><th class="number">Fuel, mean</th><th></th><th class="number">99 of 100</th><th class="number">Highest</th><th class="number">Before</th><th class="number">Measured</th><th class="number">In MySQL</th></tr></thead>
        <tbody>${now.fuel.map(
            (cost) => html`<tr key=${cost.type}><td>${cost.type}</td><td class="number">${count(cost.mean)}</td>
                <td class="bar"><meter min="0" max=${most} value=${cost.mean} aria-label=${`fuel of ${cost.type}`}></meter></td>
                <td class="number">${count(cost.p99)}</td><td class="number">${count(cost.max)}</td>
                <td class="number">${earlier(cost.type) ? count(earlier(cost.type)) : ""}</td><td class="number">${count(cost.runs)}</td>
                <td class="number">${inMysql(cost.type) === undefined ? "" : millis(inMysql(cost.type) / 1000)}</td></tr>`,
        )}</tbody></table></div></section>`;
}

