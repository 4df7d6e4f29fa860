// Letters, drawn as sequences: the head of an aggregate, which failed, and what waits behind it. What is replayed or given up is
// what was shown: up to the boundary of the list, and as many as were confirmed.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { whyLink } from "./aggregate.js";
import { at, get, post, query } from "./api.js";
import { Act, Trouble, ask } from "./dialog.js";
import { Letter, Reason } from "./letter.js";
import { link } from "./overview.js";
import { lately } from "./projection.js";
import { known } from "./state.js";
import { Typed } from "./typed.js";
import { cli, count, plural } from "./words.js";

/** How many heads a page has, and how many of what waits behind each are drawn. */
const HEADS = 20;
const BEHIND = 12;

const NO_FILTER = { class: "", aggregate: "", event: "" };

/** Reads a page of heads, then what waits behind each, one after the other. Tells which heads of the same page are gone. */
function useLetters(name, filter, after, turn, tellGone) {
    const [told, tell] = useState({ page: null, behind: new Map(), problem: null });
    const last = useRef({ of: null, ids: [] });
    useEffect(() => {
        let isWanted = true;
        const set = (change) => isWanted && tell(change);
        const read = async () => {
            const page = await get(`${at(name)}/letters${query({ ...filter, after: after || "", heads_only: true, limit: HEADS })}`);
            if (!isWanted) return;
            const [of, ids] = [`${after} ${JSON.stringify(filter)}`, page.letters.map((head) => head.id)];
            if (last.current.of === of) tellGone(last.current.ids.filter((id) => !ids.includes(id)));
            last.current = { of, ids };
            set((before) => ({ ...before, page, problem: null }));
            const behind = new Map();
            for (const head of page.letters) {
                if (!isWanted || !head.aggregate_exact) continue;
                const sequence = await get(`${at(name)}/letters${query({ aggregate: head.aggregate_exact, after: head.id, limit: BEHIND + 1 })}`);
                behind.set(head.id, sequence.letters);
                set((before) => ({ ...before, behind: new Map(behind) }));
            }
        };
        read().catch((problem) => set((before) => ({ ...before, problem })));
        return () => {
            isWanted = false;
        };
    }, [name, filter, after, turn]);
    return told;
}

export function Letters({ name }) {
    const [filter, setFilter] = useState(NO_FILTER);
    const [pages, setPages] = useState([0]);
    const [chosen, choose] = useState(new Set());
    const [open, setOpen] = useState(null);
    const [turn, setTurn] = useState(0);
    const again = () => setTurn((one) => one + 1);
    const projection = known.projections.get(name);
    const after = pages.at(-1);
    const { page, behind, problem } = useLetters(name, filter, after, `${turn} ${lately(name)}`, (ids) => choose(without(ids)));
    const heads = page?.letters ?? [];
    const filtered = (next) => {
        setFilter(next);
        setPages([0]);
        choose(new Set());
    };
    const isNew = page && (known.letters.get(name)?.newest ?? 0) > (page.boundary?.until ?? 0);
    return html`
        <p class="back"><a href=${link(name)}>${name}</a></p>
        <h1 tabindex="-1">Letters</h1>
        <p class="lead">${projection ? lead(projection) : "…"}</p>
        <${Filter} filter=${filter} set=${filtered} />
        <${Trouble} problem=${problem} />
        ${heads.length > 0 && html`<${Bulk} name=${name} filter=${filter} page=${page} chosen=${chosen} heads=${heads} choose=${choose} again=${again} />`}
        <ol class="sequences" aria-label="Letters, one line an aggregate, the oldest first">
            ${heads.map((head) => html`<${Sequence} key=${head.id} name=${name} head=${head} behind=${behind.get(head.id) ?? []} isChosen=${chosen.has(head.id)}
                toggle=${() => choose((now) => toggled(now, head.id))} open=${open} setOpen=${setOpen} boundary=${page.boundary} again=${again} />`)}
        </ol>
        ${page && !heads.length && html`<p class="empty">${after ? "No more letters." : "No letters: every event was applied."}</p>`}
        <div class="buttons pages">
            ${pages.length > 1 && html`<button type="button" onClick=${() => setPages(pages.slice(0, -1))}>Back</button>`}
            ${page?.next && html`<button type="button" onClick=${() => setPages([...pages, page.next])}>More</button>`}
            <button type="button" class="quiet" onClick=${again}>${isNew ? "There are new letters: look again" : "Look again"}</button>
        </div>`;
}

