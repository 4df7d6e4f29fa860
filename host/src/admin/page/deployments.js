// Deployments: the slides that were shown, by whom and when; another one, looked at before it is put in; the one before.

import { html, useState } from "./vendor/preact-htm.js";
import { at, get, post, upload } from "./api.js";
import { Act, CommandLine, Trouble, ask, change } from "./dialog.js";
import { differing } from "./diff.js";
import { lately, useReading } from "./projection.js";
import { isOperator } from "./state.js";
import { bytes, cli, count, duration, moment, plural, short } from "./words.js";

export function Deployments({ name, projection }) {
    const { value, problem } = useReading(`${at(name)}/deployments?limit=12`, projection.digest, projection.deployment?.taken_up, lately(name));
    const rollback = () =>
        ask({
            title: `Roll ${name} back?`,
            says: "The component before takes the place of this one.",
            button: "Roll back",
            cli: cli("rollback", name),
            act: change(`${at(name)}/rollback`),
        });
    const all = value?.deployments ?? [];
    return html`<section aria-labelledby="deployments">
        <div class="title"><h2 id="deployments">Slides</h2><div class="buttons"><${Act} onClick=${rollback} disabled=${all.length < 2}>Roll back<//></div></div>
        <${Trouble} problem=${problem} />
        <div class="slides">
            <${Next} name=${name} />
            <ol class="timeline" aria-label="Deployments, the newest first">${all.map((one, index) => html`<${Deployed} key=${one.id} one=${one} isNow=${index === 0 && projection.deployment?.digest === one.digest} projection=${projection} />`)}</ol>
        </div>
    </section>`;
}

function Deployed({ one, isNow, projection }) {
    const state = isNow && projection.deployment && !projection.deployment.taken_up ? "is being taken up" : one.state.replaceAll("-", " ");
    return html`<li class=${isNow ? "now" : ""}>
        <p><b>${one.name} ${one.version}</b> <code>${short(one.digest)}</code> ${isNow && html`<span class="tag">in force</span>`}</p>
        <p class="soft">${state}, <time datetime=${one.at} title=${one.at}>${moment(one.at)}</time> by ${one.by}, ${one.origin}</p>
        ${one.upcaster && html`<p class="soft">behind the upcaster ${one.upcaster.name} ${one.upcaster.version}</p>`}
        ${(one.reason ?? one.waits) && html`<p>${one.reason ?? one.waits}</p>`}
        ${isNow && projection.deployment?.canary && html`<${Canary} canary=${projection.deployment.canary} />`}
    </li>`;
}

/** While it may be taken back. */
function Canary({ canary }) {
    return html`<p>Its canary window lasts ${duration(canary.seconds_left)} yet; ${plural(canary.events, "event")} ${canary.events === 1 ? "was" : "were"} taken with it. An event that it fails, and <code>${short(canary.previous)}</code> takes, has it taken back.</p>`;
}

/** How many of the outbox's last documents a shadow run projects. */
const DOCUMENTS = 1000;

/** What is looked at of a component before there is a button to deploy it. */
async function inspect(name, file, tell) {
    tell({ file, doing: "It is loaded, and its SQL is checked" });
    const stored = await upload(name, file);
    tell({ file, stored, doing: "It is tried on the live tables" });
    const [outline, fits] = await Promise.all([
        get(`components/${stored.projector}`),
        post(`${at(name)}/deployments?dry_run=true`, { digest: stored.digest }),
    ]);
    tell({ file, stored, outline, fits, doing: `It runs beside the one in force over the last ${count(DOCUMENTS)} documents` });
    const shadow = await post(`${at(name)}/shadow`, { digest: stored.digest, documents: DOCUMENTS });
    tell({ file, stored, outline, fits, shadow });
}

