// Makes dist/bundle.js of a TypeScript file and what it imports: node laterna/bundle.mjs src/projector.ts
//
// A table at its end says which line of which source each line came from, so that messages name those.

import { mkdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const OUT = "dist/bundle.js";
const [source] = process.argv.slice(2);

const { outputFiles } = await build({
    entryPoints: [source],
    outfile: OUT,
    bundle: true,
    format: "esm",
    target: "es2023",
    external: ["laterna:*"],
    sourcemap: "external",
    sourcesContent: false,
    write: false,
    logLevel: "info",
});
const text = (suffix) => outputFiles.find(({ path }) => path.endsWith(suffix)).text;
const { sources, mappings } = JSON.parse(text(".map"));
const table = {
    // They are told relative to the bundle, which is in a folder of the project.
    sources: sources.map((path) => path.replace(/^\.\.\//, "")),
    rows: rowsOf(mappings),
};
mkdirSync("dist", { recursive: true });
writeFileSync(OUT, `${text(".js")}\nglobalThis.laternaLines = ${JSON.stringify(table)};\n`);

/** For each line of the bundle, `[column, source, line]` wherever another line of a source begins. */
function rowsOf(mappings) {
    let source = 0;
    let line = 0;
    return mappings.split(";").map((row) => {
        let column = 0;
        const found = [];
        for (const [moved, sources, lines] of row.split(",").filter(Boolean).map(numbersOf)) {
            column += moved;
            source += sources ?? 0;
            line += lines ?? 0;
            const last = found.at(-1);
            if (last?.[1] !== source || last?.[2] !== line + 1) found.push([column, source, line + 1]);
        }
        return found.length > 0 ? found : null;
    });
}

/** The numbers of a segment, in the base 64 of source maps. */
function numbersOf(segment) {
    const numbers = [];
    let number = 0;
    let shift = 0;
    for (const letter of segment) {
        const digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".indexOf(letter);
        number |= (digit & 31) << shift;
        shift += 5;
        if (digit & 32) continue;
        numbers.push(number & 1 ? -(number >> 1) : number >> 1);
        number = 0;
        shift = 0;
    }
    return numbers;
}
