package storage

import "github.com/cockroachdb/pebble/v2/vfs"

// The decoders, for the fuzz test.
var (
	DecodeEntry     = decodeEntry
	DecodeHardState = decodeHardState
	DecodeIdentity  = decodeIdentity
	EntryBytes      = entryBytes
	PutEntry        = putEntry
	AppendHardState = appendHardState
	AppendIdentity  = appendIdentity
	AppendEntryKey  = appendEntryKey
	GroupPrefix     = groupPrefix
	Seal            = seal
)

// DiskKey is where a directory's name is kept.
const DiskKey = diskKey

// Guarded is a file system behind a fuse, and what blows it.
func Guarded(fs vfs.FS) (guarded vfs.FS, blow func(error)) {
	f := newFuse(func(error) {}, func(bool) {})
	return guardFS{FS: fs, fuse: f}, func(err error) { _ = f.blow("test", err) }
}
