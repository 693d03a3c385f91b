package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

// attackedPause is between two payments of the honest client. Without it the server's own tables fill up, which takes more memory than all the
// attacks together: the bound would be on that.
const attackedPause = 20 * time.Millisecond

// TestAServerLivesThroughAttacks has a real server process attacked from all sides while an honest client pays. The process stays small, serves
// the client, and is there afterwards.
func TestAServerLivesThroughAttacks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells how much memory another process has had")
	}
	at, pid := startTarget(t, "quorate")
	honest, err := client.Dial([]string{at.GRPC})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = honest.Close() })
	for _, terms := range []client.Terms{{ID: "alice", Currency: "EUR", OverdraftMinor: 1_000_000}, {ID: "bob", Currency: "EUR"}} {
		if _, err := honest.OpenAccount(ctxFor(t, patience), "north", terms); err != nil {
			t.Fatal(err)
		}
	}
	before, err := readUsage(pid)
	if err != nil {
		t.Fatal(err)
	}
	over, stop := context.WithCancel(t.Context())
	var paying sync.WaitGroup
	paying.Go(func() { // ends with over
		for over.Err() == nil {
			payOnce(t, honest)
			time.Sleep(attackedPause)
		}
	})
	var attacks sync.WaitGroup
	for name, attack := range map[string]func(*target){
		"headers that never end": func(a *target) { a.slow(200, a.HTTP, "GET /v1/status HTTP/1.1\r\nHost: h\r\nX: ") },
		"bodies that never end": func(a *target) {
			a.slow(100, a.HTTP, "POST /v1/transfers HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n{")
		},
		"huge headers": func(a *target) { a.push(a.HTTP, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 4<<20) },
		"a body of compressed bytes": func(a *target) {
			a.push(a.HTTP, "POST /v1/transfers HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n", 4<<20)
		},
		"silence at the gRPC port": func(a *target) { a.slow(300, a.GRPC, "P") },
		"silence at the peer port": func(a *target) { a.slow(300, a.Peer, "P") },
		"rapid reset": func(a *target) {
			a.flood(func(f *http2.Framer, n uint32) error { return f.WriteRSTStream(2*n+1, http2.ErrCodeCancel) })
		},
		"pings": func(a *target) {
			a.flood(func(f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) })
		},
		"settings": func(a *target) { a.flood(func(f *http2.Framer, _ uint32) error { return f.WriteSettings() }) },
	} {
		attacks.Go(func() { attack(&target{at, t, name}) })
	}
	attacks.Wait()
	stop()
	paying.Wait()
	after, err := readUsage(pid)
	if err != nil {
		t.Fatalf("the server is gone: %v", err)
	}
	if after.peakMemory > before.peakMemory+384<<20 {
		t.Errorf("the server has had %d MiB, and before %d", after.peakMemory>>20, before.peakMemory>>20)
	}
	payOnce(t, honest)
}

