package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writer is a process that writes files when told to.
type writer struct {
	cmd     *exec.Cmd
	answers *bufio.Scanner
	tell    func(string)
}

func startWriter(t *testing.T) *writer {
	t.Helper()
	cmd := exec.Command("sh", "-c", `trap '' XFSZ; while read file; do if { echo text > "$file"; } 2>/dev/null; then echo written; else echo refused; fi; done`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &writer{cmd, bufio.NewScanner(out), func(file string) { fmt.Fprintln(in, file) }}
}

func (w *writer) write(t *testing.T, file string) string {
	t.Helper()
	w.tell(file)
	if !w.answers.Scan() {
		t.Fatal("the writer has ended")
	}
	return strings.TrimSpace(w.answers.Text())
}

// The way of filling a disk that needs no privilege at all works everywhere: no run goes without a full disk.
func TestADiskIsFilledWithoutPrivileges(t *testing.T) {
	d, err := openDisk(filepath.Join(t.TempDir(), "node"), false)
	if err != nil {
		t.Fatal(err)
	}
	w := startWriter(t)
	file := filepath.Join(d.dir, "file")
	if got := w.write(t, file); got != "written" {
		t.Fatalf("before: %s", got)
	}
	if err := d.fill(w.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got := w.write(t, file); got != "refused" {
		t.Errorf("full: %s", got)
	}
	if err := d.free(w.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got := w.write(t, file); got != "written" {
		t.Errorf("free again: %s", got)
	}
	if err := d.free(0); err != nil {
		t.Errorf("of a process that has ended: %v", err)
	}
}
