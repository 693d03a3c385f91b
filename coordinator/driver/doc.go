// Package driver is the leader's talk with the banks: it turns submissions into staged transfers, votes into
// decisions and decisions into settled transfers.
//
// It never writes state that matters: whatever it remembers may be lost at any moment without
// harm, because a new leader rebuilds it from the coordinator's records (Lead).
//
// Dry: events in (Submit, Cancel, Capture, Void, Applied, Answers, Inquired, Tick), effects out (Take). No clock, goroutine or I/O; the
// jitter of retries comes from a seed. A Driver is owned by one caller.
//
// The host's duties:
//  1. Call Lead when this node leads the group and has applied everything of earlier terms; call
//     Depose as soon as it no longer does, and always before giving it an entry of a later term: another reign's
//     Stage must never pass for one of this reign, for the reign that staged may abort on its own.
//  2. Propose the Facts of Take in their order, in the term of this reign only.
//  3. Tick, or ask Due, as often as deadlines are to be kept.
//  4. Give back every coordinator.Applied, every bank.Answer, and the time.
//
// Invariants:
//   - a client hears "committed", and a bank hears Commit, only when commit.go says so
//   - a client hears "aborted", and a bank hears Rollback, only after Decide(abort) was applied
//   - a hold is committed by a capture in the log, never by what its banks hold
//   - what another reign staged is never aborted on a guess, whatever a client wants: its banks are asked with Resolve
package driver
