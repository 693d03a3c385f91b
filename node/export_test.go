package node

import "github.com/quorate/quorate/lane"

// Inspect shows the replicas of a node that has stopped.
func (n *Node) Inspect() []lane.Replica {
	<-n.loopDone
	return n.lane.Inspect(nil)
}

// NewLane builds what a node runs.
var NewLane = newLane

// The codec of what nodes say to each other, for the fuzz test.
var (
	MessageToProto   = messageToProto
	MessageFromProto = messageFromProto
	ErrMalformed     = errMalformed
)

// SnapshotPause is how many times as long as a chunk took the next one waits.
func (n *Node) SnapshotPause() int { return int(n.snapshots.pause) }
