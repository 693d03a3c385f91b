// Package lane is a node without hands: it routes events among its groups and returns effects.
//
// It never reads a clock, starts a goroutine or touches disk or network: Step takes the time
// and what happened, and says what to write, send and answer. In production its host is package node, under a seed it
// is package sim; both run the same code.
//
// A lane has a replica of every group that names its node: coordinator groups, whose leader drives transfers,
// and banks, whose leader executes requests. What clients ask at this node and another one leads is
// forwarded there by the gateway, over one hop; it asks again until the client's time is up, for every
// request is safe to repeat.
//
// The host's duties:
//  1. Call Step with everything that has come in, at least once a TickInterval, and as soon as the last
//     Effects.Due has come.
//  2. Carry out Effects: Send at once; Writes in their order, atomically each, synced together; the Durable
//     messages of a write only after it; then report Persisted. Checkpoints each as a whole, at any time, for what they contain is
//     in the log; then report CheckpointWritten.
//  3. If Effects.Fatal is set, stop the process: nothing after it may be answered.
//
// Invariants:
//   - a bank's answer leaves only after its entry is committed and applied
//   - a client's request is answered at most once; one that was forgotten, never
//   - every queue is bounded (limits.go)
package lane
