// Package storage keeps what a node must not forget: one Pebble store for all Raft groups of the node.
//
// It never decides anything and never repairs anything: it writes what a lane hands it, in one synced atomic
// commit, and checkpoints beside that, each as a whole. At start it gives back exactly what was acknowledged, or says that it can't.
//
// The host's duties:
//  1. Open once per data directory, with the identity of the node. A refused directory is left as it was.
//  2. Load every group once, before its first Commit.
//  3. Send what depends on durability only after Commit has returned nil.
//  4. On any error of Commit or Checkpoint, and when Failed is closed, end the process: the disk may fail in background work that no
//     Commit meets. What was going on inside stands still from then on.
//  5. Close after the last Commit, Checkpoint and Reader call.
//
// Invariants (checked before they are written in check.go, after they are read in load.go):
//   - the log of a group is consecutive, from the entry after Compacted on
//   - Compacted ≤ Applied ≤ last entry, and HardState.Commit ≤ last entry
//   - terms never fall and a vote never changes within its term
//   - after the first failed write or sync nothing more reaches the disk (guard.go), so that no later sync can
//     seem to make the lost write durable; only what finds the disk full waits and goes on (space.go)
//
// Where everything lies is in keys.go, what the bytes mean in encode.go, the rest in docs/storage.md. Sources: Ongaro,
// "Consensus: Bridging Theory and Practice", §3.8 (persisted state) and §5 (compaction); Rebello et al., "Can Applications
// Recover from fsync Failures?" (ATC 2020), for why a failed sync is never tried again.
package storage
