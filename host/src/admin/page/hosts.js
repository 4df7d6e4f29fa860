// Hosts: which one answers, who leads which projection, and who stands by.

import { html, useEffect } from "./vendor/preact-htm.js";
import { CommandLine, Trouble } from "./dialog.js";
import { useReading } from "./projection.js";
import { known } from "./state.js";
import { cli, count, moment } from "./words.js";

/** How often it is read anew, in milliseconds. */
const EVERY_MS = 3000;

export function Hosts() {
    const { value, problem, again } = useReading("hosts");
    useEffect(() => {
        const timer = setInterval(again, EVERY_MS);
        return () => clearInterval(timer);
    }, []);
    const here = (lease) => lease.owner === value.here;
    return html`
        <h1 tabindex="-1">Hosts</h1>
        <p class="lead">${value ? html`<b>${value.here}</b> answers, version ${value.version}.` : "…"}</p>
        <${Trouble} problem=${problem} />
        ${value && html`<div class="scroll" tabindex="0" role="region" aria-label="Leases"><table>
            <thead><tr><th>Projection</th><th>Led by</th><th class="number">Epoch</th><th>Lease</th><th>This host</th></tr></thead>
            <tbody>${value.leases.map(
                (lease) => html`<tr key=${lease.projection} class=${lease.held ? "" : "still"}>
                    <td><a href=${`#/projections/${encodeURIComponent(lease.projection)}`}>${lease.projection}</a></td>
                    <td>${lease.held ? html`<b>${lease.owner}</b>` : html`nobody, last ${lease.owner}`} ${here(lease) && html`<span class="tag">this host</span>`}</td>
                    <td class="number">${count(lease.epoch)}</td>
                    <td>${lease.held ? "until" : "ran out"} <time datetime=${lease.expires_at}>${moment(lease.expires_at)}</time></td>
                    <td>${known.projections.get(lease.projection)?.phase ?? "does not run it"}</td>
                </tr>`,
            )}</tbody>
        </table></div>`}
        <${CommandLine}>${cli("hosts")}<//>`;
}
