// What a write can come to, beside the driver's own errors.

/** Somebody else was faster, or the state is not the one that was asked for: read again, decide again. */
export class Conflict extends Error {
  name = 'Conflict';
}

/** An event that the host would not take. */
export class InvalidEvent extends Error {
  name = 'InvalidEvent';
}

/** A write in the function of a transaction that is not in the transaction. */
export class SessionLeftOut extends Error {
  name = 'SessionLeftOut';
}
