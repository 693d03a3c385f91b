package node_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/node"
)

var errCrashed = errors.New("this disk has crashed")

// crashDisk is a node's disk in memory, which crashes before one of the changes that reach it: what survives is what was synced
// by then, and any part of the rest. It stays with one life of the node; the next life gets what survived.
type crashDisk struct {
	mem      *vfs.MemFS
	left     atomic.Int64 // changes until the crash; below zero: it doesn't crash by itself
	strike   func()       // crashes this disk, and maybe others
	unsynced int          // percent of the unsynced blocks that survive
	rng      *rand.Rand

	mu       sync.RWMutex // held for reading by every change, for writing by the crash: a change is before it or after it
	node     *node.Node   // nil: not started yet
	crashed  bool
	survived *vfs.MemFS
	at       string // when it crashed
	done     chan struct{}
	replaced chan struct{} // closed when the next life has a disk
}

func newCrashDisk(mem *vfs.MemFS, seed uint64) *crashDisk {
	rng := rand.New(rand.NewPCG(seed, 0))
	d := &crashDisk{mem: mem, rng: rng, unsynced: []int{0, 0, 30, 50, 90, 100}[rng.IntN(6)], done: make(chan struct{}), replaced: make(chan struct{}), at: "with another"}
	d.left.Store(-1)
	return d
}

// belongsTo says whose disk it is from now on, unless it has crashed already: then the node goes on to get errors.
func (d *crashDisk) belongsTo(n *node.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.crashed {
		d.node = n
	}
}

// crash takes what survives. Nothing that the node has made durable later may be heard of: it is cut off before, and its answers
// are dropped by whoever asked (hasCrashed). A node that has not started yet gets errors instead, since nobody could cut it off.
func (d *crashDisk) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return
	}
	d.crashed = true
	if d.node != nil {
		d.node.Isolate(true)
	}
	d.survived = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.unsynced, RNG: d.rng})
	close(d.done)
}

// disarm takes back what left has ordered; false: it has crashed before that.
func (d *crashDisk) disarm() bool {
	if d.left.Swap(-1) > 0 {
		return true
	}
	<-d.done
	return false
}

func (d *crashDisk) hasCrashed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.crashed
}

// change makes one change, or crashes before it.
func (d *crashDisk) change(what, name string, do func() error) error {
	if d.left.Add(-1) == 0 {
		d.at = "before: " + what + " " + name
		d.strike()
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.crashed && d.node == nil {
		return errCrashed
	}
	return do()
}

func (d *crashDisk) fs() vfs.FS { return changeFS{FS: d.mem, disk: d} }

// changer is asked to make every change of a disk.
type changer interface {
	change(what, name string, do func() error) error
}

// changeFS is a disk as Pebble sees it.
type changeFS struct {
	vfs.FS
	disk changer
}

func (fs changeFS) Unwrap() vfs.FS { return fs.FS }

func (fs changeFS) open(what, name string, open func() (vfs.File, error)) (file vfs.File, err error) {
	err = fs.disk.change(what, name, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return changeFile{File: file, disk: fs.disk, name: name}, nil
}

func (fs changeFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open("create", name, func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

func (fs changeFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.open("open", name, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, opts...) })
}

func (fs changeFS) OpenDir(name string) (vfs.File, error) {
	return fs.open("open", name, func() (vfs.File, error) { return fs.FS.OpenDir(name) })
}

func (fs changeFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open("reuse", to, func() (vfs.File, error) { return fs.FS.ReuseForWrite(from, to, c) })
}

func (fs changeFS) Rename(from, to string) error {
	return fs.disk.change("rename", to, func() error { return fs.FS.Rename(from, to) })
}

func (fs changeFS) Link(from, to string) error {
	return fs.disk.change("link", to, func() error { return fs.FS.Link(from, to) })
}

func (fs changeFS) Remove(name string) error {
	return fs.disk.change("remove", name, func() error { return fs.FS.Remove(name) })
}

type changeFile struct {
	vfs.File
	disk changer
	name string
}

func (f changeFile) Write(p []byte) (n int, err error) {
	err = f.disk.change("write", f.name, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f changeFile) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.disk.change("write", f.name, func() (err error) {
		n, err = f.File.WriteAt(p, offset)
		return err
	})
	return n, err
}

func (f changeFile) Sync() error { return f.disk.change("sync", f.name, f.File.Sync) }

func (f changeFile) SyncData() error { return f.disk.change("sync", f.name, f.File.SyncData) }

func (f changeFile) SyncTo(length int64) (full bool, err error) {
	err = f.disk.change("sync", f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}
