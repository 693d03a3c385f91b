// Package ledger is a bank as a state machine: double entry, holds, a journal.
//
// It never reads a clock, starts a goroutine or touches a disk, and it talks to nobody. Apply is the only way in that changes
// anything, and the same log gives the same answers and the same Hash on every replica, whenever
// each of them wrote its checkpoints. One Ledger is one bank, and it keeps the law in package bank.
//
// The host's duties:
//
//  1. Encode commands into log entries, and Apply each entry once, in the order of the log, when it is durable.
//     Only then are the results answers.
//  2. Stop when Apply returns an error: the entry's bytes are damaged or the reader failed, and the
//     state may be half-way. Restart from the last checkpoint.
//  3. Write what Checkpoint and then Sealed return, together with the index of the last entry applied before Checkpoint, in one
//     atomic step; when it is durable and the reader shows it, call Checkpointed. One checkpoint at a time.
//     Call WriteRuns before one as soon as every build that may get its records, in a snapshot, can read them.
//  4. Ask OldHolds now and then, and inquire about what it names, clients' holds, too. A hold never expires by itself.
//  5. Check terms with ValidateTerms before they enter the log.
//  6. Everything is called by one goroutine at a time.
//
// What is in memory: all open holds, the accounts that lately took part (LimitCache), and whatever
// changed since the last durable checkpoint. The rest is behind the Reader, so a bank may be larger
// than memory. Every prepare of a new id asks the reader once whether it was finished long ago:
// readers want a filter for keys that don't exist.
//
// Invariants (invariants.go; the first four after every step, all of them by Check):
//   - available ≥ 0 after a debit is reserved, unless the account is unlimited
//   - held and incoming are ≥ 0, and zero without open holds; they are the sums of the open holds
//   - totals move with accounts, and posted balances only by entries of the journal
//   - the journal has no gaps, and each entry's balance is the one before plus its amount
//   - each entry that has left memory has its line in the statement of its account, from the first Seq on that has lines
//   - an id is held or finished, never both; every entry belongs to a committed id
//   - Hash is the sum over all records
package ledger
