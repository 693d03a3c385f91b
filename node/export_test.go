package node

import (
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

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

// NewDisk makes a disk that runs until stop, without a node around it. persisted hears of each commit.
func NewDisk(store *storage.Store, persisted func()) (write func(...lane.GroupWrite), stop func()) {
	limits := lane.DefaultLimits()
	d := newDisk(store, &limits)
	d.send = func([]lane.Send) {}
	d.persisted = func([]lane.Event) { persisted() }
	d.failed = func(err error) { panic(err) }
	done := make(chan struct{})
	go func() { defer close(done); d.run() }()
	return func(w ...lane.GroupWrite) { d.write(w) }, func() { d.close(); <-done }
}

// Keeping is what makes checkpoints durable, without a node around it.
type Keeping struct{ *disk }

// NewKeeping makes one that tells what a node's loop would hear.
func NewKeeping(store *storage.Store, lagMax, pause int, persisted func([]lane.Event), failed func(error)) Keeping {
	d := newDisk(store, &lane.Limits{CheckpointLagMax: lagMax, CheckpointPause: pause})
	d.persisted, d.failed = persisted, failed
	return Keeping{d}
}

// Add, Close and Kill are what the disk's goroutine and the node ask of it.
func (k Keeping) Add(c ...lane.GroupCheckpoint) { k.keeping.add(c) }
func (k Keeping) Close()                        { k.keeping.close() }
func (k Keeping) Kill()                         { k.kill() }

// Admit is what a commit of so many bytes of log waits for.
func (k Keeping) Admit(bytes int) bool { return k.keeping.admit(bytes) }

// RestAfter is how long a checkpoint rests after a part that took so long.
func (k Keeping) RestAfter(worked time.Duration) time.Duration { return k.keeping.restAfter(worked) }

// Hurry is what somebody asks for who waits for a checkpoint.
func (k Keeping) Hurry() (done func()) { return k.keeping.hurry() }

// Hurrying is how many wait for a checkpoint of this node.
func (n *Node) Hurrying() int {
	k := &n.disk.keeping
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted
}

// CheckpointAhead is what a node's checkpoints are ahead of those of node 3.
var CheckpointAhead = checkpointAhead

// Run returns after Close or Kill, or at the first failure.
func (k Keeping) Run() { k.keep() }

// Parcels is how many messages go to each peer at once, and whether they may be held back.
func Parcels(sends []lane.Send) (messages map[raft.NodeID]int, deferrable map[raft.NodeID]bool) {
	messages, deferrable = map[raft.NodeID]int{}, map[raft.NodeID]bool{}
	for to, p := range parcels(sends) {
		messages[to], deferrable[to] = len(p.envelopes), p.deferrable
	}
	return messages, deferrable
}
