package storage

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Unless the host says otherwise, a twentieth of the file system is kept for finishing what has begun, and at most this much.
const (
	reserveBytesMax = 512 << 20
	reservePart     = 20
)

// fullDiskRetryEvery is how often a change that found no space is tried again.
const fullDiskRetryEvery = 200 * time.Millisecond

// Space is what the file system of the data directory has left.
type Space struct {
	FreeBytes    uint64 // for this process; zero if the file system doesn't say
	ReserveBytes uint64 // what should stay free
	Low          bool   // less than the reserve is free: take no new work, finish what has begun
	Waiting      bool   // a change found no space and waits for some; Low, too
}

// Space asks the file system. It is for once a second, not for once a commit.
func (s *Store) Space() Space {
	space := Space{ReserveBytes: s.reserve, Waiting: s.fuse.full.waiting.Load() > 0}
	if usage, err := s.fs.GetDiskUsage(s.dir); err == nil {
		space.FreeBytes = usage.AvailBytes
		if s.reserve == 0 {
			space.ReserveBytes = min(reserveBytesMax, usage.TotalBytes/reservePart)
		}
		space.Low = space.FreeBytes < space.ReserveBytes
	}
	space.Low = space.Low || space.Waiting
	return space
}

// DontWait makes a full disk as fatal as a broken one from now on: for a host that is about to end, whoever waits.
func (s *Store) DontWait() { s.fuse.full.stop() }

// noSpace says of an error that there was no room for a change: on the file system, in its owner's quota, or in what the process may
// write (RLIMIT_FSIZE). An operator makes room in each of these cases, and none of them has lost anything.
func noSpace(err error) bool {
	return vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// fullDisk holds back what finds no space. It is patient only between Open and DontWait.
type fullDisk struct {
	patient atomic.Bool
	ended   chan struct{} // closed when patience ends
	waiting atomic.Int32
	tell    func(waiting bool)
}

func (d *fullDisk) stop() {
	if d.patient.Swap(false) {
		close(d.ended)
	}
}

// retry repeats a change that failed because the disk is full until it succeeds, or fails otherwise. That is as safe as the first
// try: what finds no space has changed nothing and lost nothing, other than a sync, which is never repeated. To all others it looks as if
// the disk stood still.
func (d *fullDisk) retry(change func() error) error {
	err := change()
	if !noSpace(err) || !d.patient.Load() {
		return err
	}
	if d.waiting.Add(1) == 1 {
		d.tell(true)
	}
	defer func() {
		if d.waiting.Add(-1) == 0 && err == nil {
			d.tell(false)
		}
	}()
	timer := time.NewTimer(fullDiskRetryEvery)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.ended:
			return err
		}
		if err = change(); !noSpace(err) {
			return err
		}
		timer.Reset(fullDiskRetryEvery)
	}
}
