package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/quorate/quorate/transfer"
)

// TestAFullDiskIsNothingToWaitFor: asking again in a moment would be refused again.
func TestAFullDiskIsNothingToWaitFor(t *testing.T) {
	var said strings.Builder
	explain(&said, newRoot(), &ranError{fmt.Errorf("%w: group bank/north", transfer.ErrDiskFull)})
	if text := said.String(); !strings.Contains(text, ". try: free space where quorate status says full (column DISK)") {
		t.Error(text)
	}
}

// TestWhoListensCouldBeReached: a server that takes connections and gets nothing done isn't away, and one that is away is.
func TestWhoListensCouldBeReached(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(what ...string) string {
		var said bytes.Buffer
		runMain(newRoot(), append(what, "--timeout", "100ms", "--server", "127.0.0.1:1,"+l.Addr().String()), &said, &said)
		return said.String()
	}
	commands := [][]string{{"account", "get", "north/alice"}, {"transfer", "list"}}
	for _, what := range commands {
		if got, want := ask(what...), "no node of the cluster has answered in time; nothing was changed"; !strings.Contains(got, want) || !strings.Contains(got, "try: quorate status") {
			t.Errorf("%v, and somebody listens: got %q, want %q", what, got, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, what := range commands {
		if got, want := ask(what...), "no node of the cluster could be reached; nothing was changed"; !strings.Contains(got, want) {
			t.Errorf("%v, and nobody listens: got %q, want %q", what, got, want)
		}
	}
}
