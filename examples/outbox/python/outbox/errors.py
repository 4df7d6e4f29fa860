"""What a write can come to, beside the driver's own errors."""


class Conflict(Exception):
    """Somebody else was faster, or the state is not the one that was asked for: read again, decide again."""


class InvalidEvent(Exception):
    """An event that the host would not take."""


class SessionLeftOut(Exception):
    """A write in the function of a transaction that is not in the transaction."""


class DeadLetter(Exception):
    """An event that is a dead letter, or waits behind one: nobody needs to wait for it. `state` is `parked` or `held`."""

    def __init__(self, detail, state, letter):
        super().__init__(detail)
        self.state, self.letter = state, letter


class StillPending(Exception):
    """An event that was not there when the patience ended: read what there is, and say so."""


class NoAnswer(Exception):
    """A host that cannot be asked, or says something else."""
