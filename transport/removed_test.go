package transport_test

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// TestWhoIsRemovedHearsSoWithoutSayingAWord: nobody speaks to a node that is out, and it may have nothing to say.
func TestWhoIsRemovedHearsSoWithoutSayingAWord(t *testing.T) {
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	a, b := start(t, 1, la, peers, nil), start(t, 2, lb, peers, nil)
	defer a.Stop()
	defer b.Stop()
	b.awaits(transport.Connected)
	a.awaits(transport.Connected)
	if err := a.SetPeers(map[raft.NodeID]transport.Peer{2: {Address: peers[2], Gone: true}}); err != nil {
		t.Fatal(err)
	}
	if e := b.awaits(transport.Expelled); !strings.Contains(e.Err.Error(), "node 2 was removed from the cluster") {
		t.Errorf("node 2 hears %q", e.Err)
	}
	a.awaits(transport.Rejected)
	if up := a.Up(); len(up) > 0 {
		t.Errorf("of those that count, up are %v", up)
	}
}
