package pki_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pki"
)

const day = 24 * time.Hour

// authority makes one in a directory of its own.
func authority(t *testing.T) (dir string, a *pki.Authority) {
	t.Helper()
	dir = t.TempDir()
	pair, err := pki.NewAuthority(time.Now(), 10*day)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := pair.Write(dir, "ca", false)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = pki.LoadAuthority(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	return dir, a
}

func parse(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestIdentitiesSurviveTheCertificate(t *testing.T) {
	_, a := authority(t)
	for _, want := range []pki.Identity{
		{Node: 1},
		{Node: 1<<64 - 1},
		{Client: "payroll", Roles: []string{"submit"}},
		{Client: "@a:b.c-d_E", Roles: []string{"submit", "read"}, Banks: []string{"north", "@south:1"}},
	} {
		var pair pki.Pair
		var err error
		if want.Node != 0 {
			pair, err = a.NewNode(want.Node, []string{"localhost", "::1"}, time.Now(), day)
		} else {
			pair, err = a.NewClient(want, time.Now(), day)
		}
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		got, err := pki.IdentityOf(parse(t, pair.Cert))
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
}

func TestWhatIsNoIdentityIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "https://example.com/node/1", "quorate:node/0", "quorate:node/x", "quorate:node/1?role=admin", "quorate:node/-1",
		"quorate:client/", "quorate:client/a%2Fb", "quorate:client/a?only=monday", "quorate:server/a", "quorate://host/client/a", "quorate:client/a?role=%zz",
	} {
		cert := &x509.Certificate{}
		if text != "" {
			uri, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = []*url.URL{uri}
		}
		if id, err := pki.IdentityOf(cert); !errors.Is(err, pki.ErrNoIdentity) {
			t.Errorf("%q is %+v, %v", text, id, err)
		}
	}
	two := &x509.Certificate{URIs: []*url.URL{pki.Identity{Node: 1}.URI(), pki.Identity{Node: 2}.URI()}}
	if id, err := pki.IdentityOf(two); err == nil {
		t.Errorf("two at once are %+v", id)
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add("quorate:node/1")
	f.Add("quorate:client/payroll?role=submit&bank=north")
	f.Fuzz(func(t *testing.T, text string) {
		uri, err := url.Parse(text)
		if err != nil {
			return
		}
		id, err := pki.IdentityOf(&x509.Certificate{URIs: []*url.URL{uri}})
		if err != nil {
			return
		}
		again, err := pki.IdentityOf(&x509.Certificate{URIs: []*url.URL{id.URI()}})
		if err != nil || again.Node != id.Node || again.Client != id.Client || len(again.Roles) != len(id.Roles) || len(again.Banks) != len(id.Banks) {
			t.Fatalf("%q is %+v and came back as %+v, %v", text, id, again, err)
		}
	})
}

func TestFilesAreNeverReplacedUnasked(t *testing.T) {
	dir, a := authority(t)
	pair, err := a.NewNode(1, nil, time.Now(), day)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "node1.pem"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	var exists *pki.ExistsError
	if _, _, err := pair.Write(dir, "node1", false); !errors.As(err, &exists) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node1.key")); err == nil {
		t.Fatal("half of it was written")
	}
	certFile, keyFile, err := pair.Write(dir, "node1", true)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{certFile: 0o644, keyFile: 0o600} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", file, info.Mode(), err, want)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.*.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestACertificateEndsWithItsAuthority(t *testing.T) {
	_, a := authority(t)
	pair, err := a.NewClient(pki.Identity{Client: "c"}, time.Now(), 1000*day)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(pair.Expires); left > 10*day {
		t.Errorf("it is good for %v, and its authority for 240h", left)
	}
}

// TestChangedFilesAreUsedAndBrokenOnesAreNot replaces the files of a node, and then spoils them.
func TestChangedFilesAreUsedAndBrokenOnesAreNot(t *testing.T) {
	dir, a := authority(t)
	files := pki.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "node1.pem"), Key: filepath.Join(dir, "node1.key")}
	write := func(lifetime time.Duration) time.Time {
		t.Helper()
		pair, err := a.NewNode(1, nil, time.Now(), lifetime)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := pair.Write(dir, "node1", true); err != nil {
			t.Fatal(err)
		}
		return pair.Expires.Truncate(time.Second).UTC()
	}
	if _, err := pki.Load(files, nil); err == nil {
		t.Fatal("loaded files that aren't there")
	}
	first := write(day)
	var reports []error
	keys, err := pki.Load(files, func(err error) { reports = append(reports, err) })
	if err != nil {
		t.Fatal(err)
	}
	if got := keys.Expiries().Own; !got.Equal(first) || len(reports) != 0 {
		t.Fatalf("ends at %v, want %v; reports %v", got, first, reports)
	}
	second := write(2 * day)
	if got := keys.Expiries().Own; !got.Equal(second) || len(reports) != 1 || reports[0] != nil {
		t.Fatalf("ends at %v, want %v; reports %v", got, second, reports)
	}
	if err := os.WriteFile(files.Cert, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 { // told once
		if got := keys.Expiries().Own; !got.Equal(second) {
			t.Fatalf("ends at %v, want %v", got, second)
		}
	}
	if len(reports) != 2 || reports[1] == nil || !strings.Contains(reports[1].Error(), "node1.pem") {
		t.Fatalf("reports %v", reports)
	}
	third := write(3 * day)
	if changed, err := keys.Reload(); !changed || err != nil || !keys.Expiries().Own.Equal(third) {
		t.Fatalf("changed %v, %v, ends at %v", changed, err, keys.Expiries().Own)
	}
	if id, err := keys.Identity(); err != nil || id.Node != 1 {
		t.Fatalf("%+v, %v", id, err)
	}
}

