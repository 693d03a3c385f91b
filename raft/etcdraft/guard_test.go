package etcdraft_test

import (
	"errors"
	"math"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/etcdraft"
)

func TestFollowerRefusesNonsense(t *testing.T) {
	s := start(t, raft.Config{})
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 3, Entries: entries(3, 1, 4), Commit: 3})
	s.work()
	two := func(a, b raft.Entry) []raft.Entry { return []raft.Entry{a, b} }
	for name, tt := range map[string]struct {
		why error
		m   raft.Message
	}{
		"an unknown kind":                   {raft.ErrBadMessage, raft.Message{Kind: 99, From: 2, Term: 3}},
		"one for another":                   {raft.ErrBadMessage, raft.Message{Kind: raft.Heartbeat, From: 2, To: 3, Term: 3}},
		"one from nobody":                   {raft.ErrBadMessage, raft.Message{Kind: raft.Heartbeat, Term: 3}},
		"one from the core's own disk":      {raft.ErrBadMessage, raft.Message{Kind: raft.AppendReply, From: math.MaxUint64, Term: 3}},
		"no term":                           {raft.ErrBadMessage, raft.Message{Kind: raft.Heartbeat, From: 2}},
		"a term beyond all":                 {raft.ErrBadMessage, raft.Message{Kind: raft.Vote, From: 2, Term: 1 << 63}},
		"an index beyond all":               {raft.ErrBadMessage, raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 1 << 63, LogTerm: 1}},
		"a gap":                             {raft.ErrBadMessage, raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 4, LogTerm: 3, Entries: entries(3, 6, 6)}},
		"falling terms":                     {raft.ErrBadMessage, raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 4, LogTerm: 3, Entries: two(raft.Entry{Index: 5, Term: 3}, raft.Entry{Index: 6, Term: 2})}},
		"an entry of a later term":          {raft.ErrBadMessage, raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 4, LogTerm: 3, Entries: entries(4, 5, 5)}},
		"an unknown kind of entry":          {raft.ErrBadMessage, raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 4, LogTerm: 3, Entries: []raft.Entry{{Index: 5, Term: 3, Kind: 9}}}},
		"a change that can't be read":       {raft.ErrBadMessage, raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 4, LogTerm: 3, Entries: []raft.Entry{{Index: 5, Term: 3, Kind: raft.Membership, Data: []byte{7}}}}},
		"a campaign with a later log":       {raft.ErrBadMessage, raft.Message{Kind: raft.Vote, From: 2, Term: 3, Index: 9, LogTerm: 3}},
		"a snapshot without a chunk":        {raft.ErrBadMessage, raft.Message{Kind: raft.Snapshot, From: 2, Term: 3}},
		"a snapshot of nothing":             {raft.ErrBadMessage, raft.Message{Kind: raft.Snapshot, From: 2, Term: 3, Snapshot: &raft.SnapshotChunk{}}},
		"a snapshot that ends nowhere":      {raft.ErrBadMessage, raft.Message{Kind: raft.Snapshot, From: 2, Term: 3, Snapshot: &raft.SnapshotChunk{Last: raft.EntryID{Index: 9, Term: 3}, Offset: 1 << 63}}},
		"a snapshot without members":        {raft.ErrBadMessage, raft.Message{Kind: raft.Snapshot, From: 2, Term: 3, Snapshot: &raft.SnapshotChunk{Last: raft.EntryID{Index: 9, Term: 3}, Done: true}}},
		"a second leader's append":          {raft.ErrUnsafe, raft.Message{Kind: raft.Append, From: 3, Term: 3, Index: 4, LogTerm: 3}},
		"a second leader's heartbeat":       {raft.ErrUnsafe, raft.Message{Kind: raft.Heartbeat, From: 3, Term: 3, Round: 1}},
		"entries that were had":             {raft.ErrLost, raft.Message{Kind: raft.Heartbeat, From: 2, Term: 3, Commit: 99, Round: 1}},
		"another entry at a committed one":  {raft.ErrUnsafe, raft.Message{Kind: raft.Append, From: 2, Term: 4, Index: 2, LogTerm: 3, Entries: entries(4, 3, 3)}},
		"another entry before, all of them": {raft.ErrUnsafe, raft.Message{Kind: raft.Append, From: 2, Term: 4, Index: 3, LogTerm: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.m.To == 3 {
				tt.m.To = 9
			}
			solo{s.Raft, t}.refuses(tt.why, tt.m)
		})
	}
}

