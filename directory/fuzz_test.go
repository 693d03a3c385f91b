package directory_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/quorate/quorate/directory"
)

// FuzzDecode: whatever an entry holds, it is damage or facts that read the same again, and applying them breaks no invariant.
func FuzzDecode(f *testing.F) {
	f.Add(directory.Encode([]directory.Fact{add(4), register(4, 7), promote(4), place("bank/alone", 4), left("bank/alone", 1), remove(1)}))
	f.Add(directory.Encode([]directory.Fact{token("a", 1), token("b", 2), revoke("a")}))
	f.Add([]byte{0x08, 0x02, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := directory.Decode(data)
		if err != nil {
			wantDamage(t, err)
			return
		}
		again, err := directory.Decode(directory.Encode(facts))
		if err != nil || !reflect.DeepEqual(again, facts) {
			t.Fatalf("%+v came back as %+v, %v", facts, again, err)
		}
		h := newHost(t)
		h.index = 1
		if _, err := h.Apply(h.index, data); err != nil {
			t.Fatal(err)
		}
		h.checkpoint()
		restored, err := directory.New(founding, h)
		if err != nil || restored.Hash() != h.Hash() {
			t.Fatalf("after %+v: %v, hash %x restored as %x", facts, err, h.Hash(), restored.Hash())
		}
	})
}

// FuzzState: whatever a checkpoint or a snapshot holds, it is damage or a directory that can be asked and changed.
func FuzzState(f *testing.F) {
	for _, facts := range [][]directory.Fact{{add(4)}, {add(4), register(4, 7), promote(4), place("bank/alone", 4), left("bank/alone", 1), remove(1)}, {token("a", 1)}} {
		h := newHost(f)
		if err := h.do(facts...); err != nil {
			f.Fatal(err)
		}
		h.checkpoint()
		f.Add(h.disk["d"])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := directory.New(founding, &host{disk: map[string][]byte{"d": data}})
		if err != nil {
			wantDamage(t, err)
			return
		}
		groups := m.Groups()
		for i := range groups {
			m.Place(&groups[i])
		}
		h := &host{Machine: m, disk: map[string][]byte{}}
		for _, fact := range []directory.Fact{add(6), register(6, 9), promote(6), place("bank/alone", 6), left("bank/alone", 1), remove(1), token("z", 9)} {
			if err := h.do(fact); errors.Is(err, directory.ErrDamaged) {
				t.Fatal(err)
			}
		}
	})
}

func wantDamage(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, directory.ErrDamaged) && !errors.Is(err, directory.ErrNewerFormat) {
		t.Fatalf("an error that is no damage: %v", err)
	}
}
