package storage

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
)

// The decoders, for the fuzz test.
var (
	DecodeEntry     = decodeEntry
	DecodeHardState = decodeHardState
	DecodeIdentity  = decodeIdentity
	EntryBytes      = entryBytes
	PutEntry        = putEntry
	AppendHardState = appendHardState
	AppendIdentity  = appendIdentity
	AppendEntryKey  = appendEntryKey
	GroupPrefix     = groupPrefix
	Seal            = seal
)

// DiskKey is where a directory's name is kept.
const DiskKey = diskKey

// Guarded is a file system behind a fuse, and what blows it.
func Guarded(fs vfs.FS) (guarded vfs.FS, blow func(error)) {
	f := newFuse(func(error) {}, func(bool) {})
	return guardFS{FS: fs, fuse: f}, func(err error) { _ = f.blow("test", err) }
}

// What else is read from a disk, for the fuzz test.
var (
	DecodeApplied   = decodeApplied
	DecodeCompacted = decodeCompacted
	DecodeSlot      = decodeSlot
	DecodeMembers   = decodeMembers
	DecodeAsOf      = decodeAsOf
	AppendAsOf      = appendAsOf
	AppendCompacted = appendCompacted
	AppendSlot      = appendSlot
	CutGroup        = cutGroup
	EntryIndex      = entryIndex
)

// AppendApplied writes what format 2 did.
func AppendApplied(b, key []byte, i raft.Index) []byte {
	return seal(key, binary.AppendUvarint(b, uint64(i)))
}

// AppendMembers writes what format 2 did.
func AppendMembers(b, key, members []byte) []byte { return seal(key, append(b, members...)) }

// ParseTerms reads the note of terms, and says it again.
func ParseTerms(text []byte) (again []byte, err error) {
	t := &terms{path: "terms", met: map[raft.NodeID]Disk{}, term: map[string]raft.Term{}, lost: map[string]raft.Term{}, retired: map[string]raft.Term{}}
	if err := t.parse(text); err != nil {
		return nil, err
	}
	fs := vfs.NewMem()
	if err := t.begin(fs, "", t.owner); err != nil {
		return nil, err
	}
	f, err := fs.Open(t.path)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// SealTerms makes a note of terms of lines, each twice and with right checksums.
func SealTerms(lines []string) []byte {
	fs := vfs.NewMem()
	f, err := fs.Create("terms", vfs.WriteCategoryUnspecified)
	if err != nil {
		panic(err) // it is only memory
	}
	t := &terms{file: f}
	if err := t.write(lines...); err != nil {
		panic(err)
	}
	f, err = fs.Open("terms")
	if err != nil {
		panic(err)
	}
	text, _ := io.ReadAll(f)
	return text
}

// EndOfKind is the first key behind those of the same kind.
var EndOfKind = endOfKind

// Tables are the first and the last key of each table, once all has been compacted.
func (s *Store) Tables() ([][2][]byte, error) {
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		return nil, err
	}
	return s.boundsOfTables()
}

// FlushedTables are those of what was only flushed.
func (s *Store) FlushedTables() ([][2][]byte, error) {
	if err := s.db.Flush(); err != nil {
		return nil, err
	}
	return s.boundsOfTables()
}

func (s *Store) boundsOfTables() (keys [][2][]byte, err error) {
	levels, err := s.db.SSTables()
	for _, tables := range levels {
		for i := range tables {
			keys = append(keys, [2][]byte{tables[i].Smallest.UserKey, tables[i].Largest.UserKey})
		}
	}
	return keys, err
}

// Parts are the records of a checkpoint, by file and in order.
func Parts(state [][]KV, least int) [][]KV {
	var files [][]KV
	records := sorter{state: state, pause: func() {}}
	for _, places := range records.parts(least) {
		file := []KV{}
		for i := range places {
			file = append(file, *records.record(&places[i]))
		}
		files = append(files, file)
	}
	return files
}

// Order makes parts as a checkpoint does.
func Order(state []KV) {
	records := sorter{state: [][]KV{state}, pause: func() {}}
	records.parts(fileBytesMin / partsMost)
}

// WithSleep has the rests of tables go to sleep.
func (o Options) WithSleep(sleep func(time.Duration)) Options {
	o.sleep = sleep
	return o
}

// Hurried says whether tables are written without rests, because commits wait for them.
func (s *Store) Hurried() bool { return s.pacing.hurried.Load() }

// Rested says whether a table rests that was worked at for so long.
func Rested(worked time.Duration, hurried bool) (rested bool) {
	of := newPacing(func(time.Duration) { rested = true })
	of.hurry(hurried)
	p := of.begin()
	if p != nil {
		p.rested = p.rested.Add(-worked)
	}
	p.step()
	return rested
}

// Pauses is how often putting records in order lets others go on.
func Pauses(state [][]KV) (n int) {
	records := sorter{state: state, pause: func() { n++ }}
	records.parts(fileBytesMin / partsMost)
	return n
}
