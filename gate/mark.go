package gate

// Mark stands for all that a store holds of a digest's record, with its locations and
// verdicts, as it is stored. While the mark of a digest is the same, reading it gives the
// same record, so that it need not be read. A mark is made with a secret of one opened
// store: it says nothing to another process, or after a restart, and is never stored. It
// is 0 where there is none.
type Mark uint64
