// Package raft keeps a log the same on all members of a group, without doing any I/O.
//
// It never reads a clock, starts a goroutine, or touches a disk or a network: Tick, Step and the
// other calls go in, Ready says what to do, Persisted and Applied report what was done.
package raft
