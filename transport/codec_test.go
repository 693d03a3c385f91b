package transport_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// drawMessage makes any message that a correct node may send.
func drawMessage(t *rapid.T) raft.Message {
	u := func(name string) uint64 { return rapid.Uint64Range(0, 1<<40).Draw(t, name) }
	m := raft.Message{
		Kind: raft.MessageKind(rapid.IntRange(int(raft.PreVote), int(raft.TimeoutNow)).Draw(t, "kind")),
		From: 1, To: 2,
		Term: raft.Term(u("term") + 100), LogTerm: raft.Term(rapid.Uint64Range(1, 50).Draw(t, "log term")), Index: raft.Index(u("index")),
		Commit: raft.Index(u("commit")), Reject: rapid.Bool().Draw(t, "reject"), Hint: raft.Index(u("hint")),
		HintTerm: raft.Term(u("hint term")), Round: u("round"), Transfer: rapid.Bool().Draw(t, "transfer"), Compact: raft.Index(u("compact")),
	}
	switch m.Kind {
	case raft.Append:
		for i := range rapid.IntRange(0, 5).Draw(t, "entries") {
			m.Entries = append(m.Entries, raft.Entry{
				Index: m.Index + raft.Index(i) + 1, Term: m.LogTerm + raft.Term(i),
				Kind: raft.EntryKind(rapid.IntRange(0, 2).Draw(t, "entry kind")),
				Data: rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "data"),
			})
		}
	case raft.Snapshot:
		m.Snapshot = &raft.SnapshotChunk{
			Last: raft.EntryID{Index: 7, Term: 3}, Membership: []byte{1}, Offset: u("offset"),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "chunk"), Done: rapid.Bool().Draw(t, "done"),
		}
	}
	return m
}

func TestRaftMessagesSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawMessage(t)
		wire, err := proto.Marshal(transport.RaftEnvelope("bank/A", &want))
		if err != nil {
			t.Fatalf("marshal: %v", err)
		}
		var back peerv1.Envelope
		if err := proto.Unmarshal(wire, &back); err != nil {
			t.Fatalf("unmarshal: %v", err)
		}
		group, got, err := transport.DecodeRaft(back.GetRaft())
		if err != nil || group != "bank/A" {
			t.Fatalf("group %q, error %v", group, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestMalformedRaftMessagesAreRefused(t *testing.T) {
	good := func() *peerv1.RaftMessage {
		return &peerv1.RaftMessage{
			Group: "g", Kind: uint32(raft.Append), From: 1, To: 2, Term: 5, LogTerm: 3, Index: 10,
			Entries: []*peerv1.RaftEntry{{Index: 11, Term: 4}, {Index: 12, Term: 5}},
		}
	}
	chunk := func(m *peerv1.RaftMessage) {
		m.Kind, m.Entries = uint32(raft.Snapshot), nil
		m.Snapshot = &peerv1.SnapshotChunk{LastIndex: 9, LastTerm: 5, Data: []byte{1}}
	}
	if _, _, err := transport.DecodeRaft(good()); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	cases := map[string]func(*peerv1.RaftMessage){
		"no group":                       func(m *peerv1.RaftMessage) { m.Group = "" },
		"an endless group":               func(m *peerv1.RaftMessage) { m.Group = strings.Repeat("x", 200) },
		"kind zero":                      func(m *peerv1.RaftMessage) { m.Kind = 0 },
		"an unknown kind":                func(m *peerv1.RaftMessage) { m.Kind = uint32(raft.TimeoutNow) + 1 },
		"a kind that would wrap":         func(m *peerv1.RaftMessage) { m.Kind += 256 },
		"from nobody":                    func(m *peerv1.RaftMessage) { m.From = 0 },
		"to nobody":                      func(m *peerv1.RaftMessage) { m.To = 0 },
		"to itself":                      func(m *peerv1.RaftMessage) { m.To = m.From },
		"entries outside an append":      func(m *peerv1.RaftMessage) { m.Kind = uint32(raft.Vote) },
		"a hole before the entries":      func(m *peerv1.RaftMessage) { m.Index = 9 },
		"a hole between entries":         func(m *peerv1.RaftMessage) { m.Entries[1].Index = 13 },
		"an index that wraps":            func(m *peerv1.RaftMessage) { m.Index = 1<<64 - 1; m.Entries = m.Entries[:1]; m.Entries[0].Index = 0 },
		"a falling term":                 func(m *peerv1.RaftMessage) { m.Entries[1].Term = 3 },
		"a term below the one before":    func(m *peerv1.RaftMessage) { m.Entries[0].Term = 2 },
		"a term of the future":           func(m *peerv1.RaftMessage) { m.Entries[1].Term = 6 },
		"an entry of no term":            func(m *peerv1.RaftMessage) { m.LogTerm = 0; m.Entries[0].Term = 0 },
		"an unknown entry kind":          func(m *peerv1.RaftMessage) { m.Entries[0].Kind = 3 },
		"an entry kind that would wrap":  func(m *peerv1.RaftMessage) { m.Entries[0].Kind = 256 },
		"an entry that isn't there":      func(m *peerv1.RaftMessage) { m.Entries[0] = nil },
		"a snapshot without a chunk":     func(m *peerv1.RaftMessage) { chunk(m); m.Snapshot = nil },
		"a chunk outside a snapshot":     func(m *peerv1.RaftMessage) { chunk(m); m.Kind = uint32(raft.Heartbeat) },
		"a snapshot of nothing":          func(m *peerv1.RaftMessage) { chunk(m); m.Snapshot.LastIndex = 0 },
		"a snapshot of no term":          func(m *peerv1.RaftMessage) { chunk(m); m.Snapshot.LastTerm = 0 },
		"a snapshot of a future term":    func(m *peerv1.RaftMessage) { chunk(m); m.Snapshot.LastTerm = 6 },
		"a chunk past the end of counts": func(m *peerv1.RaftMessage) { chunk(m); m.Snapshot.Offset = 1<<64 - 1 },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			m := good()
			spoil(m)
			if _, msg, err := transport.DecodeRaft(m); err == nil {
				t.Fatalf("accepted as %+v", msg)
			}
		})
	}
	if _, _, err := transport.DecodeRaft(nil); err == nil {
		t.Fatal("accepted nil")
	}
}

func FuzzDecodeRaft(f *testing.F) {
	for _, m := range []raft.Message{
		{Kind: raft.Vote, From: 1, To: 2, Term: 3, LogTerm: 2, Index: 9},
		{Kind: raft.Append, From: 1, To: 2, Term: 3, LogTerm: 2, Index: 9, Entries: []raft.Entry{{Index: 10, Term: 3, Data: []byte("x")}}},
		{Kind: raft.Snapshot, From: 1, To: 2, Term: 3, Snapshot: &raft.SnapshotChunk{Last: raft.EntryID{Index: 1, Term: 1}, Done: true}},
	} {
		wire, _ := proto.Marshal(transport.RaftEnvelope("g", &m).GetRaft())
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m peerv1.RaftMessage
		if proto.Unmarshal(wire, &m) != nil {
			return
		}
		group, msg, err := transport.DecodeRaft(&m)
		if err != nil {
			return
		}
		again, back, err := transport.DecodeRaft(transport.RaftEnvelope(group, &msg).GetRaft())
		if err != nil || again != group || !cmp.Equal(msg, back) {
			t.Fatalf("%q %+v came back as %q %+v, %v", group, msg, again, back, err)
		}
	})
}
