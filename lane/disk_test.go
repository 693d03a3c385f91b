package lane_test

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// shelf is what a node's disk keeps of one group: enough to start from, and to send a snapshot of.
type shelf struct {
	last    raft.EntryID // in the checkpoint
	members []byte
	kv      map[string][]byte
	staged  map[string][]byte
	terms   map[raft.Index]raft.Term // of the log's entries
	out     map[raft.NodeID]*replica.Outgoing
}

func newShelf() *shelf {
	return &shelf{kv: map[string][]byte{}, terms: map[raft.Index]raft.Term{}, out: map[raft.NodeID]*replica.Outgoing{}}
}

func (s *shelf) write(w *replica.Write) {
	for i := range w.Entries {
		s.terms[w.Entries[i].Index] = w.Entries[i].Term
	}
	if w.StageAnew {
		s.staged = map[string][]byte{}
	}
	keep(s.staged, w.Stage)
	if w.Install {
		s.kv, s.staged, s.last, s.members = s.staged, nil, w.Compact, w.Members
	}
}

func (s *shelf) keep(c *replica.Checkpoint) {
	for _, piece := range c.State {
		keep(s.kv, piece)
	}
	s.last, s.members = raft.EntryID{Index: c.Applied, Term: s.terms[c.Applied]}, c.Members
}

func keep(kv map[string][]byte, changes []replica.KV) {
	for _, c := range changes {
		if c.Value == nil {
			delete(kv, string(c.Key))
		} else {
			kv[string(c.Key)] = c.Value
		}
	}
}

func (s *shelf) read(r lane.ReadSnapshot) lane.SnapshotRead {
	if r.Last.Index == 0 {
		s.out[r.To] = replica.NewOutgoing(s.frozen(r.Members))
	}
	chunk, err := s.out[r.To].Chunk(r.Offset, r.BytesMax)
	return lane.SnapshotRead{Group: r.Group, To: r.To, Chunk: chunk, Err: err}
}

// frozen is the checkpoint as it is now.
func (s *shelf) frozen(members []byte) *frozenShelf {
	f := &frozenShelf{last: s.last, members: s.members}
	if f.members == nil {
		f.members = members
	}
	for k, v := range s.kv {
		f.sorted = append(f.sorted, replica.KV{Key: []byte(k), Value: v})
	}
	slices.SortFunc(f.sorted, func(a, b replica.KV) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return f
}

type frozenShelf struct {
	last    raft.EntryID
	members []byte
	sorted  []replica.KV
}

func (f *frozenShelf) Last() raft.EntryID { return f.last }
func (f *frozenShelf) Membership() []byte { return f.members }

func (f *frozenShelf) Scan(from []byte, fn func(key, value []byte) bool) error {
	for _, kv := range f.sorted {
		if string(kv.Key) >= string(from) && !fn(kv.Key, kv.Value) {
			break
		}
	}
	return nil
}

// Get and Scan are the reader of the lane's machines.
func (s *shelf) Get(key []byte) (value []byte, ok bool, err error) {
	value, ok = s.kv[string(key)]
	return slices.Clone(value), ok, nil
}

func (s *shelf) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	return s.frozen(nil).Scan(from, func(key, value []byte) bool {
		return to == nil || string(key) < string(to) && fn(key, value)
	})
}
