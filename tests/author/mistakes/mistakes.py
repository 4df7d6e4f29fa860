import datetime as dates
import logging
import random
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from random import random as number_of_chance
from time import monotonic as moment

from laterna import Rejected, Statements, boolean, bytes_, decimal, define_projector, id, integer, json, number, optional
from laterna import text, timestamp, update

SQL = Statements(
    save="INSERT INTO notes (id, body) VALUES (?, ?)",
    change=update("notes", set=["body"], key=["id"]),
)


# Made before the clock is guarded, and of its class all the same.
BEGIN = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def save(value):
    return [SQL.save(text("a"), value)]


def rejects(event):
    raise Rejected("invalid", "as it should")


def chance(event):
    return save(text(str(number_of_chance())))


def dated(event):
    at = datetime.fromisoformat("2026-02-01T12:00:00+00:00")
    same = isinstance(BEGIN, datetime) and isinstance(at, datetime) and isinstance(at, date)
    year = time.strftime("%Y", time.gmtime(86400))
    yield SQL.save(timestamp(at - timedelta(days=1)), text(f"{same} {year} {at - BEGIN}"))
    yield SQL.save(timestamp(BEGIN), text(str(isinstance(at.date(), datetime))))


def logs(event):
    logging.warning("seen %s", event.payload["name"])
    logging.debug("not seen")
    return SQL.save(id(event.payload["oid"]), decimal(event.payload["price"]))


def values(event):
    payload = event.payload
    yield SQL.save(timestamp(payload["at"]), timestamp(payload["old"]))
    yield SQL.save(integer(payload["big"]), bytes_(payload["bin"]))
    yield SQL.save(decimal(Decimal("1E-8")), optional(payload.get("none"), text))
    yield SQL.save(text(str(random.Random(event.id).random())), json(payload["at"]))


async def waits(event):
    return []


MISTAKES = {
    "forgot": lambda event: [SQL.change(event.payload["name"], text("a"))],
    "typo": lambda event: [SQL.sav(text("a"))],
    "count": lambda event: [SQL.save(text("a"))],
    "none": lambda event: save(event.payload.get("nothing")),
    "missing": lambda event: save(text(event.payload.get("nothing"))),
    "double": lambda event: save(decimal(0.1)),
    "truth": lambda event: save(integer(True)),
    "nan": lambda event: save(number(float("nan"))),
    "number": lambda event: save(text(5)),
    "cut": lambda event: save(text("ab\ud83d")),
    "zone": lambda event: save(timestamp(datetime(2026, 1, 31))),
    "date": lambda event: save(timestamp(event.payload["name"])),
    "async": waits,
    "nothing": lambda event: None,
    "nested": lambda event: [save(text("b"))],
    "random": lambda event: save(text(str(random.randint(1, 6)))),
    "chance": chance,
    "clock": lambda event: save(text(str(time.time()))),
    "clock_imported": lambda event: save(text(str(moment()))),
    "clock_of_today": lambda event: save(text(time.strftime("%Y-%m-%d"))),
    "now": lambda event: save(timestamp(datetime.now(timezone.utc))),
    "now_by_name": lambda event: save(timestamp(dates.datetime.now(tz=timezone.utc))),
    "utcnow": lambda event: save(text(str(datetime.utcnow()))),
    "today": lambda event: save(text(str(date.today()))),
    "sleep": lambda event: save(text(str(time.sleep(1)))),
    "dated": dated,
    "key": lambda event: save(text(event.payload["nothing"])),
    "rejects": rejects,
    "logs": logs,
    "values": values,
}

Projector = define_projector(
    name="mistakes",
    version="0.1.0",
    tables={"notes": "CREATE TABLE notes (id VARCHAR(64) PRIMARY KEY, body VARCHAR(200) NULL)"},
    statements=SQL,
    events=lambda event: MISTAKES[event.payload["do"]](event),
)
