package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/pki"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// rawClient speaks HTTP/2 frame by frame, and takes no answers: its windows are empty.
type rawClient struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	next   uint32
	hpack  *hpack.Decoder
	status string // in the headers that were read last
	over   bool   // nothing more could be sent
}

func dialRaw(t *testing.T, conn net.Conn) *rawClient {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	c.hpack = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			c.status = f.Value
		}
	})
	c.must(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	return c
}

func (c *rawClient) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// call begins a request; more of it may follow.
func (c *rawClient) call(method string) (stream uint32) {
	c.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "h"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		c.must(encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	stream, c.next = c.next, c.next+2
	c.over = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}) != nil
	return stream
}

func (c *rawClient) send(stream uint32, m proto.Message, last bool) {
	c.t.Helper()
	wire, err := proto.Marshal(m)
	c.must(err)
	wire = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(wire))), wire...)
	for err == nil && len(wire) > 1<<14 {
		err = c.framer.WriteData(stream, false, wire[:1<<14])
		wire = wire[1<<14:]
	}
	if err == nil {
		err = c.framer.WriteData(stream, last, wire)
	}
	c.over = c.over || err != nil
}

// ends reads until the server has ended a stream, or hung up; status is what it said in headers.
func (c *rawClient) ends(stream uint32) (status string) {
	c.t.Helper()
	for !c.over {
		frame, err := c.framer.ReadFrame()
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return "hung up"
		}
		c.must(err)
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			_, err := c.hpack.Write(f.HeaderBlockFragment())
			c.must(err)
			if f.StreamID == stream && f.StreamEnded() {
				return c.status
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return "reset"
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.must(c.framer.WritePing(true, f.Data))
			}
		}
	}
	return "hung up"
}

func (w *world) raw() *rawClient {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.conn.Target())
	if err != nil {
		w.t.Fatal(err)
	}
	return dialRaw(w.t, conn)
}

func TestAStrangerIsRefusedBeforeItsMessageIsRead(t *testing.T) {
	g := openGuarded(t, nil)
	conn, err := tls.Dial("tcp", g.grpcAt, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, conn)
	stream := c.call(quoratev1.TransferService_SubmitTransfers_FullMethodName) // and nothing follows
	if got := c.ends(stream); got != "16" {
		t.Errorf("status %q, want 16", got)
	}
}

func TestAMessageMayTakeOnlySoLong(t *testing.T) {
	w := open(t, func(c *api.Config) { c.Hurry(100*time.Millisecond, patience) })
	c := w.raw()
	half := c.call(quoratev1.TransferService_GetTransfer_FullMethodName)
	c.must(c.framer.WriteData(half, false, []byte{0, 0, 0, 0, 9, 'a'}))
	if got := c.ends(half); got != "1" && got != "reset" {
		t.Errorf("half a message: %q", got)
	}
	open := c.call(quoratev1.TransferService_GetTransfer_FullMethodName) // a whole one, after which more might come
	c.send(open, &quoratev1.GetTransferRequest{Id: idText}, false)
	if got := c.ends(open); got != "1" && got != "reset" {
		t.Errorf("without an end: %q", got)
	}
}

// manyTransfers fit into a window, and what is said of them doesn't.
func manyTransfers(t *testing.T) (specs []*quoratev1.TransferSpec) {
	t.Helper()
	for len(specs) < 700 {
		specs = append(specs, spec(""))
	}
	if size := proto.Size(&quoratev1.SubmitTransfersRequest{Transfers: specs}); size > 64<<10 {
		t.Fatalf("the request has %d bytes", size)
	}
	return specs
}

