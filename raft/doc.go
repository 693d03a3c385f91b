// Package raft keeps a log the same on all members of a group, without doing any I/O.
//
// It never reads a clock, starts a goroutine, draws a random number of its own, or touches a disk or a network. Calls go in
// (Tick, Step, Propose, ReadIndex, TransferLeadership, ProposeMembership), Ready says what to do, and Persisted and
// Applied report what was done. The same code runs in production and in a simulator under a seed.
//
// # The host's duties
//
//  1. Call from one goroutine at a time. Call Tick at a steady pace; a heartbeat interval is one to a few ticks.
//  2. After any call, while HasReady, take a Ready. It may be taken while earlier Persists are still being written.
//  3. Send Ready.Messages at once: the next Ready overwrites them. Loss, repetition and reordering are expected, damage is not: use checksums.
//  4. Make Ready.Persist durable: all of it in one atomic record, records in the order of Seq. Entries replace everything
//     from Entries[0].Index on, also what was behind the last of them. Install replaces machine and log in the same record.
//     Then call Persisted(Seq). If a write or sync fails, stop the process: what it left on disk is unknown.
//  5. Send Ready.Durable only when that Persist (if nil: every earlier one) is durable.
//  6. Apply Ready.Committed in order, then call Applied. Ignore entries that are not Normal, but count their indexes.
//  7. Now and then write a checkpoint: the machine, the index it has applied, and Membership() at that moment. Then ask Compact,
//     and drop the log up to there. Ready.Compact says what no member will ever ask for.
//  8. Answer Ready.Offer with SendChunk from the last checkpoint, or SnapshotFailed. Keep Ready.Chunks aside until Install.
//  9. After a restart give New what the disk has, unchanged. Entries after State.Applied are handed out again.
//  10. Step returns ErrBadMessage for nonsense: count it, go on. ErrUnsafe means that safety is already lost: stop; if it is ErrLost, by this
//     node's own disk.
//  11. A node id belongs to one disk for ever. A node whose disk is lost joins under a new id, or under its own with State.Lost at the last term in which it
//     may have promised something, which it must know for certain.
//  12. With leases (Config.LeaseTicks): deliver the ticks that are due, by a clock read after the read came, before ReadIndex.
//
// # What it promises
//
// At most one leader per term. An entry in Ready.Committed is in the log of every later leader, is handed out once and in
// order, and only when this node's own disk has it. A proposal's entry is named by EntryID: if another entry is committed at
// its index, it is lost for ever; until then its fate is unknown, also after ReadsLost or a change of leader. A read in
// Ready.Reads is linearizable once its Index is applied. No input of a peer panics; a host that reports what it was not given is stopped
// by an invariant.
//
// With a majority of voters up, connected and writing, a leader is elected and commits go on, whatever is wrong with the rest.
//
// # Invariants
//
// Checked after every call (invariants.go): compacted ≤ applied ≤ delivered ≤ commit ≤ last; stable ≤ handed ≤ last;
// no entry, accepted log or durable term is later than the term. Verify adds what takes longer: consecutive
// entries, one unsettled membership change, progress within its windows.
//
// # Sources
//
// Ongaro, Consensus: Bridging Theory and Practice (2014): §3 (the algorithm), §3.10 (transfer), §4 (membership), §5 (compaction),
// §6.4 (reads), §9.6 (pre-vote), §10.2 (writing in parallel, pipelining). Where this package leaves it, and where it
// differs from go.etcd.io/raft: DIVERGENCE.md. The traps that others fell into, and the play for each: SCENARIOS.md.
package raft
