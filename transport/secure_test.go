package transport_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// office makes the certificates of one cluster.
type office struct {
	t         *testing.T
	dir       string
	authority *pki.Authority
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir()}
	pair, err := pki.NewAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := pair.Write(o.dir, "ca", false)
	if err != nil {
		t.Fatal(err)
	}
	if o.authority, err = pki.LoadAuthority(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	return o
}

// issue writes a node's certificate under a name, and loads it.
func (o *office) issue(name string, id uint64, lifetime time.Duration) *pki.Keys {
	o.t.Helper()
	pair, err := o.authority.NewNode(id, nil, time.Now(), lifetime)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.load(name, pair)
}

func (o *office) load(name string, pair pki.Pair) *pki.Keys {
	o.t.Helper()
	certFile, keyFile, err := pair.Write(o.dir, name, true)
	if err != nil {
		o.t.Fatal(err)
	}
	keys, err := pki.Load(pki.Files{CA: filepath.Join(o.dir, "ca.pem"), Cert: certFile, Key: keyFile}, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return keys
}

// securePair starts nodes 1 and 2 with these keys.
func securePair(t *testing.T, one, two *pki.Keys) (a, b *member) {
	t.Helper()
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	a = start(t, 1, la, peers, func(c *transport.Config) { c.Keys = one })
	b = start(t, 2, lb, peers, func(c *transport.Config) { c.Keys = two })
	t.Cleanup(a.Stop)
	t.Cleanup(b.Stop)
	return a, b
}

func TestNodesProveWhoTheyAre(t *testing.T) {
	o := newOffice(t)
	a, b := securePair(t, o.issue("node1", 1, time.Hour), o.issue("node2", 2, time.Hour))
	a.awaits(transport.Connected)
	b.awaits(transport.Connected)
	a.Send(2, beat(1, 2, 7))
	if got := b.receives(); got.from != 1 || got.envelopes[0].GetRaft().GetRound() != 7 {
		t.Fatalf("got %+v", got)
	}
}

// TestWhoCantProveItIsRefused has node 2 come with what is wrong; node 1 never hears it.
func TestWhoCantProveItIsRefused(t *testing.T) {
	o, stranger := newOffice(t), newOffice(t)
	client, err := o.authority.NewClient(pki.Identity{Client: "root", Roles: []string{"admin"}}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	one := o.issue("node1", 1, time.Hour)
	for name, c := range map[string]struct {
		keys *pki.Keys
		says string // node 1 of node 2
	}{
		"another node's certificate": {o.issue("node3", 3, time.Hour), "this should be node 2, and its certificate is node 3's"},
		"a client's certificate":     {o.load("root", client), "incompatible key usage"},
		"another authority's":        {stranger.issue("node2", 2, time.Hour), "certificate signed by unknown authority"},
		"one that has ended":         {o.issue("old", 2, -time.Minute), "certificate has expired"},
		"none at all":                {nil, "first record does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := securePair(t, one, c.keys)
			if e := a.awaits(transport.Lost); !strings.Contains(fmt.Sprint(e.Err), c.says) {
				t.Errorf("node 1 says %v, want %q", e.Err, c.says)
			}
			b.awaits(transport.Lost) // or refused: node 1 doesn't let it in
			b.Send(1, beat(2, 1, 7))
			if len(a.delivered) > 0 {
				t.Error("node 1 has heard it")
			}
		})
	}
}

// TestTheListenerAsksToo reaches node 1 with a good certificate that is another node's: who dials isn't the only one who checks.
func TestTheListenerAsksToo(t *testing.T) {
	o := newOffice(t)
	l := listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: l.Addr().String(), 2: "127.0.0.1:1", 3: "127.0.0.1:1"}
	a := start(t, 1, l, peers, func(c *transport.Config) { c.Keys = o.issue("node1", 1, time.Hour) })
	t.Cleanup(a.Stop)
	b := start(t, 2, listen(t, "127.0.0.1:0"), peers, func(c *transport.Config) { c.Keys = o.issue("node3", 3, time.Hour) })
	t.Cleanup(b.Stop)
	e := a.awaits(transport.Rejected)
	if e.Peer != 2 || !strings.Contains(fmt.Sprint(e.Err), "it says it is node 2, and its certificate is node 3's") {
		t.Errorf("got %+v", e)
	}
}

// TestReplacedCertificatesAreUsed lets a node's certificate end, and gives it a new file: no process is started again.
func TestReplacedCertificatesAreUsed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	old := o.issue("node2", 2, -time.Minute)
	a, b := securePair(t, o.issue("node1", 1, time.Hour), old)
	a.awaits(transport.Lost)
	o.issue("node2", 2, time.Hour)
	a.awaits(transport.Connected)
	b.awaits(transport.Connected)
}