func TestAnAnswerOfAStreamMustBeTaken(t *testing.T) {
	w := open(t, func(c *api.Config) { c.Hurry(patience, 100*time.Millisecond) })
	conn, err := grpc.NewClient(w.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithInitialWindowSize(1<<16), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := quoratev1.NewTransferServiceClient(conn).StreamTransfers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // and never reads
		err = stream.Send(&quoratev1.StreamTransfersRequest{Transfers: manyTransfers(t)})
	}
	for err = nil; err == nil; {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestWhoTakesNoAnswersIsHungUpOn: each of them would wait for a window for as long as the connection lives.
func TestWhoTakesNoAnswersIsHungUpOn(t *testing.T) {
	w := open(t, func(c *api.Config) { c.OweAtMost(1 << 18) })
	c, last := w.raw(), uint32(0)
	for n := 0; n < 8 && !c.over; n++ {
		last = c.call(quoratev1.TransferService_SubmitTransfers_FullMethodName)
		c.send(last, &quoratev1.SubmitTransfersRequest{Transfers: manyTransfers(t)}, true)
	}
	if got := c.ends(last); got != "hung up" {
		t.Error(got)
	}
	for range 20 { // and who takes them isn't
		if _, err := w.transfers().SubmitTransfers(t.Context(), &quoratev1.SubmitTransfersRequest{Transfers: manyTransfers(t)}); err != nil {
			t.Fatal(err)
		}
	}
}

// endlessCut has more to say for ever.
type endlessCut struct{ closed chan struct{} }

func (endlessCut) At() (index, term uint64)    { return 1, 1 }
func (endlessCut) Next() ([]byte, bool, error) { return make([]byte, 1<<16), false, nil }
func (c endlessCut) Close() error              { close(c.closed); return nil }

type endlessAdmin struct {
	*fakeAdmin
	cut endlessCut
}

func (a endlessAdmin) Cut(context.Context, string, uint64) (api.Cut, error) { return a.cut, nil }

// A backup whose client doesn't read on would keep a snapshot, and the files under it, for ever.
func TestACutMustBeTaken(t *testing.T) {
	admin := endlessAdmin{&fakeAdmin{}, endlessCut{make(chan struct{})}}
	w := open(t, func(c *api.Config) { c.Admin = admin; c.Hurry(patience, 100*time.Millisecond) })
	c := w.raw()
	stream := c.call(adminv1.BackupService_CutGroup_FullMethodName)
	c.send(stream, &adminv1.CutGroupRequest{Group: "cluster"}, true)
	select {
	case <-admin.cut.closed:
	case <-time.After(patience):
		t.Fatal("the cut is still open")
	}
}

func TestAnAnswerOverHTTPMustBeTaken(t *testing.T) {
	failed := make(chan error, 1)
	endless := http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := out.Write(make([]byte, 1<<20)); err != nil {
				failed <- err
				return
			}
		}
	})
	w := open(t, func(c *api.Config) {
		c.Handlers = map[string]http.Handler{"GET /metrics": endless}
		c.Hurry(patience, 100*time.Millisecond)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-failed:
	case <-time.After(patience):
		t.Fatal("the handler still writes")
	}
}

// A body that stops in the middle holds a connection no longer than it may, whoever refuses the request, and whether anybody wants the body or not.
func TestABodyOverHTTPMustComeInTime(t *testing.T) {
	w := open(t, func(c *api.Config) { c.Hurry(50*time.Millisecond, patience) })
	for begin, status := range map[string]string{
		"POST /v1/transfers HTTP/1.1\r\nHost: h\r\n":                           "408",
		"POST /v1/transfers HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n": "415",
		"DELETE /v1/transfers HTTP/1.1\r\nHost: h\r\n":                         "408",
		"GET /livez HTTP/1.1\r\nHost: h\r\n":                                   "200",
		"POST /nowhere HTTP/1.1\r\nHost: h\r\n":                                "404",
	} {
		t.Run(begin, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, begin+"Content-Length: 9999\r\n\r\n{"); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+status) {
				t.Errorf("got %q, %v; want %s and the end of the connection", answer, err, status)
			}
		})
	}
}

// counted is a message of 4 MiB of which a quarter comes. It counts what is sent.
type counted struct {
	sent atomic.Int64
	rest io.Reader // blocks
}

func (c *counted) Read(b []byte) (int, error) {
	if c.sent.Load() >= 1<<20 {
		return c.rest.Read(b)
	}
	clear(b)
	if c.sent.Load() == 0 {
		copy(b, []byte{0, 0, 0x40, 0, 0})
	}
	c.sent.Add(int64(len(b)))
	return len(b), nil
}

