//go:build race

package node_test

// crashPointsDefault is less where everything is slow: Pebble keeps the stack of every iterator then.
const crashPointsDefault = 4
