//go:build race

package node_test

// Less is done where everything is slow: Pebble keeps the stack of every iterator then.
const (
	crashPointsDefault = 4
	hotTransfers       = 2_000 // package lane carries all 10,000 here too
)
