// The way between the sides: the hosts, the projections with their lanterns, and each event on its way through the lanes.

import { html } from "./vendor/preact-htm.js";
import { Lantern } from "./lantern.js";
import { known, led, projection } from "./stage.js";
import { short, standing } from "./words.js";

export const PROJECTIONS = [
    ["accounts", "Rust"],
    ["statement", "JavaScript"],
    ["audit", "Python"],
];

export function Way() {
    return html`<section class="way" aria-labelledby="way">
        <h2 id="way">The way <span class="soft">Laterna</span></h2>
        <p class="soft">Outbox, lane, component, and one commit.</p>
        <ul class="hosts">${known.standing.hosts.map((host) => html`<${Host} key=${host.name} host=${host} />`)}</ul>
        <ul class="projections">${PROJECTIONS.map(([name, language]) => html`<${Slide} key=${name} name=${name} language=${language} />`)}</ul>
        <${Flights} />
    </section>`;
}

function Host({ host }) {
    const leads = led(host);
    const says = { dead: "is dead", frozen: "is frozen" }[host.state] ?? (leads.length ? `leads${leads.length < PROJECTIONS.length ? ` ${leads.join(" and ")}` : ""}` : host.projections ? "stands by" : "starts");
    return html`<li class=${`host ${host.state} ${leads.length ? "leads" : ""}`}>
        <span><b>Host ${host.name}</b> <span class="says">${says}</span></span>
        <span class="soft">${host.pid ? `process ${host.pid}` : "no process"}</span>
        ${host.state === "runs" && html`<a href=${`http://127.0.0.1:${host.port}/`} target="_blank" rel="noreferrer">its page</a>`}
    </li>`;
}

function Slide({ name, language }) {
    const now = projection(name);
    if (!now) return html`<li class="projection"><p><b>${name}</b> <span class="soft">${language}</span></p><p class="soft">no host says how it stands</p></li>`;
    const stands = standing(now, null);
    return html`<li class=${`projection ${stands.kind}`}>
        <p><b>${name}</b> <code>${short(now.digest).slice(0, 7)}</code></p>
        <p class="soft">${language} ${now.component.split(" ").pop()}</p>
        <${Lantern} projection=${now} past=${null} />
        <p class="says">${stands.says}</p>
    </li>`;
}

const LABELS = { ignored: "not its type", parked: "parked: a letter", held: "held behind it", discarded: "discarded" };

function Flights() {
    const { flights } = known.standing;
    if (!flights.length) return html`<p class="soft empty">No event is on its way. Deposit something.</p>`;
    return html`<ol class="flights" aria-label="Events on their way, the newest first">${flights.slice(0, 5).map((flight) => html`<${Flight} key=${flight.id} flight=${flight} />`)}</ol>`;
}

function Flight({ flight }) {
    return html`<li class="flight">
        <p><b>${flight.kind ?? "event"}</b> <span class="soft">${flight.aggregate ? `${flight.aggregate.slice(0, 12)} ${flight.sequence}` : ""}</span></p>
        <div class="tracks">${PROJECTIONS.map(([name]) => html`<${Track} key=${name} name=${name} station=${flight.stations[name]} />`)}</div>
    </li>`;
}

/** How far an event is on its way to one projection's tables. */
function Track({ name, station }) {
    const state = station?.state ?? "flying";
    const lane = station?.lane === null || station?.lane === undefined ? "" : `lane ${station.lane}`;
    const says = state === "applied" ? `${lane} · ${station.ms} ms` : (LABELS[state] ?? "on its way");
    return html`<div class=${`track ${state}`}><span class="name">${name}</span><span class="rail"><i></i></span><span class="says">${says}</span></div>`;
}
