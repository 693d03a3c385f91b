package storage_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/storage"
)

// FuzzRecords: whatever a record's bytes and its key are, the small decoders don't panic, and what they accept has only one form. The bytes
// get a right checksum, too: damage that still has one is what they are there for.
func FuzzRecords(f *testing.F) {
	key := storage.AppendEntryKey(nil, storage.GroupPrefix("g"), 7)
	f.Add(key, []byte{7})
	f.Add(key, []byte{7, 0x80, 1})
	f.Add([]byte{1, 1, 'g', 8}, []byte{6})
	f.Add([]byte{1, 255}, []byte{})
	f.Add([]byte{2, 1, 'g'}, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, key, body []byte) {
		if name, rest, ok := storage.CutGroup(key); ok {
			prefix := storage.GroupPrefix(name)
			if !bytes.Equal(append(prefix, rest...), key) {
				t.Errorf("key %x is of group %q and rest %x", key, name, rest)
			}
			if i, ok := storage.EntryIndex(key, prefix); ok && !bytes.Equal(storage.AppendEntryKey(nil, prefix, i), key) {
				t.Errorf("key %x is of entry %d", key, i)
			}
		}
		for _, value := range [][]byte{body, storage.Seal(key, bytes.Clone(body))} {
			same := func(kind string, err error, again func() []byte) {
				if err == nil && !bytes.Equal(again(), value) {
					t.Errorf("%s %x has another form: %x", kind, value, again())
				}
			}
			applied, err := storage.DecodeApplied(key, value)
			same("applied", err, func() []byte { return storage.AppendApplied(nil, key, applied) })
			compacted, err := storage.DecodeCompacted(key, value)
			same("compacted", err, func() []byte { return storage.AppendCompacted(nil, key, compacted) })
			slot, err := storage.DecodeSlot(key, value)
			same("slot", err, func() []byte { return storage.AppendSlot(nil, key, slot) })
			members, err := storage.DecodeMembers(key, value)
			same("members", err, func() []byte { return storage.AppendMembers(nil, key, members) })
			at, err := storage.DecodeAsOf(key, value)
			same("as of", err, func() []byte { return storage.AppendAsOf(nil, key, &at) })
			hs, err := storage.DecodeHardState(key, value)
			same("hard state", err, func() []byte { return storage.AppendHardState(nil, key, &hs) })
			_, _ = storage.DecodeEntry(key, value) // FuzzDecode looks at it
			_, _ = storage.DecodeIdentity("data", value)
		}
	})
}

// FuzzTerms: whatever stands in the note of terms, it is damage, or it says the same when it is written anew.
func FuzzTerms(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("quorate-terms 1 \"c\" 1 00000000\n"))
	f.Add([]byte("quorate-terms 1 \"c\" 1\ndisk \"00112233445566778899aabbccddeeff\" 0\nmet \"ffeeddccbbaa99887766554433221100\" 2\nterm \"g\" 7\nlost \"g\" 6\nretired \"h\" 3\ndamaged \"why\""))
	f.Add([]byte("term \"\\xff\" 7"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, text := range [][]byte{text, storage.SealTerms(strings.Split(string(text), "\n"))} {
			again, err := storage.ParseTerms(text)
			if err != nil {
				if !errors.Is(err, storage.ErrDamaged) {
					t.Fatalf("an error that is no damage: %v", err)
				}
				continue
			}
			third, err := storage.ParseTerms(again)
			if err != nil || !bytes.Equal(third, again) {
				t.Fatalf("%q is written as %q and that as %q, %v", text, again, third, err)
			}
		}
	})
}
