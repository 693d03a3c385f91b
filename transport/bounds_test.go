package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// caller speaks HTTP/2 with a node by hand, and keeps no bound that gRPC would keep for it.
type caller struct {
	t       *testing.T
	conn    net.Conn
	framer  *http2.Framer
	headers bytes.Buffer
	stream  uint32 // the last; a caller's have odd numbers, from 3 on here
}

// call connects, and says what HTTP/2 begins with.
func call(t *testing.T, address string) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &caller{t: t, conn: conn, framer: http2.NewFramer(conn, conn), stream: 1}
	c.must(c.begin())
	return c
}

func (c *caller) begin() error {
	_, err := io.WriteString(c.conn, http2.ClientPreface)
	return errors.Join(err, c.framer.WriteSettings())
}

func (c *caller) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// exchange opens a stream as node 2 of cluster "test" does, with so many more headers of 4 KiB.
func (c *caller) exchange(more int) (stream uint32) {
	c.t.Helper()
	b := &c.headers
	enc := hpack.NewEncoder(b)
	enc.SetMaxDynamicTableSizeLimit(0) // each stream's headers stand for themselves
	headers := [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/quorate.peer.v1.PeerService/Exchange"}, {":authority", "test"},
		{"content-type", "application/grpc"}, {"te", "trailers"},
		{"quorate-cluster", "test"}, {"quorate-node", "2"}, {"quorate-to", "1"}, {"quorate-process", "p"},
	}
	for range more {
		headers = append(headers, [2]string{"x", strings.Repeat("y", 4<<10)})
	}
	for _, h := range headers {
		c.must(enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}))
	}
	c.stream += 2
	const frame = 16 << 10
	first := b.Next(frame)
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: first, EndHeaders: b.Len() == 0}))
	for b.Len() > 0 {
		part := b.Next(frame)
		c.must(c.framer.WriteContinuation(c.stream, b.Len() == 0, part))
	}
	return c.stream
}

// answer is how a stream is received: no error, or why it was reset.
func (c *caller) answer(stream uint32) (reset bool, why http2.ErrCode) {
	c.t.Helper()
	c.must(c.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		f, err := c.framer.ReadFrame()
		c.must(err)
		if f.Header().StreamID != stream {
			continue
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			return true, f.ErrCode
		case *http2.HeadersFrame:
			return false, 0
		}
	}
}

// alone starts node 1, which knows node 2 and is never spoken to by it but by hand.
func alone(t *testing.T) *member {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	a := start(t, 1, l, map[raft.NodeID]string{1: l.Addr().String(), 2: "127.0.0.1:1"}, nil)
	t.Cleanup(a.Stop)
	return a
}

func TestAConnectionHasSixteenStreams(t *testing.T) {
	c := call(t, alone(t).address)
	for n := 1; n <= transport.StreamsMax; n++ {
		if reset, why := c.answer(c.exchange(0)); reset {
			t.Fatalf("stream %d is refused: %v", n, why)
		}
	}
	if reset, why := c.answer(c.exchange(0)); !reset || why != http2.ErrCodeRefusedStream {
		t.Errorf("one more: refused %v, %v", reset, why)
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	c := call(t, alone(t).address)
	if reset, why := c.answer(c.exchange(transport.HeaderBytesMax / (4 << 10) / 2)); reset {
		t.Errorf("half of the bound is refused: %v", why)
	}
	if reset, _ := c.answer(c.exchange(transport.HeaderBytesMax / (4 << 10))); !reset {
		t.Error("more than the bound is taken")
	}
	if reset, why := c.answer(c.exchange(0)); reset {
		t.Errorf("the connection isn't well after that: %v", why)
	}
}

// ended says whether the other end closes the connection in time.
func (c *caller) ended(within time.Duration) bool {
	c.t.Helper()
	c.must(c.conn.SetReadDeadline(time.Now().Add(within)))
	_, err := io.Copy(io.Discard, c.conn)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestWhoSaysNothingIsSentAway takes as long as a peer may take to begin.
func TestWhoSaysNothingIsSentAway(t *testing.T) {
	t.Parallel()
	a := alone(t)
	conn, err := net.Dial("tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if silent := (&caller{t: t, conn: conn}); !silent.ended(transport.IdleTimeout / 2) {
		t.Error("it is still connected")
	}
}

// TestAConnectionWithoutAStreamEnds, and one with a stream doesn't.
func TestAConnectionWithoutAStreamEnds(t *testing.T) {
	t.Parallel()
	usual := alone(t)
	if got := usual.Idle(); got != transport.IdleTimeout {
		t.Errorf("usually it ends after %v, want %v", got, transport.IdleTimeout)
	}
	a, b := pair(t, func(c *transport.Config) { c.SetIdle(10 * time.Millisecond) })
	defer a.Stop()
	defer b.Stop()
	if err := call(t, a.address).sentAway(); err != nil {
		t.Errorf("it isn't told to go: %v", err)
	}
	b.Send(1, beat(2, 1, 7))
	if got := a.receives(); got.from != 2 {
		t.Errorf("got %+v", got)
	}
	if n := len(b.events); n > 0 {
		t.Errorf("the peer has noticed: %v", (<-b.events).Kind)
	}
}

// sentAway waits until the other end says that it wants no more. Who doesn't answer its pings is cut off without that.
func (c *caller) sentAway() error {
	c.must(c.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		f, err := c.framer.ReadFrame()
		if _, ok := f.(*http2.GoAwayFrame); ok || err != nil {
			return err
		}
	}
}

// TestNoMoreConnectionsThanTheBound are taken: one more waits until another one ends. A peer that is connected notices nothing.
func TestNoMoreConnectionsThanTheBound(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	var callers []*caller
	for range transport.ConnectionsMax - 1 { // and node 2
		c := call(t, a.address)
		if !c.greeted(patience) {
			t.Fatalf("connection %d isn't taken", len(callers)+2)
		}
		callers = append(callers, c)
	}
	more := call(t, a.address)
	if more.greeted(200 * time.Millisecond) {
		t.Errorf("one more than %d connections is taken", transport.ConnectionsMax)
	}
	b.Send(1, beat(2, 1, 7))
	if got := a.receives(); got.from != 2 || got.envelopes[0].GetRaft().GetRound() != 7 {
		t.Errorf("got %+v", got)
	}
	a.Send(2, beat(1, 2, 8))
	if got := b.receives(); got.from != 1 {
		t.Errorf("got %+v", got)
	}
	_ = callers[0].conn.Close()
	if !more.greeted(patience) {
		t.Error("it isn't taken when there is room")
	}
}

// greeted says whether the node says what HTTP/2 begins with.
func (c *caller) greeted(within time.Duration) bool {
	c.t.Helper()
	c.must(c.conn.SetReadDeadline(time.Now().Add(within)))
	f, err := c.framer.ReadFrame()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.must(err)
	_, ok := f.(*http2.SettingsFrame)
	return ok
}
