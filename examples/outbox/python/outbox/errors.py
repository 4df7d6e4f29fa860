"""What a write can come to, beside the driver's own errors."""


class Conflict(Exception):
    """Somebody else was faster, or the state is not the one that was asked for: read again, decide again."""


class InvalidEvent(Exception):
    """An event that the host would not take."""


class SessionLeftOut(Exception):
    """A write in the function of a transaction that is not in the transaction."""
