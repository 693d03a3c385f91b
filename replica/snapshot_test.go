package replica_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden file; a change of it is a change of what travels and of what backups hold")

// state is a source in memory.
type state struct {
	last    raft.EntryID
	members []byte
	kvs     []replica.KV // sorted
	fail    error
}

func (s *state) Last() raft.EntryID { return s.last }
func (s *state) Membership() []byte { return s.members }

func (s *state) Scan(from []byte, fn func(key, value []byte) bool) error {
	for _, kv := range s.kvs {
		if bytes.Compare(kv.Key, from) >= 0 && !fn(kv.Key, kv.Value) {
			break
		}
	}
	return s.fail
}

func stateOf(kvs ...string) *state {
	s := &state{last: raft.EntryID{Index: 300, Term: 4}, members: []byte{1, 2, 3}}
	for _, kv := range kvs {
		key, value, _ := strings.Cut(kv, "=")
		s.kvs = append(s.kvs, replica.KV{Key: []byte(key), Value: []byte(value)})
	}
	s.sort()
	return s
}

func (s *state) sort() {
	slices.SortFunc(s.kvs, func(a, b replica.KV) int { return bytes.Compare(a.Key, b.Key) })
}

func chunksOf(t interface{ Fatal(...any) }, s *state, bytesMax int) []raft.SnapshotChunk {
	out := replica.NewOutgoing(s)
	var chunks []raft.SnapshotChunk
	for offset := uint64(0); ; {
		c, err := out.Chunk(offset, bytesMax)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
		if c.Done {
			return chunks
		}
		offset += uint64(len(c.Data))
	}
}

func TestSnapshotFormat1GoldenBytes(t *testing.T) {
	var got strings.Builder
	for _, c := range chunksOf(t, stateOf("a=1", "b=", "account=balance", "zoo=long value"), 12) {
		fmt.Fprintf(&got, "%d %v %x\n", c.Offset, c.Done, c.Data)
	}
	file := filepath.Join("testdata", "snapshot1.golden")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got.String() {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}

func TestSnapshotFormat1CanBeRead(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "snapshot1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	var in replica.Incoming
	got := ""
	for line := range strings.Lines(string(b)) {
		c := raft.SnapshotChunk{Last: raft.EntryID{Index: 300, Term: 4}, Membership: []byte{1, 2, 3}}
		if _, err := fmt.Sscanf(line, "%d %t %x", &c.Offset, &c.Done, &c.Data); err != nil {
			t.Fatal(err)
		}
		kvs, err := in.Check(&c)
		if err != nil {
			t.Fatal(err)
		}
		in.Take(&c)
		for _, kv := range kvs {
			got += fmt.Sprintf(" %s=%s", kv.Key, kv.Value)
		}
	}
	if got != " a=1 account=balance b= zoo=long value" {
		t.Errorf("got%s", got)
	}
}

// Whatever is stored and however it is cut, the records arrive as they were; a lost chunk can be asked for again, and all from the beginning.
func TestASnapshotArrivesAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := rapid.MapOf(rapid.StringN(1, 8, 20), rapid.SliceOfN(rapid.Byte(), 0, 40)).Draw(t, "stored")
		s := stateOf()
		for key, value := range stored {
			s.kvs = append(s.kvs, replica.KV{Key: []byte(key), Value: value})
		}
		s.sort()
		bytesMax := rapid.IntRange(1, 200).Draw(t, "bytesMax")
		out, in, offset := replica.NewOutgoing(s), replica.Incoming{}, uint64(0)
		var got []replica.KV
		crashes := rapid.IntRange(0, 3).Draw(t, "crashes")
		for done := false; !done; {
			c, err := out.Chunk(offset, bytesMax)
			if err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0: // lost
				continue
			case 1: // the receiver has crashed
				if crashes > 0 {
					crashes, offset, in, got = crashes-1, 0, replica.Incoming{}, nil
					continue
				}
			}
			kvs, err := in.Check(&c)
			if err != nil {
				t.Fatal(err)
			}
			in.Take(&c)
			got = append(got, kvs...)
			offset += uint64(len(c.Data))
			done = c.Done
		}
		same := func(a, b replica.KV) bool { return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) }
		if !slices.EqualFunc(got, s.kvs, same) {
			t.Fatalf("got %q, want %q", got, s.kvs)
		}
	})
}

