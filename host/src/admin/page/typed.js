// A text that somebody types: what is drawn anew meanwhile leaves it as it is, and it counts once it is finished.

import { html, useEffect, useState } from "./vendor/preact-htm.js";

export function Typed({ name, label, value, set }) {
    const [text, setText] = useState(value);
    useEffect(() => setText(value), [value]);
    const typed = (event) => setText(event.target.value);
    return html`<label>${label}<input name=${name} value=${text} onInput=${typed} onChange=${(event) => set(event.target.value.trim())} /></label>`;
}
