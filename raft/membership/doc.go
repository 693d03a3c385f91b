// Package membership is how the set of members changes: who votes, who only listens, and how one set becomes the next.
//
// It never decides when a change happens: that is the log's order. A Config and a list of changes
// give the next Config, the same on every member.
//
// Invariants (Config.Verify):
//   - there is a voter
//   - every list is sorted and names nobody twice; a learner votes in neither half
//   - who becomes a learner on leaving (LearnersNext) votes in the outgoing half
//
// Source: Ongaro §4.3 (joint consensus). One change at a time moves a single member without a joint phase (§4.1),
// more at once go through a joint configuration that is left automatically.
package membership
