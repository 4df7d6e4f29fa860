// A document as text, and which of its places a reason names: pure functions. Nothing here draws or asks.

const isParted = (value) => value !== null && typeof value === "object" && Object.keys(value).length > 0;

/** Whether it is one value of Extended JSON, e.g. a date: it stands in one line. */
const isExtended = (value) => Object.keys(value).every((key) => key.startsWith("$"));

/** What a component gets of a value that has no parts: a number of Extended JSON is a plain one. */
const plain = (value) => (isParted(value) ? (value.$numberInt ?? value.$numberLong ?? value.$numberDouble ?? JSON.stringify(value)) : JSON.stringify(value));

/** The lines of a value, each with the path of the field that it shows, and with how long it is in what a component gets. */
function lines(value, path, key, indent, behind) {
    const before = key === null ? "" : `${JSON.stringify(key)}: `;
    const ahead = Math.max(0, before.length - 1);
    const line = (text, got, more = {}) => ({ path, text: indent + text, length: got, ...more });
    if (!isParted(value) || isExtended(value)) {
        const text = JSON.stringify(value, null, isParted(value) ? 1 : 0).replaceAll(/\n */g, " ");
        const got = plain(value);
        return [line(before + text + behind, ahead + got.length + behind.length, { plain: got })];
    }
    const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
    const entries = Object.entries(value);
    const inner = entries.flatMap(([name, one], index) =>
        lines(one, [...path, name], open === "[" ? null : name, `${indent}  `, index < entries.length - 1 ? "," : ""),
    );
    return [line(before + open, ahead + 1), ...inner, line(close + behind, 1 + behind.length)];
}

/** The line of the payload whose value a reason calls wrong: where several have it, the one at the column that it tells. */
function wrongLine(all, reason) {
    const told = /(?:invalid (?:type|value): [\w ]+|unknown variant) (?:`([^`]*)`|("[^"]*"))|invalid type: (null)/.exec(reason);
    if (!told) return -1;
    const texts = [told[1], JSON.stringify(told[1]), told[2], told[3]];
    const column = Number(/ line 1 column (\d+)$/.exec(reason)?.[1] ?? 0);
    let [end, found, nearest] = [0, -1, Infinity];
    all.forEach((line, index) => {
        if (line.path[0] !== "payload") return;
        end += line.length;
        const away = Math.abs(end - column);
        if (line.plain !== undefined && texts.includes(line.plain) && away < nearest) [found, nearest] = [index, away];
    });
    return found;
}

/** How well a reason names a path: by more than its last part, by a part that no prose has, or not at all. */
function named(reason, path) {
    const key = path.at(-1);
    if (!key) return 0;
    for (let from = 0; from < path.length - 1; from++) {
        if (isWord(reason, path.slice(from).join("."))) return path.length - from;
    }
    const isQuoted = ["`", '"', "'"].some((mark) => reason.includes(`${mark}${key}${mark}`));
    return isQuoted || (/[a-z][A-Z]|_|\d[a-z]|[a-z]\d/.test(key) && isWord(reason, key)) ? 1 : 0;
}

/** Whether a word stands in a text, and not within another one. */
function isWord(text, word) {
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
        const around = [text[at - 1] ?? " ", text[at + word.length] ?? " "];
        if (!around.some((one) => /[\w$]/.test(one))) return true;
    }
    return false;
}

/** A document as pieces of text, those apart that a reason names. */
export function pieces(document, reason) {
    const all = lines(document, [], null, "", "");
    const wrong = reason ? wrongLine(all, reason) : -1;
    const marks = all.map((line, index) => (wrong >= 0 ? Number(index === wrong) : reason ? named(reason, line.path) : 0));
    const best = marks.reduce((one, other) => Math.max(one, other), 0);
    const found = [];
    all.forEach((line, index) => {
        const isNamed = best > 0 && marks[index] === best;
        const text = index < all.length - 1 ? `${line.text}\n` : line.text;
        const last = found.at(-1);
        if (last?.isNamed === isNamed) last.text += text;
        else found.push({ isNamed, text });
    });
    return found;
}