// TestOneSenderHasFewMessagesReadAtOnce: all others of it may send a window, and then wait.
func TestOneSenderHasFewMessagesReadAtOnce(t *testing.T) {
	w := open(t, nil)
	plain := &http.Transport{Protocols: &http.Protocols{}}
	plain.Protocols.SetUnencryptedHTTP2(true)
	first, err := http.NewRequest(http.MethodPost, "http://"+w.conn.Target()+"/", nil) // from here on the client knows how many requests a connection takes
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := plain.RoundTrip(first); err != nil {
		t.Fatal(err)
	} else {
		_ = answer.Body.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	bodies, ended := make([]counted, 200), make(chan struct{})
	rest, stop := io.Pipe()
	t.Cleanup(func() {
		cancel()
		_ = stop.Close()
		for range bodies {
			<-ended
		}
		plain.CloseIdleConnections()
	})
	for i := range bodies {
		bodies[i].rest = rest
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.conn.Target()+quoratev1.TransferService_SubmitTransfers_FullMethodName, &bodies[i])
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/grpc")
		go func() { // ends with ctx
			if response, err := plain.RoundTrip(r); err == nil {
				_ = response.Body.Close()
			}
			ended <- struct{}{}
		}()
	}
	const window, readers = 64 << 10, 16
	waitFor(t, "all have sent a window, and some more", func() bool {
		begun, more := 0, 0
		for i := range bodies {
			if sent := bodies[i].sent.Load(); sent >= window {
				begun++
				if sent > 2*window {
					more++
				}
			}
		}
		if more > readers {
			t.Fatalf("%d messages are read at once", more)
		}
		return begun == len(bodies) && more == readers
	})
	if _, err := w.transfers().SubmitTransfer(t.Context(), &quoratev1.SubmitTransferRequest{Transfer: spec(idText)}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestOneSenderHasFewStreamsOfTransfers(t *testing.T) {
	w := open(t, nil)
	for n := 1; ; n++ {
		stream, err := w.transfers().StreamTransfers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if md, err := stream.Header(); err == nil && len(md.Get("request-id")) > 0 {
			if n > 128 {
				t.Fatalf("%d streams are open", n)
			}
			continue
		}
		_, err = stream.Recv()
		if n != 129 || status.Code(err) != codes.ResourceExhausted || infoOf(status.Convert(err)).GetReason() != "busy" {
			t.Errorf("stream %d: %v", n, err)
		}
		return
	}
}

// TestStrangersAskForLittle: nobody has to say who they are to ask for health, so nothing that they send or keep open may take much.
func TestStrangersAskForLittle(t *testing.T) {
	g := openGuarded(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stranger := healthv1.NewHealthClient(g.as(t, pki.Identity{}).conn)
	watch := func(c healthv1.HealthClient, service string) error {
		stream, err := c.Watch(ctx, &healthv1.HealthCheckRequest{Service: service})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	if err := watch(stranger, "made.up"); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
	long := strings.Repeat("x", 2<<10)
	if err := watch(stranger, long); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a long name that is watched: %v", err)
	}
	if _, err := stranger.Check(ctx, &healthv1.HealthCheckRequest{Service: long}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a long name: %v", err)
	}
	for i, service := range []string{"", "quorate.v1.TransferService", "", ""} {
		if err := watch(stranger, service); err != nil {
			t.Fatalf("watch %d: %v", i+1, err)
		}
	}
	if err := watch(stranger, ""); infoOf(status.Convert(err)).GetReason() != "busy" {
		t.Errorf("the fifth watch: %v", err)
	}
	if err := watch(healthv1.NewHealthClient(g.as(t, pki.Identity{}).conn), ""); err != nil {
		t.Errorf("another connection: %v", err)
	}
}

// TestALongMessageOfAStrangerIsRefusedByItsLength: only that is sent, and the first byte.
func TestALongMessageOfAStrangerIsRefusedByItsLength(t *testing.T) {
	g := openGuarded(t, nil)
	for _, method := range []string{healthv1.Health_Check_FullMethodName, healthv1.Health_Watch_FullMethodName} {
		for name, header := range map[string][]byte{"long": {0, 0, 0, 4, 1}, "compressed": {1, 0, 0, 0, 4}} {
			conn, err := tls.Dial("tcp", g.grpcAt, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			c := dialRaw(t, conn)
			stream := c.call(method)
			c.must(c.framer.WriteData(stream, false, append(header, 10)))
			if got := c.ends(stream); got != "3" {
				t.Errorf("%s, %s: status %q, want 3", method, name, got)
			}
		}
	}
}

// TestFewWatchANodesHealth, however many connections they have.
func TestFewWatchANodesHealth(t *testing.T) {
	w := open(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := 0; ; {
		conn, err := grpc.NewClient(w.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range 4 {
			stream, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			if err == nil {
				n++
				continue
			}
			if n != 256 || infoOf(status.Convert(err)).GetReason() != "busy" {
				t.Errorf("after %d: %v", n, err)
			}
			return
		}
	}
}

// TestWhatIsNoMessageIsRefusedByName: gRPC would call it a fault of ours.
func TestWhatIsNoMessageIsRefusedByName(t *testing.T) {
	w := open(t, nil)
	c := w.raw()
	stream := c.call(quoratev1.TransferService_GetTransfer_FullMethodName)
	c.must(c.framer.WriteData(stream, true, []byte{0, 0, 0, 0, 1, 0xff}))
	if got := c.ends(stream); got != "3" {
		t.Errorf("status %q, want 3", got)
	}
}
