"""The classic mistake, a write inside of a transaction's function that is not in the transaction, is noticed: the
driver tells of each command before it is sent, and the commands of one function are known by its context."""

from contextvars import ContextVar

from pymongo.monitoring import CommandListener

from .errors import SessionLeftOut

WRITES = {"insert", "update", "delete", "findAndModify", "bulkWrite"}
running = ContextVar("running", default=None)


class Watch(CommandListener):
    """One of the client's `event_listeners`."""

    def started(self, event):
        mistakes = running.get()
        if mistakes is not None and event.command_name in WRITES and event.command.get("autocommit") is not False:
            place = f"`{event.command_name}` on `{event.command[event.command_name]}`"
            mistakes.append(f"{place} was not in the transaction, and stays: use the transaction's own collections")

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass


def in_transaction(attempt):
    """What a transaction consists of, which fails when it wrote outside of it, even if it hides that."""

    def watched(session):
        mistakes = []
        token = running.set(mistakes)
        try:
            return attempt(session)
        finally:
            running.reset(token)
            if mistakes:
                raise SessionLeftOut(mistakes[0])

    return watched


def is_watched(client):
    return any(isinstance(listener, Watch) for listener in client.options.event_listeners)
