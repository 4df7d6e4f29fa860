// Tells those who draw that something changed, at most once a frame.

const listeners = new Set();
let isDue = false;

export function changed() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
        isDue = false;
        listeners.forEach((draw) => draw());
    });
}

export function onChange(draw) {
    listeners.add(draw);
    return () => listeners.delete(draw);
}
