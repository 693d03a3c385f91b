package backup_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/quorate/quorate/backup"
	"github.com/quorate/quorate/replica"
)

// saved writes a backup for a fuzz test to begin with.
func saved(f *testing.F) (dir string, m *backup.Manifest) {
	f.Helper()
	dir = filepath.Join(f.TempDir(), "saved")
	if _, err := steps(dir, func() bool { return true }); err != nil {
		f.Fatal(err)
	}
	m, err := backup.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	return dir, m
}

// FuzzManifest: whatever a manifest holds, with a right checksum or a wrong one, it is refused as damaged or newer, or reads the same again.
func FuzzManifest(f *testing.F) {
	dir, _ := saved(f)
	text, err := os.ReadFile(filepath.Join(dir, "MANIFEST"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:bytes.LastIndex(text, []byte("sha256 "))])
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"groups":[null,{"file":"../../x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, text := range [][]byte{text, backup.SealManifest(text)} {
			m, err := backup.DecodeManifest(text)
			if err != nil {
				wantRefusal(t, err)
				continue
			}
			body, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			again, err := backup.DecodeManifest(backup.SealManifest(body))
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%+v came back as %+v, %v", m, again, err)
			}
		}
	})
}

// FuzzGroupFile: whatever a group's file holds, it is refused or read to its end.
func FuzzGroupFile(f *testing.F) {
	dir, m := saved(f)
	for i := range m.Groups {
		text, err := os.ReadFile(filepath.Join(dir, m.Groups[i].File))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	group := m.Groups[0]
	f.Fuzz(func(t *testing.T, text []byte) {
		g := group
		sum := sha256.Sum256(text)
		g.SHA256 = hex.EncodeToString(sum[:]) // the manifest agrees: what is read is up to the file's own form
		if err := g.ReadFile(bytes.NewReader(text), func([]replica.KV) error { return nil }); err != nil {
			wantRefusal(t, err)
		}
	})
}

func wantRefusal(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrNewer) {
		t.Fatalf("an error that says neither damaged nor newer: %v", err)
	}
}
