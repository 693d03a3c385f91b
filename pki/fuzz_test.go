package pki_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/pki"
)

// FuzzFiles: whatever the three files hold, they are refused, or make keys that can be asked who they belong to and when they end. Files of
// an authority that can't be read never make one.
func FuzzFiles(f *testing.F) {
	now := time.Now()
	root, err := pki.NewAuthority(now, 10*day)
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	certFile, keyFile, err := root.Write(dir, "ca", false)
	if err != nil {
		f.Fatal(err)
	}
	a, err := pki.LoadAuthority(certFile, keyFile)
	if err != nil {
		f.Fatal(err)
	}
	pair, err := a.NewNode(1, []string{"localhost"}, now, day)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(root.Cert, pair.Cert, pair.Key)
	f.Add(root.Cert, root.Cert, root.Key)
	f.Add(append(root.Cert[:len(root.Cert):len(root.Cert)], root.Cert...), pair.Cert, root.Key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte(nil), []byte(nil))
	files := pki.Files{CA: filepath.Join(dir, "a"), Cert: filepath.Join(dir, "b"), Key: filepath.Join(dir, "c")}
	f.Fuzz(func(t *testing.T, ca, cert, key []byte) {
		for name, text := range map[string][]byte{files.CA: ca, files.Cert: cert, files.Key: key} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if a, err := pki.LoadAuthority(files.Cert, files.Key); (a == nil) == (err == nil) {
			t.Fatalf("authority %v, %v", a, err)
		}
		keys, err := pki.Load(files, nil)
		if err != nil {
			return
		}
		if e := keys.Expiries(); e.CA.IsZero() || e.Own.IsZero() {
			t.Fatalf("keys that end at %+v", e)
		}
		if id, err := keys.Identity(); err == nil && (id.Node == 0) == (id.Client == "") {
			t.Fatalf("identity %+v", id)
		}
		if keys.Server() == nil || keys.PeerServer() == nil {
			t.Fatal("no configuration")
		}
	})
}
