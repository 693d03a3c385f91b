// Package bank is the contract between Quorate and a bank: Prepare, Commit, Rollback and Resolve, as values.
//
// It never implements a bank. It is a contract between strangers: plain structs
// that may grow new fields, no behaviour to inherit.
//
// The law of a bank. Every answer is durable before it is given, and every request may
// come twice, late, or in any order:
//
//  1. Prepare answers Yes or No, and both are final. A Yes repeats, with its money held, until the outcome, and still after
//     a Commit; a No is a tombstone, even if the money arrives a second later.
//  2. Prepare of an id that the bank knows with another Fingerprint answers No (prepare_conflict) and changes nothing.
//  3. Prepare after a Rollback, even one that came first, answers No (rolled_back).
//  4. Commit of what is prepared applies the legs, once, and answers Done; again: Done. If it names captured amounts, it applies those
//     in place of the legs' own and frees what remains. Commit of anything else, or of more than is prepared,
//     is a protocol violation: Violation, and nothing is applied.
//  5. Rollback frees what is held and answers Done; of what was never prepared it leaves a tombstone
//     and answers Done. Rollback of what is committed is a Violation, and nothing is undone.
//  6. Resolve answers Prepared, Committed or RolledBack; in the same atomic step, what was never prepared
//     becomes rolled back. A No counts as rolled back. What the bank holds or has applied under the id with another
//     Fingerprint is not what was asked about: RolledBack, and nothing changes.
//  7. A prepared hold never expires by itself. A bank that has waited too long inquires, and obeys the answer. For a client's hold it is
//     too long when its time has passed: its coordinator voids it then.
//
// Why each rule is needed: docs/protocol.md.
package bank
