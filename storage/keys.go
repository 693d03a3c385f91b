package storage

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/raft"
)

// The layout. n is the length of the group's name in one byte, so that no group's keys lie inside another's:
//
//	key                          value (encode.go)          written
//	00                           identity                   once, when the store is created
//	01 n name 01                 hard state                 by nearly every commit
//	01 n name 02                 applied index              by format 2, where slot 06 has no as-of record
//	01 n name 03                 compacted: index, term     by every compaction
//	01 n name 04                 membership                 likewise
//	01 n name 05 index           log entry                  once; deleted in ranges
//	01 n name 06                 as of: index, membership   by every checkpoint, while slot 06 is live
//	01 n name 06 key             the machine's own bytes    by checkpoints, while slot 06 is live
//	01 n name 07                 as of                      by every checkpoint, while slot 07 is live
//	01 n name 07 key             the machine's own bytes    by checkpoints, while slot 07 is live
//	01 n name 08                 which slot is live         by every installed snapshot; absent: 06
//	02 n name                    retired: nothing           once, when the group's replica was ended
//	03                           disk (diskid.go)           once, when the store is created
//
// A snapshot from another member is gathered in the slot that isn't live. Installing it copies nothing: the slots change places. A machine's keys aren't empty, so
// that a checkpoint is one range, with its as-of record first, in which nothing else is written: it can go past the write-ahead log (checkpoint.go). A machine begins
// the keys of each kind of its records with a small letter of their own.
// The index is 8 bytes, big-endian: the order of the keys is the order of the log. A group's log and its state are
// separate ranges, so a range deletion of the log never lies over state and dead entries leave in whole files.
const (
	identityKey byte = 0x00
	groupsFrom  byte = 0x01
	groupsTo    byte = 0x02
	retiredKey  byte = 0x02
	diskKey     byte = 0x03

	kindHardState byte = 0x01
	kindApplied   byte = 0x02
	kindCompacted byte = 0x03
	kindMembers   byte = 0x04
	kindEntry     byte = 0x05
	kindState     byte = 0x06
	kindStateTwo  byte = 0x07
	kindSlot      byte = 0x08
	kindEnd       byte = 0x09
)

// What the keys of a machine's records begin with, a letter for each kind.
const (
	machineKindFirst = 'a'
	machineKindLast  = 'z'
)

// otherSlot is where a snapshot is gathered while slot is live.
func otherSlot(slot byte) byte { return kindState + kindStateTwo - slot }

// groupNameBytesMax is what one byte of length can say.
const groupNameBytesMax = 255

const indexBytes = 8

// groupPrefix begins every key of a group. Its capacity is its length, so that appending to it always copies.
func groupPrefix(name string) []byte {
	prefix := make([]byte, 0, 2+len(name))
	prefix = append(prefix, groupsFrom, byte(len(name)))
	return append(prefix, name...)
}

// retiredGroup is the key of the record that a group's replica was here and was ended.
func retiredGroup(name string) []byte {
	return append([]byte{retiredKey, byte(len(name))}, name...)
}

// cutGroup splits a key into its group's name and the rest, which begins with the kind.
func cutGroup(key []byte) (name string, rest []byte, ok bool) {
	if len(key) < 2 || key[0] != groupsFrom {
		return "", nil, false
	}
	n := int(key[1])
	if n == 0 || len(key) < 2+n+1 {
		return "", nil, false
	}
	return string(key[2 : 2+n]), key[2+n:], true
}

// appendKind makes the key of a record that a group has once, or the bound of a kind's range.
func appendKind(b, prefix []byte, kind byte) []byte {
	b = append(b, prefix...)
	return append(b, kind)
}

// endOfKind is the first key behind those of the same kind: of a group's records, or of its machine's. Before the groups it is where they begin; nil: they are over.
// What a machine's kinds don't begin with is one kind before them and one behind: where a range deletion lies over a slot, each kind costs a table.
func endOfKind(key []byte) []byte {
	_, rest, ok := cutGroup(key)
	if !ok {
		if bytes.Compare(key, []byte{groupsFrom}) < 0 {
			return []byte{groupsFrom}
		}
		return nil
	}
	end := bytes.Clone(key[:len(key)-len(rest)+1])
	switch isState := rest[0] == kindState || rest[0] == kindStateTwo; {
	case isState && len(rest) == 1: // the as-of record
		return append(end, 0)
	case isState && rest[1] < machineKindFirst:
		return append(end, machineKindFirst)
	case isState && rest[1] <= machineKindLast:
		return append(end, rest[1]+1)
	}
	end[len(end)-1]++
	return end
}

func appendEntryKey(b, prefix []byte, i raft.Index) []byte {
	b = appendKind(b, prefix, kindEntry)
	return binary.BigEndian.AppendUint64(b, uint64(i))
}

func appendStateKey(b, prefix []byte, slot byte, key []byte) []byte {
	b = appendKind(b, prefix, slot)
	return append(b, key...)
}

// entryIndex reads the index out of a log entry's key.
func entryIndex(key, prefix []byte) (raft.Index, bool) {
	rest, ok := bytes.CutPrefix(key, prefix)
	if !ok || len(rest) != 1+indexBytes || rest[0] != kindEntry {
		return 0, false
	}
	return raft.Index(binary.BigEndian.Uint64(rest[1:])), true
}

// kindRange bounds the keys of one kind of a group.
func kindRange(prefix []byte, kind byte) *pebble.IterOptions {
	return &pebble.IterOptions{
		LowerBound: appendKind(nil, prefix, kind),
		UpperBound: appendKind(nil, prefix, kind+1),
	}
}