func payOnce(t *testing.T, c *client.Client) {
	legs := []transfer.Leg{
		{Bank: "north", Account: "alice", Direction: transfer.Debit, AmountMinor: 1, Currency: "EUR"},
		{Bank: "north", Account: "bob", Direction: transfer.Credit, AmountMinor: 1, Currency: "EUR"},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if r, err := c.Transfer(ctx, transfer.Transfer{Legs: legs}); err != nil || r.State != transfer.Committed {
		t.Errorf("an honest transfer: %+v, %v", r, err)
	}
}

// TestStrangersLeaveANodeItsFiles: whoever holds connections can't take what a log or a table is opened with, for without these a node ends.
func TestStrangersLeaveANodeItsFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what files another process has open")
	}
	at, pid := startTarget(t, "sh", "-c", `ulimit -n 900; exec quorate "$@"`, "sh")
	err := poll(func() error {
		conn, err := net.Dial("tcp", at.HTTP)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	silent := &target{at, t, "silence"}
	for range 500 {
		for _, port := range []string{at.GRPC, at.HTTP} {
			conn := silent.dial(port)
			if conn == nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
	const most = 2*connectionsMin + 100
	for range 20 { // connections are accepted one by one, and these wait
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil || len(files) > most {
			t.Fatalf("%d files are open, want %d at most; %v", len(files), most, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestConnectionsFitTheFiles(t *testing.T) {
	for _, c := range []struct {
		configured int
		files      uint64
		want       int
		warned     bool
	}{
		{0, 0, 0, false},
		{0, math.MaxUint64, 0, false},
		{0, node.FilesMax + 2*api.ConnectionsDefault, 0, false},
		{0, node.FilesMax + 2*api.ConnectionsDefault - 2, api.ConnectionsDefault - 1, true},
		{500, node.FilesMax + 1000, 500, false},
		{500, node.FilesMax + 600, 300, true},
		{500, 1024, connectionsMin, true},
		{10, 1024, 10, true},
	} {
		var log bytes.Buffer
		config := node.Config{Limits: node.ClientLimits{Connections: c.configured}}
		fitConnections(&config, c.files, slog.New(slog.NewTextHandler(&log, nil)))
		if got := config.Limits.Connections; got != c.want {
			t.Errorf("%d configured, %d files: %d connections, want %d", c.configured, c.files, got, c.want)
		}
		if warned := log.Len() > 0; warned != c.warned {
			t.Errorf("%d configured, %d files: %q", c.configured, c.files, log.String())
		}
	}
}

// startTarget runs one server process, by the command that is given before its arguments.
func startTarget(t *testing.T, command ...string) (node.NodeConfig, int) {
	t.Helper()
	places, err := freePlaces(1)
	if err != nil {
		t.Fatal(err)
	}
	p, dir := places[0], t.TempDir()
	file := filepath.Join(dir, "node1.yaml")
	text := fmt.Sprintf("cluster: target\ninsecure: true\nnode: 1\ndata: %s\nnodes:\n  - {id: 1, peer: %q, grpc: %q, http: %q}\nbanks:\n  - {id: north, nodes: [1]}\n", filepath.Join(dir, "data"), p.Peer, p.GRPC, p.HTTP)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command = append(command, "server", "--config", file)
	server := exec.Command(command[0], command[1:]...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() }) // it says that it was killed
	return p, server.Process.Pid
}

// target is what one attack is on.
type target struct {
	node.NodeConfig
	t    *testing.T
	name string
}

func (a *target) dial(at string) net.Conn {
	conn, err := net.Dial("tcp", at)
	if err != nil {
		a.t.Errorf("%s: %v", a.name, err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // of a socket that was just opened
	return conn
}

// slow begins many requests and says no more. The server must end each by itself.
func (a *target) slow(connections int, at, begin string) {
	var all sync.WaitGroup
	for range connections {
		conn := a.dial(at)
		if conn == nil {
			continue
		}
		all.Go(func() {
			defer conn.Close()
			_, _ = io.WriteString(conn, begin)
			if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
				a.t.Errorf("%s: the connection is still open", a.name)
			}
		})
	}
	all.Wait()
}

// push sends more than the server should take.
func (a *target) push(at, begin string, length int) {
	conn := a.dial(at)
	if conn == nil {
		return
	}
	defer conn.Close()
	_, err := io.WriteString(conn, begin)
	if err == nil {
		_, err = conn.Write(bytes.Repeat([]byte("x"), length))
	}
	if _, read := io.Copy(io.Discard, conn); os.IsTimeout(err) || os.IsTimeout(read) {
		a.t.Errorf("%s: the connection is still open", a.name)
	}
}

// flood sends 20,000 frames on one connection of HTTP/2, each after the headers of a stream if it is about one. The server may hang up on it.
func (a *target) flood(send func(f *http2.Framer, n uint32) error) {
	conn := a.dial(a.GRPC)
	if conn == nil {
		return
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	f := http2.NewFramer(conn, nil)
	_, err := io.WriteString(conn, http2.ClientPreface)
	if err == nil {
		err = f.WriteSettings()
	}
	for n := uint32(0); err == nil && n < 20_000; n++ {
		if a.name == "rapid reset" { // :method POST, :scheme http, :path /, from the static table
			err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*n + 1, BlockFragment: []byte{0x83, 0x86, 0x84}, EndHeaders: true})
		}
		if err == nil {
			err = send(f, n)
		}
	}
}
