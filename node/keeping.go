package node

import (
	"slices"
	"sync"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/storage"
)

// keeping are the checkpoints whose log is durable. That of the fewest records goes first: that of the cluster's own group, which says where the other nodes are, never waits for
// more than one of a bank.
type keeping struct {
	mu     sync.Mutex // guards the rest but wake
	next   []lane.GroupCheckpoint
	closed bool
	killed bool
	wake   chan struct{}
}

// add never blocks: there is at most one checkpoint of each group.
func (k *keeping) add(checkpoints []lane.GroupCheckpoint) {
	if len(checkpoints) == 0 {
		return
	}
	k.mu.Lock()
	k.next = append(k.next, checkpoints...)
	k.mu.Unlock()
	k.poke()
}

// close lets keep finish what there is and return.
func (k *keeping) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.poke()
}

// kill makes keep return without writing what has not begun, as a crash would.
func (k *keeping) kill() {
	k.mu.Lock()
	k.killed = true
	k.mu.Unlock()
	k.poke()
}

func (k *keeping) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// take is the next one, if there is any; done: there will be no more.
func (k *keeping) take() (c *lane.GroupCheckpoint, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.killed || len(k.next) == 0 {
		return nil, k.killed || k.closed
	}
	i := smallest(k.next)
	next := k.next[i]
	k.next = slices.Delete(k.next, i, i+1)
	return &next, false
}

func smallest(of []lane.GroupCheckpoint) (i int) {
	for j := range of {
		if len(of[j].Checkpoint.State) < len(of[i].Checkpoint.State) {
			i = j
		}
	}
	return i
}

// keep is the goroutine that makes checkpoints durable, one after the other; it returns after run, or at the first failure.
func (d *disk) keep() {
	for range d.keeping.wake {
		for {
			c, done := d.keeping.take()
			if done {
				return
			}
			if c == nil {
				break
			}
			written, err := d.store.Checkpoint(checkpointOf(c))
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

func checkpointOf(c *lane.GroupCheckpoint) *storage.Checkpoint {
	return &storage.Checkpoint{Group: string(c.Group), Applied: c.Checkpoint.Applied, State: c.Checkpoint.State, Membership: c.Checkpoint.Members}
}
