package node

import (
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// keeping are the checkpoints that are to become durable, beside the commits, one after the other: what they contain is in the log. If they fall behind, the commits
// wait: what the machines keep in memory until then, and the log that they need after a crash, are bounded by it.
type keeping struct {
	lagMax int // bytes of log that may be written while one checkpoint waits or is under way
	pause  int // lane.Limits.CheckpointPause

	mu      sync.Mutex // guards the rest but the channels
	next    []waiting  // by age
	current *waiting   // the one under way
	written int        // bytes of log that were ever handed to the disk
	wanted  int        // those who wait for a checkpoint, a backup or a scan
	closed  bool
	killed  bool
	ended   bool          // keep has returned
	wake    chan struct{} // for keep: there is something to do
	went    chan struct{} // for who waits in admit: a checkpoint is durable, or the end has come
}

// waiting is a checkpoint, and how much log had been written when it came.
type waiting struct {
	lane.GroupCheckpoint
	written int
}

func newKeeping(lagMax, pause int) keeping {
	return keeping{lagMax: lagMax, pause: pause, wake: make(chan struct{}, 1), went: make(chan struct{}, 1)}
}

// add never blocks: of each group there is one checkpoint, and at most one more that a snapshot has overtaken.
func (k *keeping) add(checkpoints []lane.GroupCheckpoint) {
	if len(checkpoints) == 0 {
		return
	}
	k.mu.Lock()
	for i := range checkpoints {
		k.next = append(k.next, waiting{checkpoints[i], k.written})
	}
	k.mu.Unlock()
	poke(k.wake)
}

// admit waits until so many bytes of log may be written; false: the node was killed meanwhile.
func (k *keeping) admit(bytes int) (alive bool) {
	for {
		k.mu.Lock()
		alive = !k.killed
		admitted := !alive || k.ended || k.lag() <= k.lagMax
		if admitted {
			k.written += bytes
		}
		k.mu.Unlock()
		if admitted {
			return alive
		}
		<-k.went
	}
}

// lag is how much log was written since the oldest checkpoint came that isn't durable yet.
func (k *keeping) lag() int {
	oldest := k.written
	if k.current != nil {
		oldest = k.current.written
	}
	if len(k.next) > 0 {
		oldest = min(oldest, k.next[0].written)
	}
	return k.written - oldest
}

// close lets keep finish what there is and return.
func (k *keeping) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	poke(k.wake)
}

// kill makes keep return without writing what has not begun, as a crash would.
func (k *keeping) kill() {
	k.mu.Lock()
	k.killed = true
	k.mu.Unlock()
	poke(k.wake)
	poke(k.went)
}

// smallRecords: a checkpoint of no more waits for no larger one but that which is under way. That of the cluster's own group, which says where the other nodes are, has few.
const smallRecords = 1 << 8

func small(w waiting) bool { return w.Checkpoint.Records() <= smallRecords }

// take is the next one, if there is any; done: there will be no more.
func (k *keeping) take() (c *waiting, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = nil
	if k.killed || len(k.next) == 0 {
		return nil, k.killed || k.closed
	}
	i := max(0, slices.IndexFunc(k.next, small))
	next := k.next[i]
	k.next = slices.Delete(k.next, i, i+1)
	k.current = &next
	return k.current, false
}

func (k *keeping) end() {
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	poke(k.went)
}

// keep is the goroutine that makes checkpoints durable; it returns after run, or at the first failure.
func (d *disk) keep() {
	defer d.keeping.end()
	for range d.keeping.wake {
		for {
			c, done := d.keeping.take()
			poke(d.keeping.went)
			if done {
				return
			}
			if c == nil {
				break
			}
			written, err := d.store.Checkpoint(checkpointOf(&c.GroupCheckpoint), d.keeping.rest)
			if err != nil {
				d.failed(err)
				return
			}
			if written {
				d.persisted([]lane.Event{lane.CheckpointWritten{Group: c.Group, Applied: c.Checkpoint.Applied}})
			}
		}
	}
}

// rest lets others work after a part of a checkpoint. With little beside it, it is soon done all the same; under load transfers would wait for all of it.
func (k *keeping) rest(worked time.Duration) {
	if t := k.restAfter(worked); t > 0 {
		time.Sleep(t)
	}
}

// hurryPart: from so small a part of the lag at which commits wait, a checkpoint takes no rest.
const hurryPart = 4

// restLongest bounds one rest, after which a node that is to end is noticed.
const restLongest = 20 * time.Millisecond

func (k *keeping) restAfter(worked time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.killed || k.wanted > 0 || k.lag() > k.lagMax/hurryPart || slices.ContainsFunc(k.next, small) {
		return 0
	}
	return min(time.Duration(k.pause)*worked, restLongest)
}

// hurry has checkpoints take no rest until done is called: somebody waits for one.
func (k *keeping) hurry() (done func()) {
	k.want(1)
	return func() { k.want(-1) }
}

func (k *keeping) want(n int) {
	k.mu.Lock()
	k.wanted += n
	k.mu.Unlock()
}

// checkpointAhead spreads the members of a group over the time between two checkpoints: they apply the same entries, and the work of all of them at once would be felt.
func checkpointAhead(node raft.NodeID, checkpointBytes int) int {
	const members = 3 // in most groups
	return checkpointBytes / members * int(node%members)
}

func checkpointOf(c *lane.GroupCheckpoint) *storage.Checkpoint {
	return &storage.Checkpoint{Group: string(c.Group), Applied: c.Checkpoint.Applied, State: c.Checkpoint.State, Membership: c.Checkpoint.Members}
}
