package storage

import (
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// extend reserves a range of a file on the disk and makes the file that long, if a real file system is below.
func extend(f vfs.File, offset, length int64) error {
	if f.Fd() == vfs.InvalidFd {
		return f.Preallocate(offset, length)
	}
	return syscall.Fallocate(int(f.Fd()), 0, offset, length)
}
