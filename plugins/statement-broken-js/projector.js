// `statement` with a mistake, for the demo to deploy: it reads the amount from a field that does not exist.

import { projector as statement } from "../statement-js/projector.js";

const misread = (event) => ({ ...event, payload: event.payload.replace('"amountCents"', '"amount"') });

export const projector = {
    describe: () => ({ ...statement.describe(), version: "0.2.0" }),
    project: (events) => statement.project(events.map(misread)),
};
