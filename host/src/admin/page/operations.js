// What was asked for, by whom, how far it is, and what came of it: also the record of who did what.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { at, get, query } from "./api.js";
import { Act, CommandLine, Trouble, cancel, isUnderWay } from "./dialog.js";
import { useReading } from "./projection.js";
import { known } from "./state.js";
import { Report } from "./tables.js";
import { Typed } from "./typed.js";
import { ago, cli, short } from "./words.js";

const KINDS = ["pause", "resume", "deploy", "rollback", "rebuild", "verify", "replay", "rehearse", "discard", "erase", "accept-generation", "return-generation", "drop-generation", "upload", "reload", "forget"];
const NO_FILTER = { projection: "", kind: "", by: "" };

export function Operations() {
    const [filter, setFilter] = useState(NO_FILTER);
    const [pages, setPages] = useState([""]);
    const [open, setOpen] = useState(null);
    const newest = [...known.operations.values()].at(-1);
    const { value, problem } = useReading(`operations${query({ ...filter, before: pages.at(-1), limit: 50 })}`, newest && `${newest.id} ${newest.state}`);
    const set = (name) => (value) => {
        setFilter({ ...filter, [name]: value });
        setPages([""]);
    };
    const choices = (name, label, all) => html`<label>${label}<select name=${name} value=${filter[name]} onChange=${(event) => set(name)(event.target.value)}><option value="">all</option>${all.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`;
    const told = (one) => known.operations.get(one.id) ?? one;
    return html`
        <h1 tabindex="-1">Operations</h1>
        <p class="lead">What was asked for, by whom, and what came of it.</p>
        <form class="filter" onSubmit=${(event) => event.preventDefault()}>
            ${choices("projection", "Projection", [...known.projections.keys()])}${choices("kind", "Kind", KINDS)}
            <${Typed} name="by" label="By" value=${filter.by} set=${set("by")} />
        </form>
        <${Trouble} problem=${problem} />
        ${value && html`<div class="scroll" tabindex="0" role="region" aria-label="Operations"><table class="operations">
            <thead><tr><th class="number">No.</th><th>What</th><th>Projection</th><th>By</th><th>When</th><th>State</th></tr></thead>
            <tbody>${value.operations.map(told).map((one) => html`<${Operation} key=${one.id} one=${one} isOpen=${open === one.id} toggle=${() => setOpen(open === one.id ? null : one.id)} />`)}</tbody>
        </table></div>`}
        ${value && !value.operations.length && html`<p class="empty">Nothing was asked for.</p>`}
        <div class="buttons pages">
            ${pages.length > 1 && html`<button type="button" onClick=${() => setPages(pages.slice(0, -1))}>Back</button>`}
            ${value?.next && html`<button type="button" onClick=${() => setPages([...pages, value.next])}>Earlier ones</button>`}
        </div>
        <${CommandLine}>${cli("audit", filter.projection || null, ...(filter.by ? ["--by", filter.by] : []), ...(filter.kind ? ["--kind", filter.kind] : []))}<//>`;
}

/** The operations that begin tables beside the live ones, and are done when those are begun. */
const BEGINNING = ["deploy", "rollback", "rebuild", "verify"];

/** The states of a generation in which it can be given up by its operation. */
const BEING_BUILT = ["building", "meeting", "comparing"];

/** The button that ends an operation which goes on, or whose tables are still being built. */
function Cancel({ one }) {
    const [isBuilding, setBuilding] = useState(false);
    const builds = one.state === "done" && BEGINNING.includes(one.kind);
    useEffect(() => {
        let isWanted = true;
        const found = builds ? get(`${at(one.projection)}/generations`) : Promise.resolve({ aside: [] });
        const isOfIt = (generation) => generation.operation === one.id && BEING_BUILT.includes(generation.state);
        found.then(({ aside }) => isWanted && setBuilding(aside.some(isOfIt)), () => {});
        return () => {
            isWanted = false;
        };
    }, [one.id, one.state]);
    if (!isUnderWay(one) && !isBuilding) return null;
    return html`<div class="buttons"><${Act} onClick=${() => cancel(one)}>Cancel …<//></div>`;
}

function Operation({ one, isOpen, toggle }) {
    const [whole, setWhole] = useState(null);
    const show = () => {
        toggle();
        if (!isOpen) get(`operations/${one.id}`).then(setWhole, (problem) => setWhole({ ...one, result: problem.detail }));
    };
    return html`<tr class=${one.state}>
            <td class="number">${one.id}</td>
            <td><button type="button" class="quiet" aria-expanded=${isOpen} onClick=${show}>${one.request.replace(/[0-9a-f]{64}/, short)}</button>${one.parameters.why && html`<br /><span class="soft">${one.parameters.why}</span>`}</td>
            <td>${one.projection || "(host)"}</td><td>${one.requested_by}</td>
            <td><time datetime=${one.requested_at} title=${one.requested_at}>${ago(one.requested_at)}</time></td>
            <td><span class=${`state ${one.state}`}>${one.state}</span></td>
        </tr>
        ${isOpen && html`<tr class="detail"><td></td><td colspan="5">
            ${one.carried_out_by && html`<p>Carried out by ${one.carried_out_by}</p>`}
            ${one.waits && html`<p>Waits: ${one.waits}</p>`}${one.progress && html`<p>${one.progress}</p>`}
            <${Report} operation=${whole ?? one} />
            <${Cancel} one=${one} />
            <pre>${JSON.stringify(one.parameters, null, 2)}</pre>
        </td></tr>`}`;
}
