package storage_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/storage"
)

func kv(key, value string) storage.KV { return storage.KV{Key: []byte(key), Value: []byte(value)} }

func scan(t testing.TB, r *storage.Reader, from, to []byte) []string {
	t.Helper()
	var got []string
	err := r.Scan(from, to, func(k, v []byte) bool {
		got = append(got, fmt.Sprintf("%s=%s", k, v))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReaderSeesStateOfItsGroupOnly(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	mustCommit(t, s,
		storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 3), Applied: 1, State: []storage.KV{kv("a", "1"), kv("b", ""), kv("c", "3")}},
		storage.GroupUpdate{Group: "h", Entries: entries(1, 1, 1), Applied: 1, State: []storage.KV{kv("b", "other"), kv("z", "other")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Applied: 2, State: []storage.KV{{Key: []byte("a")}, kv("c", "4")}})
	r := s.Reader("g")
	cases := []struct {
		name     string
		from, to []byte
		want     []string
	}{
		{"all of it", nil, nil, []string{"b=", "c=4"}},
		{"from a key on, which is included", []byte("b"), nil, []string{"b=", "c=4"}},
		{"up to a key, which isn't", []byte("a"), []byte("c"), []string{"b="}},
		{"an empty range", []byte("c"), []byte("c"), nil},
		{"an empty end is before everything", nil, []byte{}, nil},
	}
	for _, c := range cases {
		if got := scan(t, r, c.from, c.to); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if v, ok, err := r.Get([]byte("b")); !ok || v == nil || len(v) != 0 || err != nil {
		t.Errorf("an empty value: got %v %v %v", v, ok, err)
	}
	if v, ok, err := r.Get([]byte("a")); ok || v != nil || err != nil {
		t.Errorf("a deleted key: got %v %v %v", v, ok, err)
	}
	n := 0
	if err := r.Scan(nil, nil, func(_, _ []byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("a scan that is stopped after 2 went on to %d (%v)", n, err)
	}
}

// A reader against a plain map, over reopenings.
func TestStateIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		s := openRapid(t, fs)
		model := map[string]string{}
		mustShow := func(r *storage.Reader) {
			for _, k := range []string{"a", "b", "cc", "\xff", "zz"} {
				v, ok, err := r.Get([]byte(k))
				want, has := model[k]
				if err != nil || ok != has || string(v) != want {
					t.Fatalf("get %q: %q %v %v, want %q %v", k, v, ok, err, want, has)
				}
			}
		}
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			var state []storage.KV
			for range rapid.IntRange(0, 8).Draw(t, "changes") {
				k := rapid.StringMatching(`[abc\x00\xff]{1,3}`).Draw(t, "key")
				if rapid.Bool().Draw(t, "delete") {
					state = append(state, storage.KV{Key: []byte(k)})
					delete(model, k)
				} else {
					v := rapid.StringN(0, 4, 8).Draw(t, "value")
					state = append(state, kv(k, v))
					model[k] = v
				}
			}
			i := step + 1
			if err := s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, index(i), index(i)), Applied: index(i), State: state}}); err != nil {
				t.Fatal(err)
			}
			mustShow(s.Reader("g"))
			if rapid.IntRange(0, 5).Draw(t, "reopen") == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openRapid(t, fs)
			}
		}
		r := s.Reader("g")
		var keys []string
		if err := r.Scan(nil, nil, func(k, v []byte) bool {
			keys = append(keys, string(k))
			if model[string(k)] != string(v) {
				t.Fatalf("scan: %q is %q, want %q", k, v, model[string(k)])
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if want := slices.Sorted(maps.Keys(model)); !slices.Equal(keys, want) {
			t.Fatalf("scan: keys %q, want %q", keys, want)
		}
		mustShow(r)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReadersAndLanesWorkAtTheSameTime(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	var all sync.WaitGroup
	for lane := range 3 {
		group := fmt.Sprintf("bank/%d", lane)
		all.Go(func() {
			for i := 1; i <= 200; i++ {
				n := []byte(fmt.Sprint(i))
				if err := s.Commit([]storage.GroupUpdate{{Group: group, Entries: entries(1, index(i), index(i)), Applied: index(i),
					State: []storage.KV{{Key: []byte("x"), Value: n}, {Key: []byte("y"), Value: n}}}}); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			r := s.Reader(group)
			for range 200 {
				var seen [][]byte
				if err := r.Scan(nil, nil, func(_, v []byte) bool { seen = append(seen, bytes.Clone(v)); return true }); err != nil {
					t.Error(err)
				}
				if len(seen) == 2 && !bytes.Equal(seen[0], seen[1]) {
					t.Errorf("%s: a scan saw half a commit: %s and %s", group, seen[0], seen[1])
				}
			}
		})
	}
	all.Wait()
	for lane := range 3 {
		if got := len(mustLoad(t, s, fmt.Sprintf("bank/%d", lane)).Entries); got != 200 {
			t.Errorf("lane %d: %d entries, want 200", lane, got)
		}
	}
}
