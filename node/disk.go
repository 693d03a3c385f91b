package node

import (
	"errors"
	"runtime"
	"sync"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// disk syncs what the steps wrote, in their order, one commit for everything that has gathered since the last. Checkpoints go their own way.
type disk struct {
	mu      sync.Mutex // guards pending and closed
	pending []lane.GroupWrite
	closed  bool
	wake    chan struct{}

	keeping keeping

	store     *storage.Store
	send      func([]lane.Send) // messages that had to wait for the disk
	persisted func([]lane.Event)
	failed    func(error)
}

func newDisk(store *storage.Store, limits *lane.Limits) *disk {
	return &disk{store: store, wake: make(chan struct{}, 1), keeping: newKeeping(limits.CheckpointLagMax, limits.CheckpointPause)}
}

// write queues what a step wants written. It never blocks: what can be pending is bounded by the bounds on proposals and appends in flight, and by one chunk of a snapshot per group.
func (d *disk) write(writes []lane.GroupWrite) {
	if len(writes) == 0 {
		return
	}
	d.mu.Lock()
	d.pending = append(d.pending, writes...)
	d.mu.Unlock()
	poke(d.wake)
}

// poke wakes whoever reads from a channel with one place.
func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// kill makes run return without writing what is pending, as a crash would.
func (d *disk) kill() {
	d.keeping.kill()
	poke(d.wake)
}

// close lets run finish what is pending and return.
func (d *disk) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	poke(d.wake)
}

// run is the disk's goroutine; it returns after close, or at the first failure.
func (d *disk) run() {
	defer d.keeping.close()
	for range d.wake {
		// Messages of the same step leave first, and so does what clients hear: a sync keeps the processor that it begins on, and what waits there
		// with it.
		runtime.Gosched()
		d.mu.Lock()
		writes, closed := d.pending, d.closed
		d.pending = nil
		d.mu.Unlock()
		if !d.keeping.admit(bytesOf(writes)) {
			return
		}
		if len(writes) > 0 {
			if err := d.commit(writes); err != nil {
				d.failed(err)
				return
			}
		}
		if closed {
			return
		}
	}
}

// bytesOf is how much log the writes have.
func bytesOf(writes []lane.GroupWrite) (bytes int) {
	for i := range writes {
		for j := range writes[i].Write.Entries {
			bytes += len(writes[i].Write.Entries[j].Data)
		}
	}
	return bytes
}

// commit makes the writes durable, and only then lets their messages out and tells the loop.
func (d *disk) commit(writes []lane.GroupWrite) error {
	updates := make([]storage.GroupUpdate, 0, len(writes))
	durable := 0
	for i := range writes {
		if !writes[i].Write.Empty() {
			updates = append(updates, updateOf(&writes[i]))
		}
		durable += len(writes[i].Durable)
	}
	if len(updates) > 0 {
		if err := d.store.Commit(updates); err != nil {
			return err
		}
	}
	sends := make([]lane.Send, 0, durable)
	events := make([]lane.Event, 0, len(writes))
	for i := range writes {
		sends = append(sends, writes[i].Durable...)
		events = append(events, lane.Persisted{Group: writes[i].Group, Seq: writes[i].Write.Seq})
	}
	d.send(sends)
	d.persisted(events)
	return nil
}

func updateOf(w *lane.GroupWrite) storage.GroupUpdate {
	u := storage.GroupUpdate{
		Group:     string(w.Group),
		HardState: w.Write.HardState,
		Entries:   w.Write.Entries,
		Compact:   w.Write.Compact,

		Membership: w.Write.Members,

		Stage:     w.Write.Stage,
		StageAnew: w.Write.StageAnew,
		Install:   w.Write.Install,

		Retire: w.Write.Retire,
	}
	if u.Install {
		u.Applied = u.Compact.Index
	}
	return u
}

// restore reads what the store remembers of a group.
func restore(store *storage.Store, id lane.GroupID) (raft.State, lane.Reader, error) {
	state, err := store.Load(string(id))
	if errors.Is(err, storage.ErrRetired) {
		return raft.State{}, nil, lane.ErrRetired
	}
	if err != nil {
		return raft.State{}, nil, err
	}
	return state, store.Reader(string(id)), nil
}
