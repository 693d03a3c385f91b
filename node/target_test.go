package node_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// targeted is node 1, with a disk that writes at once. What it sends is lost.
type targeted struct {
	t     *testing.T
	now   time.Time
	lane  *lane.Lane
	disks map[lane.GroupID]*plainDisk
}

// newTargeted makes a node that leads all groups, alone, or one of three that nobody leads yet.
func newTargeted(t *testing.T, leads bool) *targeted {
	t.Helper()
	w := &targeted{t: t, now: time.Unix(1_800_000_000, 0).UTC(), disks: map[lane.GroupID]*plainDisk{}}
	nodes := []raft.NodeID{1, 2, 3}
	if leads {
		nodes = nodes[:1]
	}
	d := lane.Directory{Nodes: nodes, Coordinators: [][]raft.NodeID{nodes}}
	for _, bank := range []string{"north", "south"} {
		d.Banks = append(d.Banks, lane.BankPlace{Bank: transfer.BankID(bank), Members: nodes})
	}
	var err error
	w.lane, err = lane.New(lane.Config{
		Node: 1, Seed: 1, Directory: d, Disk: directory.Disk{1}, Limits: lane.DefaultLimits(),
		NewEngine: func(cfg raft.Config) (replica.Engine, error) { return raft.New(cfg) },
		Restore: func(g lane.GroupID) (raft.State, lane.Reader, error) {
			w.disks[g] = &plainDisk{}
			return raft.State{}, w.disks[g], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if leads {
		for range 30 { // longer than any election
			w.now = w.now.Add(lane.DefaultLimits().TickInterval)
			w.step()
		}
	}
	return w
}

// step gives the node events. It returns false if the node has stopped itself: a peer that contradicts what is decided can only be answered so.
func (w *targeted) step(events ...lane.Event) bool {
	w.t.Helper()
	for again := true; again; again = len(events) > 0 {
		effects := w.lane.Step(w.now, events)
		if errors.Is(effects.Fatal, raft.ErrUnsafe) {
			return false
		}
		if effects.Fatal != nil {
			w.t.Fatal(effects.Fatal)
		}
		events = nil
		for i := range effects.Writes {
			write := &effects.Writes[i]
			w.disks[write.Group].write(&write.Write)
			events = append(events, lane.Persisted{Group: write.Group, Seq: write.Write.Seq})
		}
		for _, c := range effects.Checkpoints {
			w.disks[c.Group].keep(&c.Checkpoint)
			events = append(events, lane.CheckpointWritten{Group: c.Group, Applied: c.Checkpoint.Applied})
		}
	}
	return true
}

// plainDisk is a group's stored state, by key.
type plainDisk struct{ kvs, staged []replica.KV }

func (d *plainDisk) write(w *replica.Write) {
	if w.StageAnew {
		d.staged = nil
	}
	for _, kv := range w.Stage {
		put(&d.staged, kv)
	}
	if w.Install {
		d.kvs, d.staged = d.staged, nil
	}
}

func (d *plainDisk) keep(c *replica.Checkpoint) {
	for _, kv := range slices.Concat(c.State...) {
		put(&d.kvs, kv)
	}
}

func put(kvs *[]replica.KV, kv replica.KV) {
	at, found := findKey(*kvs, kv.Key)
	switch {
	case found && kv.Value == nil:
		*kvs = slices.Delete(*kvs, at, at+1)
	case found:
		(*kvs)[at] = kv
	case kv.Value != nil:
		*kvs = slices.Insert(*kvs, at, kv)
	}
}

func findKey(kvs []replica.KV, key []byte) (int, bool) {
	return slices.BinarySearchFunc(kvs, key, func(kv replica.KV, key []byte) int { return bytes.Compare(kv.Key, key) })
}

func (d *plainDisk) Get(key []byte) ([]byte, bool, error) {
	at, found := findKey(d.kvs, key)
	if !found {
		return nil, false, nil
	}
	return d.kvs[at].Value, true, nil
}

func (d *plainDisk) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	at, _ := findKey(d.kvs, from)
	for _, kv := range d.kvs[at:] {
		if to != nil && bytes.Compare(kv.Key, to) >= 0 || !fn(kv.Key, kv.Value) {
			break
		}
	}
	return nil
}
