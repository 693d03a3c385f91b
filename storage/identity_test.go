package storage_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/storage"
)

// tree is every file of a directory with its bytes.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	list, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(root, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name()] = string(b)
	}
	return files
}

// rawSet writes one key behind the store's back.
func rawSet(t *testing.T, fs vfs.FS, dir string, key, value []byte) {
	t.Helper()
	withPebble(t, fs, dir, func(db *pebble.DB) error { return db.Set(key, value, pebble.Sync) })
}

func rawGet(t *testing.T, fs vfs.FS, key []byte) (value []byte) {
	t.Helper()
	withPebble(t, fs, dir, func(db *pebble.DB) error {
		v, closer, err := db.Get(key)
		if err != nil {
			return err
		}
		value = append(value, v...)
		return closer.Close()
	})
	return value
}

func withPebble(t *testing.T, fs vfs.FS, dir string, do func(*pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(f string, _ ...any) {
	panic(f)
}

func TestAForeignDirectoryIsRefusedAndLeftAsItWas(t *testing.T) {
	cases := []struct {
		name   string
		spoil  func(t *testing.T, dir string)
		id     storage.Identity
		kind   error
		saying []string
	}{
		{"another node's", nil, storage.Identity{Cluster: "test", Node: 2}, storage.ErrWrongNode, []string{"node 1", "node 2"}},
		{"another cluster's", nil, storage.Identity{Cluster: "prod", Node: 1}, storage.ErrWrongCluster, []string{`"test"`, `"prod"`}},
		{"a newer format's, whatever else its record holds", func(t *testing.T, dir string) {
			rawSet(t, vfs.Default, dir, []byte{0}, []byte("quorate\x09???"))
		}, node1, storage.ErrNewerFormat, []string{"format 9", "up to 3"}},
		{"a newer Pebble's", func(t *testing.T, dir string) {
			old, err := filepath.Glob(filepath.Join(dir, "marker.format-version.*"))
			if err != nil || len(old) != 1 {
				t.Fatal(old, err)
			}
			if err := os.Rename(old[0], filepath.Join(dir, "marker.format-version.000999.999")); err != nil {
				t.Fatal(err)
			}
		}, node1, storage.ErrNewerFormat, []string{"999"}},
		{"another program's", func(t *testing.T, dir string) {
			withPebble(t, vfs.Default, dir, func(db *pebble.DB) error {
				return errors.Join(db.Delete([]byte{0}, pebble.Sync), db.Set([]byte("theirs"), nil, pebble.Sync))
			})
		}, node1, storage.ErrForeign, []string{"empty directory"}},
		{"another program's, with a key like ours", func(t *testing.T, dir string) {
			rawSet(t, vfs.Default, dir, []byte{0}, []byte("theirs"))
		}, node1, storage.ErrForeign, []string{"empty directory"}},
		{"one whose identity is damaged", func(t *testing.T, dir string) {
			rawSet(t, vfs.Default, dir, []byte{0}, []byte("quorate\x01\x01\x04tost\x00\x00\x00\x00"))
		}, node1, storage.ErrDamaged, []string{"identity record", "rebuild the node"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := storage.Open(dir, node1, storage.Options{})
			if err != nil {
				t.Fatal(err)
			}
			mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 2)})
			mustClose(t, s)
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			before := tree(t, dir)
			s, err = storage.Open(dir, c.id, storage.Options{})
			if s != nil || !errors.Is(err, c.kind) {
				t.Fatalf("got %v, want %v", err, c.kind)
			}
			for _, part := range append(c.saying, dir) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q doesn't say %q", err, part)
				}
			}
			after := tree(t, dir)
			for name := range before {
				if before[name] != after[name] {
					t.Errorf("%s was changed", name)
				}
			}
			if len(after) != len(before) {
				t.Errorf("%d files became %d", len(before), len(after))
			}
		})
	}
}

func TestTheOwnDirectoryIsOpenedAgain(t *testing.T) {
	fs := vfs.NewMem()
	mustClose(t, mustOpen(t, fs))
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	if s.Created() {
		t.Error("an old store says that it is new")
	}
}

func TestAnIdentityIsNeeded(t *testing.T) {
	for _, id := range []storage.Identity{{Node: 1}, {Cluster: "c"}} {
		if _, err := storage.Open(dir, id, storage.Options{FS: vfs.NewMem()}); err == nil {
			t.Errorf("%+v was accepted", id)
		}
	}
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	if dir := os.Getenv("STORAGE_TEST_DIR"); dir != "" {
		_, err := storage.Open(dir, node1, storage.Options{})
		_, inspectErr := storage.Inspect(dir, storage.Options{})
		if errors.Is(err, storage.ErrInUse) && errors.Is(inspectErr, storage.ErrInUse) {
			os.Exit(42)
		}
		t.Fatal(err, inspectErr)
	}
	dir := t.TempDir()
	s, err := storage.Open(dir, node1, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(dir, node1, storage.Options{}); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("the same process: got %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestADirectoryInUseIsRefused$")
	cmd.Env = append(os.Environ(), "STORAGE_TEST_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("another process: %v\n%s", err, out)
	}
	mustClose(t, s)
	s, err = storage.Open(dir, node1, storage.Options{})
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	mustClose(t, s)
}
