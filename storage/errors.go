package storage

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Why a data directory is refused. Nothing was changed in it.
var (
	ErrWrongNode     = errors.New("this data directory belongs to another node")
	ErrWrongCluster  = errors.New("this data directory belongs to another cluster")
	ErrWrongFounding = errors.New("this data directory is of a cluster that began otherwise")
	ErrNewerFormat   = errors.New("this data directory was written by a newer version")
	ErrInUse         = errors.New("this data directory is in use by another process")
	ErrForeign       = errors.New("this is not a data directory of Quorate")
	ErrRestoring     = errors.New("this data directory is being restored, or that was interrupted")
	ErrOutdated      = errors.New("this data directory is older than what its node has acknowledged")
)

// What may go wrong later.
var (
	// ErrDamaged says that what is on disk can't be what was written. The group must neither vote nor acknowledge.
	ErrDamaged = errors.New("stored data is damaged")
	// ErrFatal says that a write or a sync has failed: what is on disk is no longer known. The process must end;
	// the store refuses everything from then on.
	ErrFatal = errors.New("storage has failed and this process must end")
	// ErrRetired says that the group's replica here was ended for ever (GroupUpdate.Retire).
	ErrRetired = errors.New("the replica was retired")
	// ErrClosed says that the store was used after Close.
	ErrClosed = errors.New("the store is closed")
)

// errGaveUp is a panic of Pebble, which is how it answers some damaged files.
var errGaveUp = errors.New("pebble gave up")

const toRepair = "the other members can repair it if each of its groups is on three nodes or more; otherwise rebuild the node under a new id, or restore a backup"

const toReplace = "remove the node from the cluster and add its machine under a new id, or restore a backup"

// damagedFile wraps what Pebble says about its own files; only what it calls corruption is damage of ours, and a table of another size than was
// written, which it only has words for.
func damagedFile(dir string, err error) error {
	if pebble.IsCorruptionError(err) || strings.Contains(err.Error(), "object size mismatch") {
		return fmt.Errorf("%w: in %s: %w; %s", ErrDamaged, dir, err, toRepair)
	}
	return fmt.Errorf("read %s: %w", dir, err)
}

// damagedRecord names the place of a record of ours that can't be right.
func damagedRecord(group, place string, why error) error {
	if pebble.IsCorruptionError(why) || errors.Is(why, errChecksum) || errors.Is(why, errShape) {
		return fmt.Errorf("%w: group %s, %s: %w; %s", ErrDamaged, group, place, why, toRepair)
	}
	return fmt.Errorf("read group %s, %s: %w", group, place, why)
}

// fuse remembers the first failure of the disk. Once it is blown it stays so: no call, write or sync gets past it.
type fuse struct {
	cause atomic.Pointer[error]
	blown chan struct{} // closed with the first failure
	tell  func(error)   // called once, with the first failure
	full  fullDisk      // the one trouble that passes
}

func newFuse(tell func(error), full func(waiting bool)) *fuse {
	return &fuse{blown: make(chan struct{}), tell: tell, full: fullDisk{ended: make(chan struct{}), tell: full}}
}

// err is nil while the disk can be trusted. It costs one atomic load.
func (f *fuse) err() error {
	if cause := f.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// blow keeps the first failure and returns it, whoever comes later.
func (f *fuse) blow(what string, failure error) error {
	todo := "find out why before the node is started again on this disk"
	if noSpace(failure) {
		todo = "the disk is full: free some space, then start the node again"
	}
	err := fmt.Errorf("%w: %s: %w; %s", ErrFatal, what, failure, todo)
	if f.cause.CompareAndSwap(nil, &err) {
		f.tell(err)
		close(f.blown)
	}
	return f.err()
}