function lead({ parked, held }) {
    if (!parked) return "Every event was applied.";
    return `${plural(parked, "event")} could not be applied${held ? `, and ${plural(held, "later one waits", "later ones wait")} behind ${parked === 1 ? "it" : "them"}` : ""}. All others go on.`;
}

/** A change of a set that leaves these out. */
const without = (ids) => (now) => (ids.some((id) => now.has(id)) ? new Set([...now].filter((id) => !ids.includes(id))) : now);

const toggled = (set, id) => {
    const next = new Set(set);
    if (!next.delete(id)) next.add(id);
    return next;
};

const CLASSES = [
    "undecodable", "rejected", "trapped", "out-of-fuel", "out-of-memory", "output-too-large", "unknown-statement", "parameter-count",
    "bad-value", "upcaster", "refused-value", "key-conflict", "too-large", "too-slow", "unknown", "erased",
];

function Filter({ filter, set }) {
    const text = (name, label) => html`<${Typed} name=${name} label=${label} value=${filter[name]} set=${(value) => set({ ...filter, [name]: value })} />`;
    return html`<form class="filter" onSubmit=${(event) => event.preventDefault()}>
        <label>Class<select name="class" value=${filter.class} onChange=${(event) => set({ ...filter, class: event.target.value })}>
            <option value="">all</option>${CLASSES.map((one) => html`<option value=${one}>${one}</option>`)}
        </select></label>
        ${text("aggregate", "Aggregate")}${text("event", "Event")}
        ${Object.values(filter).some(Boolean) && html`<button type="button" class="quiet" onClick=${() => set(NO_FILTER)}>Show all</button>`}
    </form>`;
}

/** Which heads a change is about, as the API takes it, and as the command line says it. */
function meant(filter, boundary, chosen) {
    if (chosen.size) {
        const ids = [...chosen];
        return { body: { ids }, words: ids.length === 1 ? ["--id", ids[0]] : null, says: "those that you have chosen" };
    }
    if (filter.aggregate) return { body: { aggregate: filter.aggregate, boundary }, words: ["--aggregate", filter.aggregate], says: `that of ${filter.aggregate}` };
    if (filter.class) return { body: { class: filter.class, boundary }, words: ["--reason", filter.class], says: `those of the class ${filter.class}` };
    return { body: { all: true, boundary }, words: ["--all"], says: "all" };
}

/** How they are called in a sentence. */
const those = (number, says) => `These are ${says === "all" ? "all that were listed" : says}: the ${number === 1 ? "head of one aggregate" : `heads of ${count(number)} aggregates`}.`;

const UNTIL = "Letters that came later are left as they are.";

