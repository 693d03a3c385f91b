package storage_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/storage"
)

// TestARecordIsWrittenOnceAndInOrder: whatever order a machine hands its records over in, a file has them by key, and of each key the last change.
func TestARecordIsWrittenOnceAndInOrder(t *testing.T) {
	short := func(rng *rand.Rand, _ int) []byte { // many keys are the beginning of others, or end in zeros
		key := make([]byte, 1+rng.IntN(4))
		for i := range key {
			key[i] = byte(rng.IntN(3))
		}
		return key
	}
	keys := map[string]func(rng *rand.Rand, i int) []byte{
		"short":               short,
		"rising":              func(_ *rand.Rand, i int) []byte { return binary.BigEndian.AppendUint64([]byte{'e'}, uint64(i)) },
		"falling":             func(_ *rand.Rand, i int) []byte { return binary.BigEndian.AppendUint64([]byte{'p'}, ^uint64(i)) },
		"falling, each twice": func(_ *rand.Rand, i int) []byte { return binary.BigEndian.AppendUint64([]byte{'p'}, ^uint64(i/2)) },
		"alike beyond what is compared first": func(rng *rand.Rand, _ int) []byte {
			return fmt.Appendf(nil, "s%c%031d", 'a'+rng.IntN(2), rng.IntN(50))
		},
		"of several kinds": func(rng *rand.Rand, i int) []byte {
			return append([]byte{"pear"[i%4]}, short(rng, i)...)
		},
		"the same again and again": func(*rand.Rand, int) []byte { return []byte("m") },
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			for _, n := range []int{1, 2, 100, 1000} {
				state := make([]storage.KV, n)
				want := map[string]string{}
				for i := range state {
					state[i] = storage.KV{Key: key(rng, i), Value: fmt.Append(nil, i)}
					want[string(state[i].Key)] = string(state[i].Value)
				}
				var last []byte
				for i, file := range storage.Parts(slices.Collect(slices.Chunk(state, 64)), 100) {
					for _, kv := range file {
						if bytes.Compare(last, kv.Key) >= 0 {
							t.Fatalf("file %d has %x after %x", i, kv.Key, last)
						}
						last = kv.Key
						if value, ok := want[string(kv.Key)]; !ok || value != string(kv.Value) {
							t.Fatalf("file %d has %s under %x, and should have %q", i, kv.Value, kv.Key, value)
						}
						delete(want, string(kv.Key))
					}
				}
				if len(want) > 0 {
					t.Fatalf("missing of %d: %v", n, want)
				}
			}
		})
	}
}

// TestPuttingInOrderPauses every fraction of a millisecond, also while one kind is sorted.
func TestPuttingInOrderPauses(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	state := make([]storage.KV, 100_000)
	for i := range state {
		state[i].Key = binary.BigEndian.AppendUint64([]byte{'r'}, rng.Uint64())
	}
	pieces := slices.Collect(slices.Chunk(state, 1000))
	if got := storage.Pauses(pieces); got < 58 { // each of 100,000 is looked at twice, and compared some 17 times
		t.Errorf("%d pauses", got)
	}
}
