//go:build !linux

package storage

import "github.com/cockroachdb/pebble/v2/vfs"

// extend reserves a range of a file where the file system can.
func extend(f vfs.File, offset, length int64) error { return f.Preallocate(offset, length) }