func TestLeaderRefusesNonsense(t *testing.T) {
	s := start(t, raft.Config{})
	s.lead()
	_ = s.ReadIndex(1)
	s.work()
	for name, tt := range map[string]struct {
		why error
		m   raft.Message
	}{
		"an acknowledgement of what isn't there": {raft.ErrBadMessage, raft.Message{Kind: raft.AppendReply, From: 2, Term: 1, Index: 2}},
		// With these, etcd's core would run past the end of its list of reads.
		"an answer to a round never begun": {raft.ErrBadMessage, raft.Message{Kind: raft.HeartbeatReply, From: 2, Term: 1, Round: 3}},
		"an answer to a round far ahead":   {raft.ErrBadMessage, raft.Message{Kind: raft.HeartbeatReply, From: 2, Term: 1, Round: math.MaxUint64}},
		"another leader of its term":       {raft.ErrUnsafe, raft.Message{Kind: raft.Append, From: 2, Term: 1, Index: 1, LogTerm: 1}},
	} {
		t.Run(name, func(t *testing.T) { solo{s.Raft, t}.refuses(tt.why, tt.m) })
	}
	// Of a node that isn't a member, nothing is believed, and nothing breaks.
	s.must(raft.Message{Kind: raft.AppendReply, From: 77, Term: 1, Index: 1}, raft.Message{Kind: raft.VoteReply, From: 77, Term: 1})
}

func TestStateAndConfigAreRefusedAsByTheOtherEngine(t *testing.T) {
	for name, tt := range map[string]struct {
		why error
		cfg raft.Config
	}{
		"no id":             {raft.ErrBadConfig, raft.Config{Voters: []raft.NodeID{1}}},
		"an id of the core": {raft.ErrBadConfig, raft.Config{ID: math.MaxUint64, Voters: []raft.NodeID{1}}},
		"no voters":         {raft.ErrBadConfig, raft.Config{ID: 1}},
		"a gap in the log":  {raft.ErrBadState, raft.Config{ID: 1, Voters: []raft.NodeID{1}, State: raft.State{HardState: raft.HardState{Term: 1}, Entries: entries(1, 2, 3)}}},
	} {
		if _, err := etcdraft.New(tt.cfg); !errors.Is(err, tt.why) {
			t.Errorf("%s: got %v, want %v", name, err, tt.why)
		}
	}
}

// FuzzStep lets a peer say anything, between ticks, proposals and reads: an error at the worst, and everything still fits.
func FuzzStep(f *testing.F) {
	f.Add([]byte("\x05\x02\x01\x00\x00\x01\x01\x01\x00\x00"))
	f.Add([]byte("\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x04\x02\x01\x00\x00\x00\x00\x00\x00\x00\x08\x02\x01\x00\x00\x00\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		s := start(t, raft.Config{Seed: 7, ElectionTicks: 3})
		for len(script) >= scriptBytes {
			err := s.Step(scriptMessage(script[:scriptBytes]))
			if errors.Is(err, raft.ErrUnsafe) {
				return
			}
			s.play(script[9])
			if err := s.Verify(); err != nil {
				t.Fatal(err)
			}
			script = script[scriptBytes:]
		}
	})
}

// scriptBytes is one line of a script: a message, and what the node's own host does then.
const scriptBytes = 10

func scriptMessage(b []byte) raft.Message {
	m := raft.Message{
		Kind: raft.MessageKind(b[0] % 13), From: raft.NodeID(b[1] % 5), To: 1, Term: raft.Term(b[2] % 8),
		Index: raft.Index(b[3] % 8), LogTerm: raft.Term(b[4] % 8), Commit: raft.Index(b[6] % 10),
		Reject: b[7]&1 > 0, Transfer: b[7]&2 > 0, Hint: raft.Index(b[8] % 8), HintTerm: raft.Term(b[8] >> 4),
		Round: uint64(b[8]), Compact: raft.Index(b[7] >> 3),
	}
	for i := range b[5] % 4 {
		e := raft.Entry{Index: m.Index + 1 + raft.Index(i), Term: max(1, m.LogTerm), Kind: raft.EntryKind(b[5] >> 6)}
		if e.Kind == raft.Membership {
			e.Data = []byte{1, 1 + b[6]>>6, 1 + b[8]%4, 1 + b[7]>>6, 1 + b[3]%4}
		}
		m.Entries = append(m.Entries, e)
	}
	if b[7]&4 > 0 {
		voters := []byte{1, 0, 1, 1 + b[5]%4, 0, 0, 0, 0}
		m.Snapshot = &raft.SnapshotChunk{Last: raft.EntryID{Index: m.Index, Term: m.LogTerm}, Membership: voters, Offset: uint64(b[8] % 3), Data: b[:b[8]%3], Done: b[8]&64 > 0}
	}
	return m
}

// play is what a host may do on its side.
func (s solo) play(what byte) {
	switch what % 8 {
	case 0:
		s.tick(3)
	case 1, 2, 3:
		s.work()
	case 4:
		_, _ = s.Propose(0, []byte{what})
	case 5:
		_ = s.ReadIndex(uint64(what))
	case 6:
		_ = s.Compact(s.Status().Applied)
	case 7:
		_ = s.TransferLeadership(raft.NodeID(what>>3) % 5)
	}
}
