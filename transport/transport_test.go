package transport_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

func TestEnvelopesArriveInOrder(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	const rounds = 2000
	for i := range uint64(rounds) {
		a.Send(2, beat(1, 2, i))
	}
	want, requests := uint64(0), 0
	for want < rounds {
		d := b.receives()
		requests++
		if d.from != 1 {
			t.Fatalf("from node %d, want 1", d.from)
		}
		for _, e := range d.envelopes {
			if got := e.GetRaft().GetRound(); got != want {
				t.Fatalf("round %d, want %d", got, want)
			}
			want++
		}
	}
	t.Logf("%d envelopes travelled in %d requests", rounds, requests)
}

func TestLargestEntryTravels(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	const bytes = 16 << 20
	a.Send(2, entry(1, 2, bytes))
	if got := len(b.receives().envelopes[0].GetRaft().GetEntries()[0].GetData()); got != bytes {
		t.Fatalf("got %d bytes, want %d", got, bytes)
	}
}

func TestTooLargeAnEnvelopeIsDroppedAlone(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	a.Send(2, entry(1, 2, transport.EnvelopeBytesMax))
	if e := a.awaits(transport.Dropped); e.Envelopes != 1 || e.Peer != 2 {
		t.Fatalf("got %+v, want 1 envelope to node 2", e)
	}
	a.Send(2, beat(1, 2, 7))
	if got := b.receives().envelopes[0].GetRaft().GetRound(); got != 7 {
		t.Fatalf("round %d, want 7", got)
	}
}

func TestRequestsAreFilledWhileTheStreamIsBusy(t *testing.T) {
	gate := make(chan struct{})
	a, b := pair(t, func(c *transport.Config) {
		deliver := c.Deliver
		c.Deliver = func(from raft.NodeID, e []*peerv1.Envelope) { <-gate; deliver(from, e) }
	})
	defer a.Stop()
	defer b.Stop()
	const messages = 512
	for range messages {
		a.Send(2, entry(1, 2, 32<<10)) // 16 MiB in all: more than the stream's window
	}
	close(gate)
	got, requests := 0, 0
	for got < messages {
		got += len(b.receives().envelopes)
		requests++
	}
	if requests >= messages {
		t.Fatalf("%d envelopes needed %d requests: nothing was gathered", messages, requests)
	}
}

func TestFullQueueDropsTheNewest(t *testing.T) {
	gate := make(chan struct{})
	a, b := pair(t, func(c *transport.Config) {
		c.QueueBytesMax = 1 << 20
		deliver := c.Deliver
		c.Deliver = func(from raft.NodeID, e []*peerv1.Envelope) { <-gate; deliver(from, e) }
	})
	defer a.Stop()
	defer b.Stop()
	const messages = 64
	for i := range uint64(messages) {
		batch := entry(1, 2, 512<<10)
		batch[0].GetRaft().Round = i
		a.Send(2, batch)
	}
	close(gate)
	dropped, next := uint64(0), uint64(0)
	for got := uint64(0); got+dropped < messages; {
		select {
		case e := <-a.events:
			dropped += e.Envelopes
		case d := <-b.delivered:
			for _, e := range d.envelopes {
				if e.GetRaft().GetRound() < next {
					t.Fatalf("round %d after %d", e.GetRaft().GetRound(), next-1)
				}
				next = e.GetRaft().GetRound() + 1
				got++
			}
		case <-time.After(patience):
			t.Fatalf("%d arrived and %d were dropped of %d", got, dropped, messages)
		}
	}
	if dropped == 0 {
		t.Fatal("nothing was dropped")
	}
}

func TestRestartedPeerIsReachableAgainAtOnce(t *testing.T) {
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	a, b := start(t, 1, la, peers, nil), start(t, 2, lb, peers, nil)
	defer a.Stop()
	for round := range uint64(4) {
		a.awaits(transport.Connected)
		a.Send(2, beat(1, 2, round))
		if got := b.receives().envelopes[0].GetRaft().GetRound(); got != round {
			t.Fatalf("round %d, want %d", got, round)
		}
		b.Stop()
		a.awaits(transport.Lost)
		a.Send(2, beat(1, 2, 99)) // stale by the time that node 2 is back
		l := listen(t, b.address)
		b = start(t, 2, l, peers, nil)
		event := a.awaits(transport.Connected)
		if event.Envelopes != 1 {
			t.Fatalf("%d envelopes dropped while node 2 was away, want 1", event.Envelopes)
		}
		a.events <- event // for the next round
	}
	b.Stop()
}

