// Figures over time: a small line, and a chart of uPlot's.

import { html, useEffect, useRef } from "./vendor/preact-htm.js";

/** Points of a small line. */
const POINTS = 60;

/** The highest value of each piece, where there are more values than points. */
function highest(values) {
    const every = Math.max(1, Math.ceil(values.length / POINTS));
    const points = [];
    for (let from = values.length % every; from < values.length; from += every) {
        points.push(Math.max(...values.slice(from, from + every).map((value) => value ?? 0)));
    }
    return points;
}

/** Lines without axes, the first one the strongest: the newest values stand beside them. What they show is told in words, too. */
export function Sparkline({ lines, label }) {
    const drawn = lines.map(highest);
    const count = drawn[0].length;
    if (count < 2) return html`<svg class="spark" viewBox="0 0 100 24" aria-hidden="true"></svg>`;
    const most = Math.max(1, ...drawn.flat());
    const line = (points) => points.map((value, index) => `${((index * 100) / (count - 1)).toFixed(1)},${(22 - (value / most) * 20).toFixed(1)}`).join(" ");
    return html`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label=${label}>${drawn.map((points) => html`<polyline points=${line(points)} />`)}</svg>`;
}

/** How many there are of each size, as bars. `sizes` has the upper end of each. */
export function Histogram({ title, sizes, counts }) {
    const most = Math.max(1, ...counts);
    const told = sizes.map((size, index) => counts[index] && `up to ${size}: ${counts[index]}`).filter(Boolean);
    return html`<figure class="chart histogram"><figcaption>${title} <span class="soft">in the last minute</span></figcaption>
        <svg viewBox=${`0 0 ${sizes.length * 10} 34`} preserveAspectRatio="xMinYMid" role="img" aria-label=${`${title}: ${told.join(", ")}`}>
            ${sizes.map((size, index) => html`<rect x=${index * 10 + 1} width="8" y=${24 - (counts[index] / most) * 22} height=${(counts[index] / most) * 22 + 0.6} /><text x=${index * 10 + 5} y="32">${size}</text>`)}
        </svg></figure>`;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width, { unit, tone }) {
    const soft = colour("--ink-soft");
    const axis = { stroke: soft, font: "12px " + colour("--sans"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
    const clock = (_, moments) => {
        // Minutes do not tell moments apart that are seconds apart.
        const second = moments[1] - moments[0] < 60 ? "2-digit" : undefined;
        return moments.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second }));
    };
    return {
        width,
        height: 150,
        legend: { show: false },
        cursor: { y: false, points: { size: 7 } },
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.15)] } },
        axes: [{ ...axis, values: clock, space: 90, grid: { show: false } }, { ...axis, size: 54, space: 36 }],
        series: [{}, { label: unit, stroke: colour(tone), width: 1.75, fill: colour(`${tone}-faint`), points: { show: false } }],
    };
}

/** A chart of one figure, as wide as there is room, drawn anew when the colours change. */
export function Chart({ title, at, values, unit, tone }) {
    const place = useRef(null);
    const plot = useRef(null);
    const data = useRef([[], []]);
    data.current = [at, values];
    useEffect(() => {
        const dark = matchMedia("(prefers-color-scheme: dark)");
        const draw = () => {
            plot.current?.destroy();
            plot.current = new globalThis.uPlot(options(place.current.clientWidth, { unit, tone }), data.current, place.current);
        };
        const fit = new ResizeObserver(() => plot.current?.setSize({ width: place.current.clientWidth, height: 150 }));
        draw();
        fit.observe(place.current);
        dark.addEventListener("change", draw);
        return () => {
            fit.disconnect();
            dark.removeEventListener("change", draw);
            plot.current.destroy();
        };
    }, []);
    useEffect(() => plot.current?.setData([at, values]));
    const now = values.at(-1) ?? null;
    const most = values.reduce((one, other) => Math.max(one, other ?? 0), 0);
    const figures = (value) => (Number.isInteger(value) ? value : value.toFixed(1));
    return html`<figure class="chart">
        <figcaption>${title} <b>${now === null ? "nothing measured" : `${figures(now)} ${unit}`}</b> <span class="soft">at most ${figures(most)} in the last hour</span></figcaption>
        <div ref=${place} aria-hidden="true"></div>
    </figure>`;
}
