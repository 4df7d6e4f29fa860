// The page: which view is shown, who looks, and whether the host is heard.

import { html, render, useEffect, useState } from "./vendor/preact-htm.js";
import { Aggregate } from "./aggregate.js";
import { forgetToken, keepToken, token } from "./api.js";
import { Answers, Dialog } from "./dialog.js";
import { onChange } from "./draw.js";
import { Hosts } from "./hosts.js";
import { Rays } from "./lantern.js";
import { Letters } from "./letters.js";
import { Operations } from "./operations.js";
import { Overview } from "./overview.js";
import { Projection } from "./projection.js";
import { begin, known } from "./state.js";

/** The parts of the address behind `#/`. */
function place() {
    const parts = location.hash.replace(/^#\/?/, "").split("/");
    try {
        return parts.map(decodeURIComponent);
    } catch {
        return [""];
    }
}

function view([kind, name, part, type, id]) {
    if (kind === "projections" && name && part === "why" && type && id) return { title: `${type}/${id} in ${name}`, draw: html`<${Aggregate} key=${`${name}/${type}/${id}`} name=${name} type=${type} id=${id} />` };
    if (kind === "projections" && name && part === "letters") return { title: `Letters of ${name}`, draw: html`<${Letters} key=${name} name=${name} />` };
    if (kind === "projections" && name) return { title: name, draw: html`<${Projection} key=${name} name=${name} />` };
    if (kind === "operations") return { title: "Operations", draw: html`<${Operations} />` };
    if (kind === "hosts") return { title: "Hosts", draw: html`<${Hosts} />` };
    return { title: "Overview", draw: html`<${Overview} />` };
}

function Page() {
    const [, draw] = useState(0);
    const [where, go] = useState(place());
    useEffect(() => onChange(() => draw((count) => count + 1)), []);
    useEffect(() => {
        const moved = () => {
            go(place());
            // Whoever uses a screen reader is told where they are.
            requestAnimationFrame(() => document.querySelector("main h1")?.focus());
        };
        addEventListener("hashchange", moved);
        return () => removeEventListener("hashchange", moved);
    }, []);
    const { title, draw: shown } = view(where);
    useEffect(() => {
        document.title = `${title} · Laterna`;
    }, [title]);
    if (known.refused) return html`<${TokenPrompt} />`;
    return html`
        <a class="skip" href="#main" onClick=${skip}>To the content</a>
        <${Header} where=${where} />
        ${known.away && html`<p class="away" role="alert"><b>${known.away.detail}</b> ${known.away.remedy}. What is shown is as it was heard last.</p>`}
        <main id="main">${shown}</main>
        <${Rays} />
        <${Answers} />
        <${Dialog} />`;
}

function skip(event) {
    event.preventDefault();
    document.querySelector("main h1")?.focus();
}

function Header({ where }) {
    const link = (path, text) => html`<a href=${`#/${path}`} aria-current=${(where[0] || "") === path ? "page" : undefined}>${text}</a>`;
    return html`<header class="top">
        <a class="brand" href="#/"><img src="/page/lantern.svg" alt="" width="26" height="26" />Laterna</a>
        <nav aria-label="Views">${link("", "Overview")}${link("operations", "Operations")}${link("hosts", "Hosts")}</nav>
        ${known.me && html`<p class="me"><span class="soft">${known.me.role}</span> ${known.me.name} ${token() && html`<button class="quiet" type="button" onClick=${leave}>Sign out</button>`}</p>`}
    </header>`;
}

function leave() {
    forgetToken();
    location.reload();
}

function TokenPrompt() {
    const [value, setValue] = useState("");
    const wasGiven = Boolean(token());
    const send = (event) => {
        event.preventDefault();
        keepToken(value.trim());
        location.reload();
    };
    return html`<main class="door" id="main">
        <img src="/page/lantern.svg" alt="" width="56" height="56" />
        <h1 tabindex="-1">Laterna</h1>
        <form onSubmit=${send}>
            ${wasGiven && html`<p class="trouble" role="alert"><b>${known.refused.detail}</b> <span>${known.refused.remedy}</span></p>`}
            <label>Token<input type="password" name="token" autocomplete="off" value=${value} onInput=${(event) => setValue(event.target.value)} /></label>
            <p class="soft">One of the file that <code>host.tokens</code> names. It stays in this tab.</p>
            <button class="primary" type="submit" disabled=${!value.trim()}>Look</button>
        </form>
    </main>`;
}

render(html`<${Page} />`, document.getElementById("page"));
begin();
