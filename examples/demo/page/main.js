// The page of the demo: both sides of the bank, the way between them, and what breaks it.

import { html, render, useEffect, useState } from "./vendor/preact-htm.js";
import { Buttons } from "./buttons.js";
import { onChange } from "./draw.js";
import { PROJECTIONS, Way } from "./flights.js";
import { Rays } from "./lantern.js";
import { Commands, Queries } from "./sides.js";
import { begin, known } from "./stage.js";

function verdict({ equal, mongodb, mysql, flights }) {
    const isFlying = flights.some(({ stations }) => PROJECTIONS.some(([name]) => !stations[name]));
    if (equal === false && isFlying) return ["moving", "Events are on their way."];
    if (equal === true) return ["equal", "Both sides are equal."];
    if (equal === false) return ["different", "The sides differ."];
    if (!mysql.accounts && !mongodb.accounts) return ["away", "Both databases are away."];
    return ["away", mysql.accounts ? "MongoDB is away: queries go on." : "MySQL is away: commands go on."];
}

function Page() {
    const [, draw] = useState(0);
    useEffect(() => onChange(() => draw((count) => count + 1)), []);
    const { standing, isAway } = known;
    const [kind, says] = standing ? verdict(standing) : ["away", "The hosts are starting."];
    return html`
        <header class="top">
            <span class="brand"><img src="/page/lantern.svg" alt="" width="26" height="26" />Laterna</span>
            <p class="soft">A bank on two databases</p>
        </header>
        ${isAway && html`<p class="away" role="alert"><b>The demo does not answer.</b> What is shown is as it was heard last.</p>`}
        <main id="main">
            <h1 class=${`verdict ${kind}`} role="status">${says}</h1>
            ${standing && html`<div class="stage"><${Commands} /><${Way} /><${Queries} /></div><${Buttons} />`}
        </main>
        <${Rays} />`;
}

render(html`<${Page} />`, document.getElementById("page"));
begin();