func TestADamagedChunkIsRefused(t *testing.T) {
	chunks := chunksOf(t, stateOf("a=1", "b=2", "c=3"), 1)
	other := chunksOf(t, stateOf("a=1", "x=2", "c=3"), 1)
	for _, test := range []struct {
		name  string
		chunk raft.SnapshotChunk
		spoil func(c *raft.SnapshotChunk)
		want  error
	}{
		{"its first bit", chunks[1], func(c *raft.SnapshotChunk) { c.Data[0] ^= 0x80 }, replica.ErrNewerChunk},
		{"a newer format, whatever else it holds", chunks[1], func(c *raft.SnapshotChunk) { c.Data = []byte{2} }, replica.ErrNewerChunk},
		{"a bit of a key", chunks[1], func(c *raft.SnapshotChunk) { c.Data[3] ^= 1 }, replica.ErrDamagedChunk},
		{"a bit of its last checksum", chunks[1], func(c *raft.SnapshotChunk) { c.Data[len(c.Data)-1] ^= 1 }, replica.ErrDamagedChunk},
		{"its end", chunks[1], func(c *raft.SnapshotChunk) { c.Data = c.Data[:len(c.Data)-1] }, replica.ErrDamagedChunk},
		{"nothing", chunks[1], func(c *raft.SnapshotChunk) { c.Data = nil }, replica.ErrDamagedChunk},
		{"another entry", chunks[1], func(c *raft.SnapshotChunk) { c.Last.Index++ }, replica.ErrDamagedChunk},
		{"another place", chunks[1], func(c *raft.SnapshotChunk) { c.Offset++ }, replica.ErrDamagedChunk},
		{"other members", chunks[1], func(c *raft.SnapshotChunk) { c.Membership = []byte{1, 2} }, replica.ErrDamagedChunk},
		{"the end that isn't one", chunks[1], func(c *raft.SnapshotChunk) { c.Done = true }, replica.ErrDamagedChunk},
		{"one of another snapshot of the same entry", other[2], func(*raft.SnapshotChunk) {}, replica.ErrDamagedChunk},
	} {
		t.Run(test.name, func(t *testing.T) {
			var in replica.Incoming
			following := 1
			if test.chunk.Offset == other[2].Offset {
				following = 2
			}
			for i := range chunks[:following] {
				if _, err := in.Check(&chunks[i]); err != nil {
					t.Fatal(err)
				}
				in.Take(&chunks[i])
			}
			c := test.chunk
			c.Data = slices.Clone(c.Data)
			test.spoil(&c)
			if _, err := in.Check(&c); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	s := stateOf("a=1", "b=2", "c=3")
	out := replica.NewOutgoing(s)
	first, err := out.Chunk(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Chunk(uint64(len(first.Data))+1, 1); err == nil {
		t.Error("a chunk in the middle of another was given")
	}
	s.fail = errors.New("unreadable")
	if _, err := out.Chunk(uint64(len(first.Data)), 1); !errors.Is(err, s.fail) {
		t.Errorf("got %v", err)
	}
	if _, err := replica.NewOutgoing(&state{}).Chunk(0, 1); err == nil {
		t.Error("a group without a checkpoint has a snapshot")
	}
}

// Whatever the bytes are, reading them doesn't panic.
func FuzzChunk(f *testing.F) {
	for _, c := range chunksOf(f, stateOf("a=1", "b=", "c=3"), 1) {
		f.Add(c.Data, c.Offset, c.Done)
	}
	f.Add([]byte{1, 0, 0}, uint64(0), true) // behind the checksum: one record, whose key is empty
	f.Fuzz(func(t *testing.T, data []byte, offset uint64, done bool) {
		c := raft.SnapshotChunk{Last: raft.EntryID{Index: 300, Term: 4}, Membership: []byte{1, 2, 3}, Offset: offset, Data: data, Done: done}
		var in replica.Incoming
		if _, err := in.Check(&c); err != nil && !errors.Is(err, replica.ErrDamagedChunk) && !errors.Is(err, replica.ErrNewerChunk) {
			t.Errorf("got %v", err)
		}
		records, err := replica.CutRecords(data)
		if err != nil && !errors.Is(err, replica.ErrDamagedChunk) {
			t.Errorf("got %v", err)
		}
		for i := range records {
			if len(records[i].Key) == 0 {
				t.Error("an empty key: in a store something else is there")
			}
		}
	})
}
