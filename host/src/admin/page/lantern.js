// The magic lantern: the outbox is the light, the component the slide, the tables the picture. The beam is wide with what goes
// through it now, dims with lag, and ends where something stands still.

import { html } from "./vendor/preact-htm.js";
import { count, duration, plural, rate, short, standing } from "./words.js";

const LAMP = 58;
const SLIDE = 226;
const PICTURE = 514;
const MIDDLE = 60;

/** How wide the beam is, from a thread to the whole slide. */
const width = (perSecond) => 0.1 + 0.9 * Math.min(1, Math.log1p(perSecond) / Math.log1p(2000));

/** How bright it is: full within a second, and dim behind an hour. */
const brightness = (lag) => Math.max(0.22, 1 - (0.78 * Math.log(Math.max(1, lag))) / Math.log(3600));

const cone = (from, above, to, below) =>
    `M${from} ${MIDDLE - above}L${to} ${MIDDLE - below}V${MIDDLE + below}L${from} ${MIDDLE + above}Z`;

const crack = (x) => `M${x} ${MIDDLE - 30}l7 9-11 10 11 11-11 10 11 11-7 9`;

/** What is drawn, for those who do not see it. */
function described(projection, stands) {
    const flow = `${rate(projection.events_per_second)} events a second, ${duration(projection.lag_seconds)} behind`;
    const where = { lamp: "at the outbox", slide: "at the component", picture: "at the tables" }[stands.stopped];
    return `${projection.projection}: ${stands.says}. ${flow}${where ? `. The light ends ${where}` : ""}.`;
}

export function Lantern({ projection, past, isLarge = false }) {
    const stands = standing(projection, past);
    const { stopped } = stands;
    const isDark = stands.kind === "standby" || stands.kind === "starting";
    const open = width(projection.events_per_second);
    const light = isDark ? 0 : brightness(projection.lag_seconds);
    const isNew = projection.deployment && !projection.deployment.taken_up;
    const flows = !stopped && !isDark && projection.events_per_second > 0;
    const reach = { lamp: 96, slide: SLIDE - 8, picture: 452 }[stopped] ?? PICTURE;
    const first = Math.min(reach, SLIDE - 8);
    const at = (x, from, to, least, most) => least + ((most - least) * (x - from)) / (to - from);
    const wide = 4 + 17 * open;
    const last = 6 + 44 * open;
    return html`<svg class=${`lantern ${stands.kind}`} viewBox="0 0 600 120" role="img" aria-label=${described(projection, stands)}>
        ${!isDark && html`<circle class="glow" cx=${LAMP - 22} cy=${MIDDLE} r=${24 + 14 * open} opacity=${light} />`}
        ${(isDark || stopped) && html`<path class="thread" d=${`M${isDark ? LAMP : reach} ${MIDDLE}H${PICTURE}`} />`}
        <g opacity=${light}>
            <path class="beam" d=${cone(LAMP, 3, first, at(first, LAMP, SLIDE, 3, wide))} />
            ${reach > SLIDE && html`<path class="beam far" d=${cone(SLIDE + 8, wide, reach, at(reach, SLIDE, PICTURE, wide, last))} />`}
        </g>
        ${flows && isLarge && html`<${Motes} open=${open} />`}
        <${Lamp} isDark=${isDark || stopped === "lamp"} />
        <${Picture} lit=${reach === PICTURE ? light : 0} last=${last} />
        <g key=${projection.digest} class="slide">
            <rect class="frame" x=${SLIDE - 8} y=${MIDDLE - 31} width="16" height="62" rx="2.5" />
            <rect class="glass" x=${SLIDE - 4} y=${MIDDLE - 23} width="8" height="46" rx="1" />
        </g>
        ${isNew && html`<g class="slide next"><rect class="frame" x=${SLIDE - 8} y="-40" width="16" height="62" rx="2.5" /></g>`}
        <${Fallen} parked=${projection.parked} held=${projection.held} />
        ${stopped && html`<path class="crack" d=${crack(stopped === "slide" ? SLIDE + 24 : reach + 8)} />`}
    </svg>`;
}

