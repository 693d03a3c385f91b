// Package quorum answers who counts: which index a set of voters has agreed on, and whether a vote is won.
//
// It never knows what is being agreed on and keeps no state: sets in, answers out.
//
// Invariants (checked by a slower, obvious version in the tests):
//   - any two majorities of one set share a voter
//   - a joint set decides only what both of its halves decide
//
// Source: Ongaro, Consensus: Bridging Theory and Practice (2014), §3.6.2 and §4.3.
package quorum
