// Package directory is the list of a cluster's nodes, of who holds which group, and of its API tokens, as a state machine of a Raft group.
//
// It never moves anything: it says how things should be, and the leader of each group brings the group's Raft membership there,
// one safe step at a time (lane/membership.go). What counts for safety is that membership alone.
//
// A node is added as a learner, promoted to a member, asked to leave, and removed. Its id is never used again, and neither is
// its place in a group that it has left: what its replica promised there is gone with its data.
//
// The host's duties:
//  1. Give New the same Founding on every node and at every start.
//  2. Apply committed entries in order. A fact that is refused changes nothing, on no replica.
//  3. Propose Left only when the group's applied Raft membership has taken the node out, and so refuses it for ever, and a majority of that membership knows for good that it is committed.
//
// Invariants (checked after every Apply):
//   - every group has a place to live, on nodes that aren't removed
//   - a node is in one of Members, Leaving and Left of a group, or in none
package directory
