// Package replica is one member of one group: a consensus engine, a state machine and its checkpoints, moved by one step.
//
// It never knows what the machine means and never touches a disk: it says what to write and
// is told when that is durable.
//
// The host's duties:
//  1. After any input, call Drain and carry its Output out: Messages at once, Write in the order of Seq,
//     Durable after the write of the same Output (and all earlier ones) is durable.
//  2. Report every durable write with Persisted.
//  3. Make an Output's Checkpoint durable as a whole, beside Writes, unless one of these has installed a later snapshot or retired
//     the replica; report it with CheckpointWritten. While Gathering, call Drain again soon.
//  4. Answer every Output.Offers with SendChunk, made by an Outgoing from the last durable checkpoint, or with SnapshotFailed. While
//     a snapshot is under way its source stays as it was.
//
// Invariants:
//   - entries reach the machine once, in order, and only when locally durable
//   - a checkpoint is written together with the index it contains and the membership as of that index; nothing waits for it
//   - the log is dropped only up to a durable checkpoint; what a member still needs stays, within Config.LogBytesMax
//   - a snapshot replaces log and machine in one write, after every chunk of it was found right
package replica