const Lamp = ({ isDark }) => html`<g class="lamp">
    <path class="body" d="M14 40h36a5 5 0 0 1 5 5v30a5 5 0 0 1-5 5H14a5 5 0 0 1-5-5V45a5 5 0 0 1 5-5ZM24 40v-9h16v9M20 80v6m24-6v6" />
    <path class="body" d="M55 52h5v16h-5" />
    <circle class=${isDark ? "wick" : "wick lit"} cx="34" cy=${MIDDLE} r="7.5" />
</g>`;

/** The light itself: it fades on its way. Once for all lanterns of the page. */
export const Rays = () => html`<svg class="rays" width="0" height="0" aria-hidden="true"><defs>
    <linearGradient id="near" gradientUnits="userSpaceOnUse" x1=${LAMP} x2=${SLIDE} y1="0" y2="0"><stop class="ray" offset="0" stop-opacity="0.95" /><stop class="ray" offset="1" stop-opacity="0.6" /></linearGradient>
    <linearGradient id="far" gradientUnits="userSpaceOnUse" x1=${SLIDE} x2=${PICTURE} y1="0" y2="0"><stop class="ray" offset="0" stop-opacity="0.62" /><stop class="ray" offset="1" stop-opacity="0.24" /></linearGradient>
</defs></svg>`;

/** The tables: lines of rows, as far as the light reaches. */
const Picture = ({ lit, last }) => html`<g class="picture">
    <rect class="screen" x=${PICTURE} y="8" width="78" height="104" rx="4" />
    <rect class="image" x=${PICTURE} y=${MIDDLE - last} width="78" height=${last * 2} rx="4" opacity=${lit} />
    ${[24, 42, 60, 78, 96].map((y) => html`<path class="line" d=${`M${PICTURE + 11} ${y}h14m8 0h12m8 0h15`} />`)}
</g>`;

/** Dust in the beam: it moves while events do. */
const Motes = ({ open }) => html`<g class="motes">
    ${[0, 1, 2, 3, 4, 5, 6, 7].map((index) => {
        const off = ((index * 37) % 17) / 17 - 0.5;
        const style = { animationDelay: `${-index * 0.43}s`, "--rise": `${off * 70 * open}px` };
        return html`<circle class="mote" cx=${LAMP + 6} cy=${MIDDLE} r=${1 + (index % 3) * 0.5} style=${style} />`;
    })}
</g>`;

/** Letters: what the slide let fall, and what waits behind it. */
function Fallen({ parked, held }) {
    const shown = (value) => Math.min(value, 5);
    const box = (name, index) => html`<rect class=${name} x=${SLIDE - 8 + index * 12} y="100" width="9" height="7" rx="1.2" />`;
    return html`<g class="fallen">
        ${Array.from({ length: shown(parked) }, (_, index) => box("parked", index))}
        ${Array.from({ length: shown(held) }, (_, index) => box("held", shown(parked) + index))}
    </g>`;
}

/** What each part of the picture stands for, with its figures. */
export function Captions({ projection }) {
    const { oplog, deployment } = projection;
    const next = deployment && !deployment.taken_up ? `; ${short(deployment.digest)} is being taken up` : "";
    return html`<dl class="captions">
        <div><dt>Outbox</dt><dd>MongoDB${oplog && html`<span class="soft">, oplog ${100 - Math.min(100, oplog.used_percent)} % left</span>`}</dd></div>
        <div><dt>Slide</dt><dd>${projection.component || "none yet"} <code>${short(projection.digest)}</code>${next}</dd></div>
        <div><dt>Beam</dt><dd><b>${rate(projection.events_per_second)}</b> events/s <span class="soft">${plural(projection.lag_events, "event")} waiting</span></dd></div>
        <div><dt>Picture</dt><dd>MySQL <span class="soft">${count(projection.events)} events applied</span></dd></div>
    </dl>`;
}
