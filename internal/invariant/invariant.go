// Package invariant stops the process when a promise of ours is broken.
//
// It never decides and never recovers: a broken invariant means that memory or
// code can no longer be trusted with money, so the process stops with the numbers
// and restarts from what is durable.
package invariant

import "fmt"

// Broken is the value that Holds and Fail panic with, so that a host can tell a broken
// promise from any other panic and stop with its own exit code.
type Broken struct{ Message string }

func (b Broken) Error() string { return "invariant broken: " + b.Message }

// Holds panics with Broken unless condition is true. State it positively, one
// condition each, with the numbers that make the message worth reading.
func Holds(condition bool, format string, args ...any) {
	if !condition {
		Fail(format, args...)
	}
}

// Fail panics with Broken: for the default of a switch over a closed list.
func Fail(format string, args ...any) {
	panic(Broken{Message: fmt.Sprintf(format, args...)})
}
