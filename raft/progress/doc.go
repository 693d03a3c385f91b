// Package progress is what a leader believes of one peer: what the peer has, what was sent to it, and whether to send more.
//
// It never sends anything and never looks at the log: it is told what was sent and what was
// answered, and says what may come next.
//
// Invariants (Verify):
//   - Match < Next
//   - the window holds no more messages and bytes than its limits, except for one message larger than the byte limit
//
// Source: Ongaro §10.2.1 (pipelining); the three states are those of go.etcd.io/raft.
package progress
