"""Brings events of old versions into the form of today, before every projector sees them.

Modules have to be imported at the top: nothing can be loaded once the component is built.
"""

from laterna import Event, define_upcaster, needed


# What each event becomes: itself, another, several or none. The same event must always become the same: there is no
# clock but the event's own.


def signed_up(event: Event):
    """What CustomerRegistered was called first. Some came with their first order, in whole units of money."""
    name = f"{event.payload['firstName']} {event.payload['lastName']}"
    yield event.become(type="CustomerRegistered", version=1, payload={"name": name})
    # Both are applied together, in this order.
    if "firstOrder" in event.payload:
        yield order_placed(event, event.payload["firstOrder"])


def seen(event: Event):
    """Nobody needs it any more."""
    return []


def ordered(event: Event):
    """Until version 2 the total was in whole units of money."""
    return order_placed(event, needed(event.payload, "total")) if event.version == 1 else event


def order_placed(event: Event, total: int):
    """The aggregate stays, and the host gives the id."""
    return event.become(type="OrderPlaced", version=2, payload={"totalCents": total * 100})


Upcasting = define_upcaster(
    name="my-projector",
    version="0.1.0",
    # The other types pass it by, and cost nothing.
    events={"CustomerSignedUp": signed_up, "CustomerSeen": seen, "OrderPlaced": ordered},
)