function Bulk({ name, filter, page, chosen, heads, choose, again }) {
    const [problem, setProblem] = useState(null);
    const path = `${at(name)}/letters`;
    // Two filters at once cannot be named in one change, nor an event on the command line: then letters are named one by one.
    const isMixed = Object.values(filter).filter(Boolean).length > 1 || Boolean(filter.event);
    const named = isMixed && !chosen.size ? new Set(heads.map((head) => head.id)) : chosen;
    const { body, words, says } = meant(filter, page.boundary, named);
    const counted = (then) => async () => {
        setProblem(null);
        try {
            // A dry run counts them, up to the same boundary.
            const dry = await post(`${path}/discard?dry_run=true`, { ...body, why: "counted" });
            then(dry.letters);
        } catch (told) {
            setProblem(told);
        }
    };
    const line = (what, ...more) => (words ? cli("dlq", what, name, ...words, ...more) : [...(body.ids ?? [])].map((id) => cli("dlq", what, name, "--id", id, ...more)).join("\n"));
    // What was chosen since the change was asked for stays so.
    const done = () => {
        choose(without([...named]));
        again();
    };
    const replay = counted((number) =>
        ask({
            title: `Replay ${plural(number, "letter")}?`,
            says: `${those(number, says)} What waits behind each follows in order. ${UNTIL}`,
            button: `Replay ${count(number)}`,
            cli: line("replay"),
            act: (_, key) => post(`${path}/replay`, { ...body, count: number }, key),
            then: done,
        }),
    );
    const rehearse = async () => {
        setProblem(null);
        ask({
            title: "Try a replay?",
            says: "Each is applied in a transaction that is rolled back: it tells how many would be applied now, and nothing stays.",
            button: "Try it",
            cli: line("replay", "--dry-run"),
            act: (_, key) => post(`${path}/replay?dry_run=true`, body, key),
        });
    };
    const discard = counted((number) =>
        ask({
            title: `Discard ${plural(number, "letter")}?`,
            says: `${those(number, says)} Their events are given up for good; what waits behind each is replayed. ${UNTIL}`,
            fields: [{ name: "why", label: "Why: it is recorded" }],
            typed: String(number),
            button: `Discard ${count(number)}`,
            cli: ({ why }) => line("discard", "--why", why || "…"),
            act: ({ why }, key) => post(`${path}/discard`, { ...body, count: number, why }, key),
            then: done,
        }),
    );
    // Some of another page may be chosen, too.
    const shown = heads.map((head) => head.id);
    const isAll = shown.every((id) => chosen.has(id));
    const toggleAll = () => choose(isAll ? without(shown) : (now) => new Set([...now, ...shown]));
    return html`<div class="bulk">
        <label class="check"><input type="checkbox" checked=${isAll} onChange=${toggleAll} />${chosen.size ? `${count(chosen.size)} chosen` : "Choose these"}</label>
        <div class="buttons"><${Act} onClick=${rehearse}>Try a replay …<//><${Act} onClick=${replay}>Replay ${chosen.size ? count(chosen.size) : says === "all" ? "all" : "these"} …<//><${Act} danger=${true} onClick=${discard}>Discard ${chosen.size ? count(chosen.size) : says === "all" ? "all" : "these"} …<//></div>
        <${Trouble} problem=${problem} />
    </div>`;
}

function Sequence({ name, head, behind, isChosen, toggle, open, setOpen, boundary, again }) {
    const all = [head, ...behind.slice(0, BEHIND)];
    const isOpen = all.some((letter) => letter.id === open);
    const called = head.aggregate ?? "no aggregate";
    const more = behind.length > BEHIND;
    return html`<li class=${`sequence${isOpen ? " open" : ""}`}>
        <div class="line">
            <label class="check"><input type="checkbox" checked=${isChosen} onChange=${toggle} aria-label=${`Choose the letter ${head.id} of ${called}`} /></label>
            <p class="aggregate"><b>${called}</b>${head.aggregate_exact && html` <a href=${whyLink(name, head.aggregate_exact)} aria-label=${`Why ${called} is as it is`}>why</a>`}</p>
            <ol class="chain">
                ${all.map((letter) => html`<li key=${letter.id}><button type="button" class=${`letter ${letter.state}`} aria-expanded=${open === letter.id}
                    title=${`Letter ${letter.id}, ${letter.state === "held" ? "waits" : "was not applied"}`} onClick=${() => setOpen(open === letter.id ? null : letter.id)}>${letter === head ? html`<b>${letter.class ?? "waits"}</b> ${letter.event_type ?? ""}` : letter.event_type ?? letter.id}</button></li>`)}
                ${more && html`<li class="soft">and more</li>`}
            </ol>
            <${Reason} letter=${head} />
        </div>
        ${isOpen && html`<${Letter} key=${open} name=${name} id=${open} isHead=${open === head.id} boundary=${boundary} again=${again} />`}
    </li>`;
}

