// Package backup keeps one cut through a whole cluster in a directory, and makes data directories of it.
//
// It never talks to a node: whoever has the cut writes it here, chunk by chunk. What the chunks hold is the replica's snapshot format.
//
// Invariants:
//   - a directory with a manifest is a whole backup: the manifest is written last, and the directory gets its name last (create.go)
//   - nothing is restored from a file whose checksums don't hold, nor into a directory that exists (restore.go)
//   - what was restored belongs to another cluster than what was saved, so that the nodes of the two never talk
//
// The format is in format.go, what makes a cut consistent in docs/decisions.
package backup
