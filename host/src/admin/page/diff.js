// What differs between two texts, line by line: pure functions. Nothing here draws or asks.

/** More lines than this are not compared with each other: those of the one stand before those of the other. */
const LINES_MAX = 300;

/** The lines of a text that say something, without the blanks that all but the first begin with. */
function linesOf(text) {
    const lines = (text ?? "").split("\n").filter((line) => line.trim());
    const indent = Math.min(...lines.slice(1).map((line) => line.search(/\S/)));
    return lines.map((line, index) => (index > 0 ? line.slice(indent) : line.trimStart()));
}

/** The lines of both, each with whether it is in both (" "), only in the first ("−") or only in the second ("+"). */
export function differing(before, next) {
    const [from, to] = [before, next].map(linesOf);
    if (from.length > LINES_MAX || to.length > LINES_MAX) return [...from.map((text) => ["−", text]), ...to.map((text) => ["+", text])];
    // How many lines the rests have in common, from each pair of places on.
    const common = Array.from({ length: from.length + 1 }, () => new Array(to.length + 1).fill(0));
    for (let one = from.length - 1; one >= 0; one--) {
        for (let other = to.length - 1; other >= 0; other--) {
            common[one][other] = from[one] === to[other] ? common[one + 1][other + 1] + 1 : Math.max(common[one + 1][other], common[one][other + 1]);
        }
    }
    const lines = [];
    for (let one = 0, other = 0; one < from.length || other < to.length; ) {
        if (one < from.length && other < to.length && from[one] === to[other]) {
            lines.push([" ", from[one++]]);
            other++;
        } else if (other === to.length || (one < from.length && common[one + 1][other] >= common[one][other + 1])) lines.push(["−", from[one++]]);
        else lines.push(["+", to[other++]]);
    }
    return lines;
}
