// Both sides: the documents that commands change, and the rows that queries read.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { choose, command, known, money, show } from "./stage.js";

/** Marks what has just changed. */
function Changing({ value, children }) {
    const [lit, light] = useState(false);
    const before = useRef(value);
    useEffect(() => {
        if (before.current === value) return undefined;
        before.current = value;
        light(true);
        const timer = setTimeout(() => light(false), 900);
        return () => clearTimeout(timer);
    }, [value]);
    return html`<span class=${lit ? "changing lit" : "changing"}>${children}</span>`;
}

const Gone = ({ what, why, goes }) => html`<p class="gone" role="status"><b>${what}</b> ${goes} <span class="soft">${why}</span></p>`;

export function Commands() {
    const { mongodb } = known.standing;
    return html`<section class="side left" aria-labelledby="left">
        <h2 id="left">Commands <span class="soft">MongoDB</span></h2>
        <p class="soft">Document and event, written together.</p>
        ${!mongodb.accounts && html`<${Gone} what="MongoDB is away." goes="Queries go on." why=${mongodb.why} />`}
        <ul class="documents">
            ${(mongodb.accounts ?? []).map(
                (one) => html`<li key=${one._id}><button type="button" class="document" aria-pressed=${known.account === one._id} onClick=${() => choose(one._id)}>
                    <span class="owner">${one.owner}</span>
                    <b class="balance"><${Changing} value=${one.sequence}>${money(one.balanceCents)}<//></b>
                    <code>{ _id: "${one._id}", sequence: ${one.sequence} }</code>
                </button></li>`,
            )}
        </ul>
        <${Order} accounts=${mongodb.accounts ?? []} />
    </section>`;
}

function Order({ accounts }) {
    const [amount, setAmount] = useState("5.00");
    const [to, setTo] = useState("eve");
    const cents = Math.round(Number(amount.replace(",", ".")) * 100);
    const isAmount = Number.isFinite(cents) && amount.trim() !== "";
    const order = { cents, currency: "EUR" };
    const { account } = known;
    const others = accounts.map((one) => one._id).filter((id) => id !== account);
    const target = others.includes(to) ? to : others[0];
    const transfer = () => command(`/transfers/${crypto.randomUUID()}`, { from: account, to: target, ...order });
    return html`<form class="order" onSubmit=${(event) => event.preventDefault()}>
        <label>Amount in EUR for <b>${account}</b><input name="amount" inputmode="decimal" autocomplete="off" value=${amount} onInput=${(event) => setAmount(event.target.value)} /></label>
        <div class="buttons">
            <button class="primary" type="button" disabled=${!isAmount} onClick=${() => command(`/accounts/${account}/deposits`, order)}>Deposit</button>
            <button type="button" disabled=${!isAmount} onClick=${() => command(`/accounts/${account}/withdrawals`, order)}>Withdraw</button>
        </div>
        <div class="buttons">
            <button type="button" disabled=${!isAmount || !target} onClick=${transfer}>Transfer</button>
            <label class="inline">to <select value=${target} onChange=${(event) => setTo(event.target.value)}>${others.map((id) => html`<option key=${id} value=${id}>${id}</option>`)}</select></label>
        </div>
        <${Answer} />
    </form>`;
}

/** What the bank answered, and what was read in MySQL behind it. */
function Answer() {
    const { answer } = known;
    if (!answer) return html`<p class="answered soft">Each answer is read again in MySQL, right behind it.</p>`;
    if (answer.refused) return html`<p class="answered refused" role="status"><b>Refused:</b> ${answer.refused}</p>`;
    const state = answer.state ? `The transfer is ${answer.state}${answer.why ? `: ${answer.why}` : ""}.` : `The balance is ${money(answer.balance)}.`;
    return html`<p class="answered" role="status"><b>${state}</b> <span class="soft">MongoDB committed after ${answer.took} ms.</span>
        ${answer.after !== undefined &&
        (answer.unread ? html` <span class="refused">${answer.unread}</span>` : html` Read in MySQL ${answer.after} ms later: <b>${money(answer.read)}</b>.`)}</p>`;
}

const VIEWS = { statement: "Statement", months: "Months", audit: "Audit trail" };

export function Queries() {
    const { mysql, columns, currencies, mongodb } = known.standing;
    const document = (id) => mongodb.accounts?.find((one) => one._id === id);
    const differs = (row) => document(row.id) && document(row.id).balanceCents !== row.balanceCents;
    const hasCurrency = columns.includes("currency");
    return html`<section class="side right" aria-labelledby="right">
        <h2 id="right">Queries <span class="soft">MySQL</span></h2>
        <p class="soft">Rows that three projectors keep.</p>
        ${!mysql.accounts && html`<${Gone} what="MySQL is away." goes="Commands go on." why=${mysql.why} />`}
        ${mysql.accounts &&
        html`<div class="scroll" tabindex="0" role="region" aria-label="Rows of accounts"><table class="rows">
            <thead><tr><th>accounts</th><th class="number">balance</th>${hasCurrency && html`<th class="new">currency</th>`}<th class="number">sequence</th></tr></thead>
            <tbody>${mysql.accounts.map(
                (row) => html`<tr key=${row.id} class=${differs(row) ? "differs" : ""}>
                    <td>${row.owner}</td>
                    <td class="number"><${Changing} value=${row.balanceCents}>${money(row.balanceCents)}<//></td>
                    ${hasCurrency && html`<td class="new">${currencies[row.id] ?? ""}</td>`}
                    <td class="number"><${Changing} value=${row.lastSequence}>${row.lastSequence}<//></td>
                </tr>`,
            )}</tbody>
        </table></div>`}
        <div class="views" role="group" aria-label=${`What MySQL has of ${known.account}`}>
            ${Object.entries(VIEWS).map(([name, label]) => html`<button key=${name} type="button" class="quiet" aria-pressed=${known.view.name === name} onClick=${() => show(name)}>${label}</button>`)}
            <span class="soft">of ${known.account}</span>
        </div>
        <${View} />
    </section>`;
}

const time = (text) => new Date(text).toLocaleTimeString("en-GB");

function View() {
    const { name, rows, why } = known.view;
    if (why) return html`<p class="soft">${why}</p>`;
    if (!rows) return html`<p class="soft">…</p>`;
    if (name === "months") {
        return html`<ol class="entries">${rows.map((one) => html`<li key=${one.month}><span>${one.month}</span><span class="soft">in ${money(one.depositedCents)}, out ${money(one.withdrawnCents)}</span><b>${one.entries}</b></li>`)}</ol>`;
    }
    if (name === "audit") {
        return html`<ol class="entries">${rows.slice(0, 8).map((one) => html`<li key=${one.eventId}><span>${one.sequence}</span><code>${one.eventType}</code><span class="soft">${time(one.happenedAt)}</span></li>`)}</ol>`;
    }
    return html`<ol class="entries">${rows.slice(0, 8).map(
        (one) => html`<li key=${one.sequence}><span>${one.sequence}</span><span class="soft">${one.transferId ? "transfer" : one.amountCents > 0 ? "deposit" : "withdrawal"} ${time(one.bookedAt)}</span><b>${money(one.amountCents)}</b></li>`,
    )}</ol>`;
}
