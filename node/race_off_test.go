//go:build !race

package node_test

const (
	crashPointsDefault = 50
	hotTransfers       = 10_000
)
