package node_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
)

// TestABrokenInvariantStopsAStart: what is durable is replayed before the loop runs. A promise that breaks there is an error with the numbers and the place, by which the process ends as
// from any other broken promise, and no panic.
func TestABrokenInvariantStopsAStart(t *testing.T) {
	restore := func(lane.GroupID) (raft.State, lane.Reader, error) {
		invariant.Fail("posted %d, the journal %d", 5, 4)
		return raft.State{}, nil, nil
	}
	config := node.Config{Node: 1, Cluster: "broken", Nodes: []node.NodeConfig{{ID: 1}}, Banks: []node.BankConfig{{ID: "A", Nodes: []uint64{1}}}}
	_, err := node.NewLane(lane.Config{Node: 1, Directory: config.Directory(), Disk: directory.Disk{1}, Limits: lane.DefaultLimits(), Restore: restore})
	var broken invariant.Broken
	if !errors.As(err, &broken) || broken.Message != "posted 5, the journal 4" || !strings.Contains(err.Error(), "broken_test.go") {
		t.Errorf("got %v", err)
	}
}
