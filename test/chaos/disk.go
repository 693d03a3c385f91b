package main

import (
	"fmt"
	"os"
)

// disk is where a node keeps its data. It can be filled to the last byte in one of two ways: a small file system of the
// node's own is shrunk to what it holds, or, where none may be mounted, the kernel is told to let the process write no file any more.
// The server meets ENOSPC in the first case and EFBIG in the second.
type disk struct {
	dir   string
	small bool // a file system of its own
}

// openDisk makes the directory, on a file system of its own if that is wanted and allowed.
func openDisk(dir string, small bool) (*disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("a disk for a node: %w", err)
	}
	return &disk{dir: dir, small: small && mountSmall(dir) == nil}, nil
}

// fill leaves no room for the server, which runs as pid.
func (d *disk) fill(pid int) error {
	if d.small {
		return shrinkSmall(d.dir)
	}
	return limitWrites(pid, true)
}

// free gives the room back. pid is zero if the server isn't running.
func (d *disk) free(pid int) error {
	if d.small {
		return growSmall(d.dir)
	}
	if pid == 0 {
		return nil // the limit went with the process
	}
	return limitWrites(pid, false)
}

// close takes a file system of its own away, with all that is on it.
func (d *disk) close() error {
	if d.small {
		return unmountSmall(d.dir)
	}
	return nil
}

func (d *disk) String() string {
	if d.small {
		return "a file system of its own"
	}
	return "a directory"
}
