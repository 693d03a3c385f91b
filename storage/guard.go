package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardFS stands between Pebble and the disk. It sees every write and sync fail at the moment it fails, blows the fuse with the
// file's name, and never returns to Pebble: the goroutine stands still for good, and so does every other one that
// wants to change the disk from then on. So a later sync can't succeed and seem to make durable what an earlier one
// lost (raft-scenarios 55), no background work tries again for ever, and what Pebble makes of an error, which is at times a
// panic with its locks in disorder, doesn't matter. Our own calls wait for Pebble and for the fuse (run, Commit), and the
// process ends.
//
// Only a full disk is waited for (space.go): a write, not a sync, that finds no space has lost nothing and goes on where it was, once there is some.
//
// Reads pass: what they return has checksums. Removals pass: a file too many does no harm. What is synced of a manifest is noted (manifest.go).
type guardFS struct {
	vfs.FS
	fuse   *fuse
	pacing *pacing // of tables; nil: none
}

type guardFile struct {
	vfs.File
	fuse *fuse
	name string
	pace *pace // of a table; nil: none
}

// whole is asked before every change: nothing gets past a blown fuse.
func (f *fuse) whole() {
	if f.err() != nil {
		select {}
	}
}

// hold is told of every change: after a failed one it doesn't return.
func (f *fuse) hold(op, name string, err error) {
	if err != nil {
		_ = f.blow(op+" "+name, err)
		select {}
	}
}

// run does what calls Pebble, and returns early if the fuse blows. A panic, which is how Pebble
// answers some damaged files, becomes an error.
func (f *fuse) run(do func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				done <- fmt.Errorf("%w: %v", errGaveUp, cause)
			}
		}()
		done <- do()
	}()
	select {
	case err := <-done:
		return err
	case <-f.blown:
		return f.err()
	}
}

func (fs guardFS) Unwrap() vfs.FS { return fs.FS }

func (fs guardFS) open(op, name string, open func() (vfs.File, error)) (guardFile, error) {
	var file vfs.File
	fs.fuse.hold(op, name, fs.fuse.full.retry(func() (err error) {
		fs.fuse.whole()
		file, err = open()
		return err
	}))
	guarded := guardFile{File: file, fuse: fs.fuse, name: name}
	if filepath.Ext(name) == ".sst" {
		guarded.pace = fs.pacing.begin()
	}
	return guarded, nil
}

func (fs guardFS) change(op, name string, change func() error) error {
	fs.fuse.hold(op, name, fs.fuse.full.retry(func() error {
		fs.fuse.whole()
		return change()
	}))
	return nil
}

// markerPrefix begins the names of the files by which Pebble says which other file counts now.
const markerPrefix = "marker."

// Create makes what a marker names durable before the marker: both are new in the directory, and a crash may keep either alone
// (cockroachdb/pebble#5825, not yet in the version used here).
func (fs guardFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	switch base := fs.PathBase(name); {
	case strings.HasPrefix(base, markerPrefix):
		fs.syncDir(fs.PathDir(name))
	case strings.HasPrefix(base, manifestPrefix):
		return fs.createManifest(name, c)
	}
	return fs.open("create", name, func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

func (fs guardFS) syncDir(name string) {
	dir, err := fs.OpenDir(name)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	fs.fuse.hold("sync", name, err)
}

func (fs guardFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open("reuse", to, func() (vfs.File, error) { return fs.FS.ReuseForWrite(from, to, c) })
}

func (fs guardFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.open("open", name, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, opts...) })
}

// OpenDir matters because a directory is synced through its file.
func (fs guardFS) OpenDir(name string) (vfs.File, error) {
	file, err := fs.FS.OpenDir(name)
	fs.fuse.hold("open", name, err)
	return guardFile{File: file, fuse: fs.fuse, name: name}, nil
}

// Remove takes a manifest's notes along.
func (fs guardFS) Remove(name string) error {
	if strings.HasPrefix(fs.PathBase(name), manifestPrefix) {
		if err := fs.FS.Remove(notesOf(fs, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return fs.FS.Remove(name)
}

func (fs guardFS) Rename(from, to string) error {
	return fs.change("rename to", to, func() error { return fs.FS.Rename(from, to) })
}

// Link may be unsupported, as on some network file systems: Pebble copies then.
func (fs guardFS) Link(from, to string) error {
	var unsupported bool
	err := fs.change("link to", to, func() error {
		err := fs.FS.Link(from, to)
		unsupported = errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission)
		if unsupported {
			return nil
		}
		return err
	})
	if unsupported {
		return vfs.ErrUnsupported
	}
	return err
}

func (f guardFile) Write(p []byte) (int, error) {
	f.pace.step()
	return f.write(p, func(rest []byte, _ int) (int, error) { return f.File.Write(rest) })
}

func (f guardFile) WriteAt(p []byte, offset int64) (int, error) {
	return f.write(p, func(rest []byte, done int) (int, error) { return f.File.WriteAt(rest, offset+int64(done)) })
}

// write goes on behind what a full disk has still taken.
func (f guardFile) write(p []byte, write func(rest []byte, done int) (int, error)) (done int, _ error) {
	f.fuse.hold("write", f.name, f.fuse.full.retry(func() error {
		f.fuse.whole()
		n, err := write(p[done:], done)
		done += n
		return err
	}))
	return done, nil
}

func (f guardFile) Sync() error {
	f.fuse.whole()
	f.fuse.hold("sync", f.name, f.File.Sync())
	return nil
}

func (f guardFile) SyncData() error {
	f.fuse.whole()
	f.fuse.hold("sync", f.name, f.File.SyncData())
	return nil
}

func (f guardFile) SyncTo(length int64) (bool, error) {
	f.fuse.whole()
	full, err := f.File.SyncTo(length)
	f.fuse.hold("sync", f.name, err)
	return full, nil
}

// Preallocate may be unsupported; what it couldn't reserve, a write will miss. A write-ahead log becomes as long as what is reserved:
// a sync that needn't record a new length takes a third less. What follows its last record reads as zeros, which Pebble takes for
// the end of the log; other files must be as long as what was written.
func (f guardFile) Preallocate(offset, length int64) error {
	f.fuse.whole()
	if filepath.Ext(f.name) == ".log" {
		return extend(f.File, offset, length)
	}
	return f.File.Preallocate(offset, length)
}

// Close may be where a file system tells of a write that failed.
func (f guardFile) Close() error {
	err := f.File.Close()
	f.fuse.hold("close", f.name, err)
	return nil
}