// TestAnAuthorityThatIsGoneIsBelievedNoMore asks twice each time: what was verified is remembered, for as long as nothing changes.
func TestAnAuthorityThatIsGoneIsBelievedNoMore(t *testing.T) {
	dir, before := authority(t)
	nextDir, next := authority(t)
	pair, err := before.NewNode(1, nil, time.Now(), day)
	if err != nil {
		t.Fatal(err)
	}
	files := pki.Files{CA: filepath.Join(dir, "ca.pem")}
	if files.Cert, files.Key, err = pair.Write(dir, "node1", false); err != nil {
		t.Fatal(err)
	}
	keys, err := pki.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := func(a *pki.Authority) []*x509.Certificate {
		pair, err := a.NewClient(pki.Identity{Client: "c"}, time.Now(), day)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{parse(t, pair.Cert)}
	}
	ofBefore, ofNext := client(before), client(next)
	read := func(dir string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first, second := read(dir), read(nextDir)
	for _, c := range []struct {
		name         string
		ca           []byte
		before, next bool
	}{{"the first", first, true, false}, {"both", slices.Concat(second, first), true, true}, {"the second", second, false, true}, {"the first again", first, true, false}} {
		if err := os.WriteFile(files.CA, c.ca, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Reload(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := keys.StillTrusts(ofBefore); (got == nil) != c.before {
				t.Errorf("%s: the first's client: %v", c.name, got)
			}
			if got := keys.StillTrusts(ofNext); (got == nil) != c.next {
				t.Errorf("%s: the second's client: %v", c.name, got)
			}
		}
	}
}

// TestCheckChain: whatever is wrong with a node's certificate is found before others refuse it, and that it has ended is no fault of the chain.
func TestCheckChain(t *testing.T) {
	dir, a := authority(t)
	_, stranger := authority(t)
	node := func(by *pki.Authority, made time.Time) (pki.Pair, error) {
		return by.NewNode(1, []string{"db1", "::1"}, made, day)
	}
	tests := []struct {
		name string
		make func() (pki.Pair, error)
		good bool
	}{
		{"of its authority", func() (pki.Pair, error) { return node(a, time.Now()) }, true},
		{"that has ended", func() (pki.Pair, error) { return node(a, time.Now().Add(-3*day)) }, true},
		{"of another authority of the same name", func() (pki.Pair, error) { return node(stranger, time.Now()) }, false},
		{"of another authority, and it has ended", func() (pki.Pair, error) { return node(stranger, time.Now().Add(-3*day)) }, false},
		{"that is for clients only", func() (pki.Pair, error) { return a.NewClient(pki.Identity{Client: "c"}, time.Now(), day) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := tt.make()
			if err != nil {
				t.Fatal(err)
			}
			certFile, keyFile, err := pair.Write(dir, "own", true)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := pki.Load(pki.Files{CA: filepath.Join(dir, "ca.pem"), Cert: certFile, Key: keyFile}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := keys.CheckChain(time.Now()); (err == nil) != tt.good {
				t.Errorf("got %v, want good: %v", err, tt.good)
			}
			if !tt.good {
				return
			}
			if err := errors.Join(keys.CheckHost("db1"), keys.CheckHost("::1")); err != nil {
				t.Error(err)
			}
			if keys.CheckHost("db2") == nil || keys.CheckHost("127.0.0.1") == nil {
				t.Error("it is believed by a name that it doesn't have")
			}
		})
	}
}
