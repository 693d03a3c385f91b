// Package coordinator holds the replicated facts about transfers: staged, held, decided, settled.
//
// It never talks to a bank or a client and decides nothing itself: the log says what happened, Apply
// writes it down, and every replica comes to the same state. coordinator/driver does the talking.
//
// Dry: no clock, goroutine or I/O. A Machine is owned by one caller. What it read through
// its Reader counts as state: the reader must show the last durable Checkpoint, or as a whole the one that is under way, and nothing newer.
//
// The host's duties:
//  1. Give every committed log entry to Apply, once and in order. An error from it means damaged bytes
//     or a failing disk: stop.
//  2. Now and then write what Checkpoint and then Sealed return, all of it atomically with the index applied when Checkpoint
//     was called, and call Checkpointed once the reader shows it. Call WriteRuns before one as soon as every build that may get its records,
//     in a snapshot, can read them.
//
// Invariants (checked in Apply):
//   - a decision is never replaced
//   - nothing is committed that was not staged, and no hold that was not held
//   - an id keeps its first content
//   - only what is decided is settled
//
// Source of the commit rule: Parallel Commits in Taft et al., "CockroachDB: The Resilient
// Geo-Distributed SQL Database" (SIGMOD 2020), §3.1, applied here to banks as participants; the record of
// decisions follows Gray & Lamport, "Consensus on Transaction Commit" (2006), §3.
package coordinator
