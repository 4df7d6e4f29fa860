// The buttons that break and mend, and what was done.

import { html } from "./vendor/preact-htm.js";
import { known, press } from "./stage.js";

export function Buttons() {
    const groups = [...new Set(known.buttons.map((one) => one.group))];
    return html`<section class="break" aria-labelledby="break">
        <div class="title"><h2 id="break">Break it</h2>
            <button type="button" onClick=${() => press("tour")}>Play the tour</button></div>
        <div class="panels">
            <div class="groups">${groups.map((group) => html`<div key=${group} class="group"><h3>${group}</h3>
                <div class="buttons">${known.buttons.filter((one) => one.group === group).map((one) => html`<${Button} key=${one.name} one=${one} />`)}</div></div>`)}</div>
            <${Told} />
        </div>
    </section>`;
}

function Button({ one }) {
    const isBusy = known.busy.has(one.name);
    return html`<button type="button" class=${one.heals ? "" : "danger"} disabled=${isBusy} title=${one.watch} onClick=${() => press(one.name)}>${isBusy ? `${one.label} …` : one.label}</button>`;
}

function Told() {
    const { told } = known.standing;
    return html`<div class="log"><h3>What was done</h3>
        ${!told.length && html`<p class="soft">Nothing yet. Each button says here what it did, and what to watch for.</p>`}
        <ol aria-live="polite">${[...told].reverse().slice(0, 8).map((line, index) => html`<li key=${told.length - index} class=${line.failed ? "failed" : line.watch ? "did" : "came"}>
            <p>${line.text}</p>${line.watch && html`<p class="soft">${line.watch}</p>`}</li>`)}</ol>
    </div>`;
}