func TestAPeerThatIsAwayIsReportedOnce(t *testing.T) {
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	a, b := start(t, 1, la, peers, nil), start(t, 2, lb, peers, nil)
	a.awaits(transport.Connected)
	if up := a.Up(); len(up) != 1 || !up[2] {
		t.Errorf("up are %v, want node 2", up)
	}
	b.Stop()
	a.awaits(transport.Lost)
	if up := a.Up(); len(up) != 1 || up[2] {
		t.Errorf("up are %v, and node 2 is away", up)
	}
	b = start(t, 2, listen(t, b.address), peers, nil)
	e := a.receiveEvent()
	for e.Kind == transport.Refused || e.Kind == transport.Rejected { // a may hear of the new b before it notices that the old one's stream is over
		e = a.receiveEvent()
	}
	if e.Kind != transport.Connected {
		t.Fatalf("got %v after lost, want connected", e)
	}
	a.Stop()
	b.Stop()
}

func (m *member) receiveEvent() transport.Event {
	m.t.Helper()
	select {
	case e := <-m.events:
		return e
	case <-time.After(patience):
		m.t.Fatalf("node %d: no event within %v", m.id, patience)
		return transport.Event{}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*transport.Config)
		says   string
	}{
		"another cluster": {func(c *transport.Config) { c.Cluster = "prod" }, `this is cluster "test", not "prod"`},
		"the same id":     {func(c *transport.Config) { c.Node = 1 }, "this is node 1 itself"},
		"an unknown node": {func(c *transport.Config) { c.Node = 9 }, `node "9" is not a peer of node 1`},
		"a wrong address": {func(c *transport.Config) { c.Peers = map[raft.NodeID]string{3: c.Peers[1]} }, `this is node 1, not node "3"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
			peers := map[raft.NodeID]string{1: la.Addr().String(), 2: "127.0.0.1:1"} // node 1 finds nobody there: only the stranger speaks
			a := start(t, 1, la, peers, nil)
			defer a.Stop()
			b := start(t, 2, lb, map[raft.NodeID]string{1: peers[1]}, func(cfg *transport.Config) {
				c.change(cfg)
				if cfg.Node == 1 { // it would not dial itself: it knows node 1 as somebody else
					cfg.Peers = map[raft.NodeID]string{2: peers[1]}
				}
			})
			defer b.Stop()
			for m, kind := range map[*member]transport.EventKind{a: transport.Rejected, b: transport.Refused} {
				if e := m.awaits(kind); !strings.Contains(e.Err.Error(), c.says) {
					t.Errorf("node %d says %q, want %q", m.id, e.Err, c.says)
				}
			}
		})
	}
}

// TestARejectionIsToldOnce: who is turned away comes back again and again.
func TestARejectionIsToldOnce(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	a := start(t, 1, l, nil, nil)
	defer a.Stop()
	come := func(id raft.NodeID) {
		stranger := start(t, id, listen(t, "127.0.0.1:0"), map[raft.NodeID]string{1: a.address}, nil)
		stranger.awaits(transport.Refused)
		stranger.Stop()
	}
	come(8)
	come(8)
	come(8)
	come(9)
	come(8)
	var told []string
	for len(a.events) > 0 {
		told = append(told, a.receiveEvent().Err.Error())
	}
	if len(told) != 2 || !strings.Contains(told[0], `node "8"`) || !strings.Contains(told[1], `node "9"`) {
		t.Errorf("told is %q, want one line of each node", told)
	}
}

// TestAnotherDirectoryIsRefusedBeforeTheClusterKnowsTheFirst: in the moment before the directory names a node's disk, whoever has heard it remembers.
func TestAnotherDirectoryIsRefusedBeforeTheClusterKnowsTheFirst(t *testing.T) {
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	onDisk := func(disk byte) func(*transport.Config) {
		return func(c *transport.Config) { c.Disk = [16]byte{disk} }
	}
	a, b := start(t, 1, la, peers, onDisk(1)), start(t, 2, lb, peers, onDisk(2))
	defer a.Stop()
	b.awaits(transport.Connected)
	b.Stop()
	a.awaits(transport.Lost)
	wiped := start(t, 2, listen(t, b.address), peers, onDisk(3))
	for m, kind := range map[*member]transport.EventKind{a: transport.Rejected, wiped: transport.Expelled} {
		if e := m.awaits(kind); !strings.Contains(e.Err.Error(), "node 2 has another data directory than before") {
			t.Errorf("node %d says %q", m.id, e.Err)
		}
	}
	wiped.Stop()
	back := start(t, 2, listen(t, b.address), peers, onDisk(2))
	defer back.Stop()
	back.awaits(transport.Connected)
}

// TestAnotherDirectoryIsRefusedByWhoMetTheFirstInAnEarlierLife, until the cluster knows which one the node has; that is remembered, too.
func TestAnotherDirectoryIsRefusedByWhoMetTheFirstInAnEarlierLife(t *testing.T) {
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	met := make(chan [16]byte, 9)
	a := start(t, 1, la, peers, func(c *transport.Config) {
		c.Met = map[raft.NodeID][16]byte{2: {2}}
		c.Meet = func(_ raft.NodeID, disk [16]byte) error { met <- disk; return nil }
	})
	defer a.Stop()
	b := start(t, 2, lb, peers, func(c *transport.Config) { c.Disk = [16]byte{3} })
	defer b.Stop()
	if e := b.awaits(transport.Expelled); !strings.Contains(e.Err.Error(), "node 2 has another data directory than before") || !strings.Contains(e.Err.Error(), "empty all their data directories") {
		t.Errorf("it is told %q", e.Err)
	}
	if len(met) > 0 {
		t.Errorf("a directory that was refused is remembered: %x", <-met)
	}
	if err := a.SetPeers(map[raft.NodeID]transport.Peer{2: {Address: peers[2], Disk: [16]byte{3}}}); err != nil {
		t.Fatal(err)
	}
	b.awaits(transport.Connected)
	if len(met) != 1 { // Connected follows it
		t.Fatalf("%d directories are remembered, want the one that the cluster knows", len(met))
	}
	if disk := <-met; disk != [16]byte{3} {
		t.Errorf("remembered is %x", disk)
	}
}

// TestNothingIsDeliveredBeforeItsSenderIsRemembered: what a node promised counts only together with the name of its directory.
func TestNothingIsDeliveredBeforeItsSenderIsRemembered(t *testing.T) {
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	var tries atomic.Int32
	a := start(t, 1, la, peers, func(c *transport.Config) {
		c.Meet = func(raft.NodeID, [16]byte) error {
			if tries.Add(1) < 3 {
				return errors.New("the disk is gone")
			}
			return nil
		}
	})
	defer a.Stop()
	b := start(t, 2, lb, peers, nil)
	defer b.Stop()
	if e := b.awaits(transport.Lost); !strings.Contains(e.Err.Error(), "can't remember node 2: the disk is gone") {
		t.Errorf("it is told %q", e.Err)
	}
	b.awaits(transport.Connected)
	if n := tries.Load(); n != 3 {
		t.Errorf("connected after %d tries to remember it, the third was the first to succeed", n)
	}
}

// TestNodesThatBeganWithDifferentDataDontSpeak: the restored one ends the other, and a node that may have begun with anything is let in.
func TestNodesThatBeganWithDifferentDataDontSpeak(t *testing.T) {
	const monday, nothing = "backup 1a2b of old", "an empty data directory"
	for name, c := range map[string]struct {
		mine, theirs       string
		ends               bool // who opens the stream
		connects, restored bool
	}{
		"an empty one speaks to a restored one":   {mine: monday, theirs: nothing, restored: true, ends: true},
		"a restored one speaks to an empty one":   {mine: nothing, theirs: monday},
		"two backups":                             {mine: monday, theirs: "backup 3c4d of old", restored: true, ends: true},
		"the same backup":                         {mine: monday, theirs: monday, restored: true, connects: true},
		"a node that was added later, or mended":  {mine: monday, theirs: "", restored: true, connects: true},
		"to a node that was added later, or such": {mine: "", theirs: monday, connects: true},
	} {
		t.Run(name, func(t *testing.T) {
			la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
			peers := map[raft.NodeID]string{1: la.Addr().String(), 2: "127.0.0.1:1"} // node 1 finds nobody there: only node 2 opens streams
			a := start(t, 1, la, peers, func(cfg *transport.Config) { cfg.Origin, cfg.Restored = c.mine, c.restored })
			defer a.Stop()
			b := start(t, 2, lb, map[raft.NodeID]string{1: peers[1]}, func(cfg *transport.Config) { cfg.Origin = c.theirs })
			defer b.Stop()
			switch {
			case c.connects:
				b.awaits(transport.Connected)
				return
			case c.ends:
				b.awaits(transport.Expelled)
			default:
				b.awaits(transport.Refused)
			}
			if e := a.awaits(transport.Rejected); !strings.Contains(e.Err.Error(), "node 2 began with "+c.theirs+", and node 1 with "+c.mine) {
				t.Errorf("got %v", e.Err)
			}
		})
	}
}

// TestNodesOfClustersThatBeganDifferentlyDontSpeak: they would look for one transfer in different groups. Who says nothing is of an older version.
func TestNodesOfClustersThatBeganDifferentlyDontSpeak(t *testing.T) {
	const one, two = "nodes [1 2], coordinators [1 2]", "nodes [1 2], coordinators [1 2] [1 2]"
	for name, c := range map[string]struct {
		mine, theirs string
		connects     bool
	}{
		"the same":        {one, one, true},
		"another one":     {one, two, false},
		"an older node":   {one, "", true},
		"to an older one": {"", two, true},
	} {
		t.Run(name, func(t *testing.T) {
			la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
			peers := map[raft.NodeID]string{1: la.Addr().String(), 2: "127.0.0.1:1"} // only node 2 opens streams
			a := start(t, 1, la, peers, func(cfg *transport.Config) { cfg.Founding = c.mine })
			defer a.Stop()
			b := start(t, 2, lb, map[raft.NodeID]string{1: peers[1]}, func(cfg *transport.Config) { cfg.Founding = c.theirs })
			defer b.Stop()
			if c.connects {
				b.awaits(transport.Connected)
				return
			}
			if e := b.awaits(transport.Refused); !strings.Contains(e.Err.Error(), "by node 2's configuration the cluster began otherwise") || !strings.Contains(e.Err.Error(), "node 1 has "+one) {
				t.Errorf("got %v", e.Err)
			}
		})
	}
}

func TestMessagesOutOfPlaceAreDropped(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	forged := append(beat(3, 2, 1), beat(1, 3, 2)...)
	forged = append(forged, &peerv1.Envelope{})
	a.Send(2, append(forged, beat(1, 2, 3)...))
	if d := b.receives(); len(d.envelopes) != 1 || d.envelopes[0].GetRaft().GetRound() != 3 {
		t.Fatalf("got %v, want round 3 alone", d.envelopes)
	}
	for dropped := 0; dropped < len(forged); {
		dropped += int(b.awaits(transport.Dropped).Envelopes)
	}
}

func TestIsolatedNodeHearsAndSaysNothing(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	b.Isolate(true)
	a.Send(2, beat(1, 2, 1)) // dropped where it arrives
	b.Send(1, beat(2, 1, 2)) // dropped where it is sent
	b.Isolate(false)
	b.Send(1, beat(2, 1, 3))
	if got := a.receives().envelopes[0].GetRaft().GetRound(); got != 3 {
		t.Fatalf("round %d, want 3: the earlier one was sent while isolated", got)
	}
	a.Isolate(true)
	a.Send(2, beat(1, 2, 4))
	a.Isolate(false)
	a.Send(2, beat(1, 2, 5))
	for last := uint64(0); last != 5; {
		for _, e := range b.receives().envelopes { // round 1 may still have been on its way, and come together with round 5
			if last = e.GetRaft().GetRound(); last == 4 {
				t.Fatal("round 4 was sent while isolated")
			}
		}
	}
}

func TestSendToNobodyAndAfterStopIsHarmless(t *testing.T) {
	a, b := pair(t, nil)
	a.Send(7, beat(1, 7, 1))
	a.Send(2, nil)
	b.Stop()
	a.Stop()
	a.Send(2, beat(1, 2, 1))
}

func TestStopWaitsForDeliver(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var left atomic.Bool
	a, b := pair(t, func(c *transport.Config) {
		c.Deliver = func(raft.NodeID, []*peerv1.Envelope) { close(entered); <-leave; left.Store(true) }
	})
	a.Send(2, beat(1, 2, 1))
	<-entered
	stopped := make(chan struct{})
	go func() { b.Stop(); close(stopped) }()
	close(leave)
	<-stopped
	if !left.Load() {
		t.Fatal("Stop returned before Deliver did")
	}
	a.Stop()
}

func TestStartRefusesAnUnusableConfig(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	defer l.Close()
	good := transport.Config{Cluster: "c", Node: 1, Listener: l, Deliver: func(raft.NodeID, []*peerv1.Envelope) {}}
	cases := map[string]func(*transport.Config){
		"no cluster":       func(c *transport.Config) { c.Cluster = "" },
		"no id":            func(c *transport.Config) { c.Node = 0 },
		"no listener":      func(c *transport.Config) { c.Listener = nil },
		"nobody to hear":   func(c *transport.Config) { c.Deliver = nil },
		"a peer 0":         func(c *transport.Config) { c.Peers = map[raft.NodeID]string{0: "h:1"} },
		"a bad address":    func(c *transport.Config) { c.Peers = map[raft.NodeID]string{2: "h"} },
		"an empty address": func(c *transport.Config) { c.Peers = map[raft.NodeID]string{2: ""} },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			if tr, err := transport.Start(cfg); err == nil {
				tr.Stop()
				t.Fatal("started")
			}
		})
	}
}
