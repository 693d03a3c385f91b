package node_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
)

// TestAParcelIsHeldBackOnlyIfAllOfItMayBe: what can't wait takes along what stands before and behind it.
func TestAParcelIsHeldBackOnlyIfAllOfItMayBe(t *testing.T) {
	message := func(to raft.NodeID, deferrable bool) lane.Send {
		return lane.Send{To: to, Message: lane.RaftMessage{Group: "cluster", Message: raft.Message{Kind: raft.Append, From: 1, To: to, Term: 1, Deferrable: deferrable}}}
	}
	messages, deferrable := node.Parcels([]lane.Send{
		message(2, true), message(3, false), message(4, true), message(5, true),
		message(2, true), message(3, true), message(4, false), {To: 5, Message: lane.Pulse{}}, message(4, true),
	})
	if diff := cmp.Diff(map[raft.NodeID]int{2: 2, 3: 2, 4: 3, 5: 2}, messages); diff != "" {
		t.Errorf("messages (- want, + got):\n%s", diff)
	}
	if diff := cmp.Diff(map[raft.NodeID]bool{2: true, 3: false, 4: false, 5: false}, deferrable); diff != "" {
		t.Errorf("deferrable (- want, + got):\n%s", diff)
	}
}
