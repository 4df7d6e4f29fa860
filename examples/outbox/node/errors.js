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

/** An event that is a dead letter, or waits behind one: nobody needs to wait for it. `state` is `parked` or `held`. */
export class DeadLetter extends Error {
  name = 'DeadLetter';
}

/** An event that was not there when the patience ended: read what there is, and say so. */
export class StillPending extends Error {
  name = 'StillPending';
}

/** A host that cannot be asked, or says something else. */
export class NoAnswer extends Error {
  name = 'NoAnswer';
}
