// Brings events of old versions into the form of today, before every projector sees them.

import { defineUpcaster, needed } from "./laterna/sdk.js";

// The same event must always become the same: there is no clock but the event's own.
export const upcasting = defineUpcaster({
    name: "my-projector",
    version: "0.1.0",
    // The other types pass it by, and cost nothing.
    events: {
        // What `CustomerRegistered` was called first, and how it told the name. Some came with their first order, in whole
        // units of money. What one event becomes is applied together, in this order.
        CustomerSignedUp: (event) => {
            const { firstName, lastName, firstOrder } = event.payload;
            const name = `${firstName} ${lastName}`;
            const registered = event.become({ type: "CustomerRegistered", version: 1, payload: { name } });
            return firstOrder === undefined ? [registered] : [registered, orderPlaced(event, firstOrder)];
        },
        // Nobody needs it any more.
        CustomerSeen: () => [],
        // Until version 2 the total was in whole units of money.
        OrderPlaced: (event) => (event.version === 1 ? orderPlaced(event, needed(event.payload, "total")) : event),
    },
});

// The aggregate stays, and the host gives the id.
const orderPlaced = (event, total) =>
    event.become({ type: "OrderPlaced", version: 2, payload: { totalCents: total * 100 } });
