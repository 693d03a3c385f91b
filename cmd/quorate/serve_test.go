package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// TestTheExitCodeSaysWhetherANodeEndedByWhatCantBe: whoever watches over servers tells a broken promise from a machine that fails.
func TestTheExitCodeSaysWhetherANodeEndedByWhatCantBe(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"a broken invariant":                    {fmt.Errorf("%w\nand the stack", invariant.Broken{Message: "leader 2 follows 3"}), api.ExitBroken},
		"two leaders in one term":               {fmt.Errorf("group bank/A: %w: node 3 leads in term 7, too", raft.ErrUnsafe), api.ExitBroken},
		"damage that was found while it ran":    {fmt.Errorf("read account alice: %w: 000012.sst", storage.ErrDamaged), api.ExitBroken},
		"what a peer knows was there":           {fmt.Errorf("%w: %w", storage.ErrOutdated, raft.ErrLost), api.ExitBroken},
		"a disk that failed":                    {errors.New("sync 000003.log: input/output error"), exitFailed},
		"a cluster that doesn't take it":        {fmt.Errorf("%w: node 1 was removed", node.ErrExpelled), exitFailed},
		"what is an answer elsewhere, but here": {fmt.Errorf("restore: %w", transfer.ErrNoLeader), exitFailed},
	} {
		if got := exitCode(t.Context(), &ranError{nodeFailed(c.err)}); got != c.want {
			t.Errorf("%s: exit code %d, want %d", name, got, c.want)
		}
	}
}

// TestASignalDuringTheStartIsNotLost: the server starts, has it in its log that it is asked to stop, and stops.
func TestASignalDuringTheStartIsNotLost(t *testing.T) {
	dir := t.TempDir()
	if code := runMain(newRoot(), []string{"config", "init", "--dir", dir}, io.Discard, io.Discard); code != 0 {
		t.Fatalf("config init: exit code %d", code)
	}
	files, err := filepath.Glob(filepath.Join(dir, "node*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewritePorts(files); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("terminated signal received"))
	var log bytes.Buffer
	if err := (&serverOptions{config: files[0], logFormat: "text", logLevel: "info"}).run(ctx, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, line := range []string{`msg=stopping component=server node_id=1 cause="terminated signal received"`, "msg=stopped"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log doesn't say %s:\n%s", line, log.String())
		}
	}
}

// TestAHangUpEndsNothing: whoever renews certificates may send it at any time, so while the server starts and while it ends. The configuration is a pipe: the
// server stands still in the middle of its start, and ends as soon as it has read what can't be one, maybe before the signal gets to it.
func TestAHangUpEndsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node1.yaml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("quorate", "server", "--config", file)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(file, os.O_WRONLY, 0) // when it is opened for reading
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.WriteString("nodes: none\n"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pipe.Close(), server.Wait()); server.ProcessState.ExitCode() != exitUsage {
		t.Errorf("the server ended with %v", err)
	}
}