function Next({ name }) {
    const [next, tell] = useState(null);
    const [isOver, setOver] = useState(false);
    const take = (file) => {
        if (!file || !isOperator()) return;
        let last = {};
        inspect(name, file, (now) => tell((last = now))).catch((problem) => tell({ ...last, doing: null, problem }));
    };
    const drop = (event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer.files[0]);
    };
    return html`<div class="next">
        <label class=${`drop${isOver ? " over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
            <svg viewBox="0 0 40 56" aria-hidden="true"><rect class="frame" x="3" y="3" width="34" height="50" rx="4" /><rect class="glass" x="10" y="12" width="20" height="32" rx="2" /></svg>
            <span><b>Another slide</b><br /><span class="soft">Drop a .wasm here, or choose one. It is shown before it is deployed.</span></span>
            <input type="file" name="component" accept=".wasm,application/wasm" disabled=${!isOperator()} onChange=${(event) => { take(event.target.files[0]); event.target.value = ""; }} />
        </label>
        ${next && html`<${Inspection} name=${name} next=${next} done=${() => tell(null)} />`}
    </div>`;
}

function Inspection({ name, next: { file, stored, outline, fits, shadow, doing, problem }, done }) {
    return html`<div class="inspection" aria-live="polite">
        <h3>${outline ? `${outline.name} ${outline.version}` : file.name} <span class="soft">${bytes(file.size)}</span></h3>
        <dl>
            ${stored && html`<div><dt>digest</dt><dd><code>${short(stored.digest)}</code></dd></div>
            <div><dt>tables</dt><dd>${stored.tables.join(", ")}</dd></div>
            <div><dt>statements</dt><dd>${count(stored.statements)}, each of them checked</dd></div>`}
            ${outline && html`<div><dt>imports</dt><dd><${Imports} all=${outline.imports} /></dd></div>`}
            ${fits && html`<div><dt>its tables</dt><dd>${fits.on_live_tables ? "are the live ones: the lanes take it up in a moment" : "are others: they are built beside the live ones, which stay until these take their place"}</dd></div>`}
            ${fits && html`<div><dt>SQL</dt><dd>${fits.sql.length ? html`${plural(fits.sql.length, "declaration differs", "declarations differ")} from the component in force` : "declared as by the component in force"}</dd></div>`}
            ${shadow && html`<div><dt>shadow run</dt><dd>${differences(shadow)}</dd></div>`}
        </dl>
        ${fits?.sql.length > 0 && html`<${Declarations} changes=${fits.sql} />`}
        ${shadow?.differences > 0 && html`<${Differences} types=${shadow.types} />`}
        ${doing && html`<p class="soft">${doing} …</p>`}
        <${Trouble} problem=${problem} />
        <div class="buttons">
            ${shadow && html`<${Act} onClick=${() => deploy(name, file, stored, outline, shadow, done)}>Deploy …<//>`}
            <button type="button" onClick=${done}>Put it away</button>
        </div>
        ${stored && html`<${CommandLine}>${cli("deploy", file.name, "--projection", name, "--shadow", DOCUMENTS)}<//>`}
    </div>`;
}

/** Tables and statements that are declared otherwise. */
function Declarations({ changes }) {
    return html`<div class="told" tabindex="0" role="region" aria-label="What is declared otherwise">${changes.map((one) => html`<section>
        <h4>${one.kind} ${one.name} <span class="soft">${one.before === null ? "is new" : one.next === null ? "goes" : "changes"}</span></h4>
        <pre class="diff">${differing(one.before, one.next).map(([sign, text]) => html`<span class=${{ "−": "gone", "+": "come" }[sign]}>${`${sign} ${text}\n`}</span>`)}</pre>
    </section>`)}</div>`;
}

/** What both make of the first events of each type where they differ. */
function Differences({ types }) {
    return html`<div class="told" tabindex="0" role="region" aria-label="Where the two differ">${types.map((of) => html`<section>
        <h4>${of.event_type} <span class="soft">${of.differences ? `${count(of.differences)} of ${plural(of.events, "event")}` : `${plural(of.events, "event")}, the same`}</span></h4>
        ${of.shown.map((one) => html`<div class="both"><p class="soft">event <code>${one.event}</code></p>
            <pre class="before"><span class="soft">in force</span>${`\n${one.before.join("\n")}`}</pre><pre class="after"><span class="soft">this one</span>${`\n${one.next.join("\n")}`}</pre></div>`)}
    </section>`)}</div>`;
}

/** What it asks of its host: which packages, and which of their interfaces for who looks closer. */
function Imports({ all }) {
    if (!all.length) return "nothing";
    const packages = [...new Set(all.map((one) => one.split("/")[0]))];
    return html`<details><summary>${packages.join(", ")}</summary>${all.join(", ")}</details>`;
}

function differences({ events, differences: found }) {
    if (!events) return "there are no events to compare over";
    if (!found) return `the same for all of the last ${plural(events, "event")}`;
    return html`<b>${count(found)} of the last ${plural(events, "event")}</b> would be projected otherwise`;
}

function deploy(name, file, stored, outline, shadow, done) {
    const otherwise = shadow.differences ? ` ${count(shadow.differences)} of the last ${plural(shadow.events, "event")} would be projected otherwise.` : "";
    ask({
        title: `Deploy ${outline.name} ${outline.version} to ${name}?`,
        says: `It takes the place of the one in force.${otherwise} Where it fails an event within its canary window that the one before takes, it is taken back.`,
        fields: [{ name: "canary", label: "Canary window, in seconds", value: "60" }],
        button: "Deploy",
        cli: ({ canary }) => cli("deploy", file.name, "--projection", name, "--canary", canary || 60),
        act: ({ canary }, key) => post(`${at(name)}/deployments`, { digest: stored.digest, canary_seconds: Number(canary) }, key),
        then: done,
    });
}

