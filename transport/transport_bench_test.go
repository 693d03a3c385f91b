package transport_test

import (
	"net"
	"testing"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// benchPair starts nodes 1 and 2 that hand deliveries to the given functions.
func benchPair(b *testing.B, at1, at2 func([]*peerv1.Envelope)) (one, two *transport.Transport) {
	b.Helper()
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		listeners[i] = l
	}
	peers := map[raft.NodeID]string{1: listeners[0].Addr().String(), 2: listeners[1].Addr().String()}
	up := make(chan struct{}, 16)
	open := func(id raft.NodeID, l net.Listener, deliver func([]*peerv1.Envelope)) *transport.Transport {
		t, err := transport.Start(transport.Config{
			Cluster: "bench", Node: id, Peers: peers, Listener: l,
			Deliver: func(_ raft.NodeID, e []*peerv1.Envelope) { deliver(e) },
			Report: func(e transport.Event) {
				if e.Kind == transport.Connected {
					up <- struct{}{}
				}
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		return t
	}
	one, two = open(1, listeners[0], at1), open(2, listeners[1], at2)
	<-up
	<-up
	b.Cleanup(func() { one.Stop(); two.Stop() })
	return one, two
}

// BenchmarkRoundTrip sends one small message and waits for its echo: what a quorum costs in network.
func BenchmarkRoundTrip(b *testing.B) {
	echoed := make(chan struct{}, 1)
	var two *transport.Transport
	reply := beat(2, 1, 1)
	ready := make(chan struct{})
	one, other := benchPair(b, func([]*peerv1.Envelope) { echoed <- struct{}{} }, func([]*peerv1.Envelope) { <-ready; two.Send(1, reply) })
	two = other
	close(ready)
	message := beat(1, 2, 1)
	for b.Loop() {
		one.Send(2, message)
		<-echoed
	}
}

// BenchmarkPrepareBatch sends batches of 512 prepares, one batch after another is through.
func BenchmarkPrepareBatch(b *testing.B) {
	const batch = 512
	arrived := make(chan struct{}, 1)
	one, _ := benchPair(b, func([]*peerv1.Envelope) {}, func([]*peerv1.Envelope) { arrived <- struct{}{} })
	requests := make([]*peerv1.BankRequest, batch)
	for i := range requests {
		requests[i] = &peerv1.BankRequest{
			Op: 1, Id: make([]byte, 16), Fingerprint: make([]byte, 16), Reference: "rent",
			Legs: []*peerv1.Leg{{Bank: "HOME", Account: "acct-000123", Direction: 1, AmountMinor: 125000, Currency: "CZK"}},
		}
	}
	message, err := proto.Marshal(&peerv1.BankRequests{Bank: "HOME", Coordinator: "coordinator/0", Requests: requests})
	if err != nil {
		b.Fatal(err)
	}
	envelope := &peerv1.Envelope{Message: &peerv1.Envelope_BankRequests{BankRequests: message}}
	b.ReportAllocs()
	for b.Loop() {
		one.Send(2, []*peerv1.Envelope{envelope})
		<-arrived
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/request")
}
