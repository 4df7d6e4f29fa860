"""Reading one's own writes: waits until the tables of a projection have an event. docs/reading-your-writes.md"""

import json
import time
import urllib.error
import urllib.request
from urllib.parse import quote

from .errors import DeadLetter, NoAnswer, StillPending

# For how long one answer is waited for, so that a connection through others is not cut.
AT_A_TIME = 2.0


class Projections:
    """The API of a host, e.g. `http://127.0.0.1:7420`, and a token of it."""

    def __init__(self, url, token=None):
        self.url = url.rstrip("/") + "/api/v1/projections"
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def wait(self, projection, event_id, patience=10.0):
        """Waits for an event by its id, and gives what became of it: `applied`, `ignored`, `discarded` or `passed`."""
        until = time.monotonic() + patience
        while True:
            left = max(0.0, until - time.monotonic())
            status, again, told = self._ask(projection, event_id, min(left, AT_A_TIME))
            if status == 200:
                return told["state"]
            if status == 409:
                raise DeadLetter(told["detail"], told.get("state"), told.get("letter"))
            # 429: this one asks too often; 503: too many wait.
            if status not in (202, 429, 503):
                raise NoAnswer(f"the host answered {status}: {told['detail']}")
            if time.monotonic() + again >= until:
                raise StillPending(f"{projection} does not have {event_id} after {patience} s")
            time.sleep(again)

    def _ask(self, projection, event_id, wait):
        place = f"{self.url}/{quote(projection, '')}/events/{quote(str(event_id), '')}?wait={int(wait * 1000)}ms"
        request = urllib.request.Request(place, headers=self.headers)
        try:
            try:
                answer = urllib.request.urlopen(request, timeout=wait + 5)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                return answer.status, float(answer.headers.get("Retry-After", 1)), json.load(answer)
        except (OSError, ValueError) as error:
            raise NoAnswer(f"{place}: {error}") from error
