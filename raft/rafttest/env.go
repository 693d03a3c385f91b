package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
)

// link is one direction between two nodes. Zero on either side is everybody.
type link struct{ from, to raft.NodeID }

// Env is the stage: nodes with their disks and machines, and the network between them.
type Env struct {
	out    strings.Builder
	hushed bool
	living bool

	base   raft.Config // settings common to all nodes
	voters []raft.NodeID
	chunk  int // bytes of a snapshot in one chunk
	nodes  []*node
	net    []raft.Message
	cuts   []link
	holds  []link
	judge  judge
}

// New returns an empty stage. The first command is group.
func New() *Env {
	return &Env{chunk: 4, judge: newJudge()}
}

func (e *Env) say(format string, args ...any) {
	if !e.hushed {
		fmt.Fprintf(&e.out, format+"\n", args...)
	}
}

// node is one member: its core, its disk, its machine.
type node struct {
	id   raft.NodeID
	core *raft.Raft // nil: down
	seen seen       // what was printed of it last

	disk     raft.State
	saved    machine // the checkpoint on disk, at disk.Applied
	slowDisk bool
	writes   []write // under way

	machine     machine
	slowMachine bool
	committed   []raft.Entry // not applied yet
	incoming    []byte       // chunks of a snapshot
	noSnapshot  bool
}

// write is a Persist under way and the messages that wait for it.
type write struct {
	p     *raft.Persist
	after []raft.Message
	state machine // what Install makes of the machine
}

// machine is the words of all applied entries.
type machine struct {
	applied raft.EntryID
	words   []string
}

func (m *machine) apply(en *raft.Entry) {
	m.applied = en.ID()
	if len(en.Data) > 0 && en.Kind == raft.Normal {
		m.words = append(slices.Clip(m.words), string(en.Data))
	}
}

func (e *Env) node(id raft.NodeID) *node {
	for _, n := range e.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// start makes a core of what the disk holds.
func (e *Env) start(n *node) error {
	cfg := e.base
	cfg.ID, cfg.Voters, cfg.Seed = n.id, e.voters, uint64(n.id)
	cfg.State = n.disk
	cfg.State.Entries = slices.Clone(n.disk.Entries)
	core, err := raft.New(cfg)
	if err != nil {
		return err
	}
	n.core, n.seen, n.machine = core, seen{}, n.saved
	n.writes, n.committed, n.incoming = nil, nil, nil
	return nil
}

// crash loses all but the first keep writes under way.
func (n *node) crash(keep int) {
	for _, w := range n.writes[:min(keep, len(n.writes))] {
		n.store(w)
	}
	n.core, n.writes = nil, nil
}

// store makes one write durable: all of it or nothing.
func (n *node) store(w write) {
	if w.p == nil {
		return
	}
	d := &n.disk
	if in := w.p.Install; in != nil {
		d.Compacted, d.Entries, d.Applied, d.Membership = in.Last, nil, in.Last.Index, in.Membership
		n.saved = w.state
	}
	if es := w.p.Entries; len(es) > 0 {
		keep := es[0].Index - d.Compacted.Index - 1
		d.Entries = append(d.Entries[:keep:keep], es...)
	}
	d.HardState = w.p.HardState
}

// checkpoint saves the machine; compaction may go up to it.
func (n *node) checkpoint() {
	n.saved = n.machine
	n.disk.Applied, n.disk.Membership = n.machine.applied.Index, n.core.Membership()
}

func (n *node) compact(to raft.Index) error {
	if to > n.disk.Applied {
		return fmt.Errorf("the checkpoint is at %d", n.disk.Applied)
	}
	if err := n.core.Compact(to); err != nil {
		return err
	}
	if d := &n.disk; to > d.Compacted.Index {
		drop := to - d.Compacted.Index
		d.Compacted = d.Entries[drop-1].ID()
		d.Entries = d.Entries[drop:]
	}
	return nil
}
