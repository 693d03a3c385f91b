package storage

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are the host's choices. The zero value is a good start.
type Options struct {
	FS         vfs.FS // nil: the real one
	CacheBytes int64  // for blocks of state that was read, beside the 128 MiB of memtables; zero: 64 MiB
	// MemTableBytes is how much is written before it becomes a file; zero: 64 MiB. Less makes every log entry be written twice.
	MemTableBytes int
	FileBytesMin  int          // of a checkpoint's keys and values, from which on it becomes a file of its own; zero: 256 KiB
	ReserveBytes  uint64       // Space is low when less is free; zero: a twentieth of the file system, at most 512 MiB
	Logger        *slog.Logger // nil: silent. It hears of slow disks, of Pebble's complaints and of the fatal failure

	sleep func(time.Duration) // nil: time.Sleep
}

// Store is the durable memory of one node. Commit, Checkpoint, Load, Groups, Metrics and Readers may be used from any goroutine, but
// the commits of one group must come one after another, for the order of a log is its owner's to keep, and so must its checkpoints, beside them.
type Store struct {
	dir          string
	fs           vfs.FS // the real one, for questions about space
	db           *pebble.DB
	lock         *pebble.Lock
	fuse         *fuse
	pacing       *pacing // of flushes and compactions
	reserve      uint64  // zero: by the size of the file system
	fileBytesMin int
	created      bool
	disk         Disk
	origin       string // see Identity
	terms        *terms
	meter        meter

	// using is held for reading by every call, so that Close waits for the last one.
	using  sync.RWMutex
	closed bool

	reading sync.Mutex         // guards readers
	readers map[string]*Reader // by group
	commits atomic.Uint64      // finished ones

	// turn is a lock that a failed disk can't make anybody wait for: who has put its one value in has the fields below. It is
	// held while a batch is filled and given to Pebble, not while its sync is awaited, so that commits share syncs.
	turn   chan struct{}
	groups map[string]*group // what Commit needs to know of each
	key    []byte            // scratch, as are the next two
	end    []byte
	value  []byte

	freeing sync.Mutex  // guards free, and is held for moments only: a durable commit doesn't wait for another's turn
	free    []*inFlight // used batches with their buffers

	files  atomic.Uint64         // of checkpoints that were begun …
	tables sstable.WriterOptions // … and how they are written
}

// Open creates the store of a node in dir, or opens the one that is there. It refuses a directory of another node
// (ErrWrongNode), cluster (ErrWrongCluster), program (ErrForeign) or newer version (ErrNewerFormat), and one that another
// process has open (ErrInUse), and makes none where a restore hasn't ended (ErrRestoring); a refused directory is left as it was. A store that Pebble can't read is ErrDamaged.
func Open(dir string, id Identity, opts Options) (*Store, error) {
	if id.Cluster == "" || id.Node == 0 {
		return nil, fmt.Errorf("open %s: a store needs the name of its cluster and the number of its node, got %q and %d", dir, id.Cluster, id.Node)
	}
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if err := refuseRestoring(dir, opts.FS); err != nil {
		return nil, err
	}
	if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory %s: %w", dir, err)
	}
	lock, err := lockDirectory(dir, opts.FS)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(dir, id, opts, lock)
	if err != nil && !errors.Is(err, ErrFatal) { // after a failed write the lock goes with the process, as in Close
		err = errors.Join(err, lock.Close())
	}
	return s, err
}

// RestoringSuffix ends the name of what is to become a data directory once all of a backup is in it.
const RestoringSuffix = ".restoring"

// refuseRestoring: a new directory beside a restore that was interrupted would be that of an empty cluster, which takes new accounts and payments.
func refuseRestoring(dir string, fs vfs.FS) error {
	under := fs.PathJoin(fs.PathDir(dir), fs.PathBase(dir)+RestoringSuffix)
	if _, err := fs.Stat(under); err != nil {
		return nil
	}
	if _, err := fs.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return nil // it is no new one
	}
	return refuse(ErrRestoring, dir, under+" is there", "wait until the restore has ended, or remove that directory and restore again")
}

// lockDirectory tells a held lock from one that can't even be tried: only the second is about a path.
func lockDirectory(dir string, fs vfs.FS) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	var path *os.PathError
	switch {
	case err == nil:
		return lock, nil
	case errors.As(err, &path):
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	default:
		return nil, refuse(ErrInUse, dir, err.Error(), "stop the other process first, or choose another directory")
	}
}

func openLocked(dir string, id Identity, opts Options, lock *pebble.Lock) (*Store, error) {
	terms, err := readTerms(opts.FS, dir)
	if err != nil {
		return nil, err
	}
	if terms.owner != (Identity{}) {
		if err := terms.owner.mustBe(id, dir); err != nil {
			return nil, err
		}
	}
	if err := terms.refuseOutdated(); err != nil {
		return nil, err
	}
	if terms.damaged != "" {
		return nil, fmt.Errorf("%w: %s: %s; %s", ErrDamaged, dir, terms.damaged, toRepair)
	}
	var found Identity
	var exists bool
	err = newFuse(nil, nil).run(func() (err error) { // a panic too is an answer
		found, exists, err = lookBeforeOpening(dir, opts.FS, lock)
		return err
	})
	if err = terms.contradicts(dir, exists, err); err != nil {
		return nil, err
	}
	if exists {
		if err := found.mustBe(id, dir); err != nil {
			return nil, err
		}
	}
	s := &Store{terms: terms, dir: dir, fs: opts.FS, lock: lock, pacing: newPacing(opts.sleep), reserve: opts.ReserveBytes, fileBytesMin: cmp.Or(opts.FileBytesMin, fileBytesMin), created: !exists, turn: make(chan struct{}, 1), groups: map[string]*group{}, readers: map[string]*Reader{}}
	log := newLogger(opts.Logger)
	s.fuse = newFuse(log.fatal, log.full)
	log.fuse = s.fuse
	err = s.fuse.run(func() (err error) {
		if exists && terms.disk != (Disk{}) { // from the first moment on in which damage may be found there is a note to say so in
			if err = terms.begin(guardFS{FS: s.fs, fuse: s.fuse}, dir, id); err != nil {
				return err
			}
		}
		if s.db, err = pebble.Open(dir, pebbleOptions(opts, s, log)); err != nil {
			return err
		}
		if s.created { // the first log of a new store is of Pebble's oldest format, which says nothing of what was synced
			if err = s.db.Close(); err != nil {
				return err
			}
			if s.db, err = pebble.Open(dir, pebbleOptions(opts, s, log)); err != nil {
				return err
			}
		}
		s.tables = tableOptions(opts, s.db)
		return errors.Join(s.sign(id), s.name(id), s.noteTerms(id), removeUnfinished(opts.FS, dir))
	})
	if cause := s.fuse.err(); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, errors.Join(terms.contradicts(dir, exists, damagedFile(dir, err)), s.fuse.run(s.closeFiles))
	}
	s.fuse.full.patient.Store(true)
	return s, nil
}

// noteTerms begins the note of terms with what the store says, if it hasn't begun with as much: versions before have left none.
func (s *Store) noteTerms(id Identity) error {
	names, err := listGroups(s.dir, s.db)
	if err != nil {
		return err
	}
	whole := s.terms.file != nil && s.terms.disk == s.disk
	s.terms.disk = s.disk
	for _, name := range names {
		hard, err := record(s.db, name, appendKind(nil, groupPrefix(name), kindHardState), "hard state", decodeHardState)
		if err == nil && hard.Term > s.terms.term[name] { // what is damaged is told by Load, and the note has it from earlier
			s.terms.term[name], whole = hard.Term, false
		}
	}
	if whole {
		return nil
	}
	return s.terms.begin(guardFS{FS: s.fs, fuse: s.fuse}, s.dir, id)
}

// sign writes whose store this is and of what format. One that an older version wrote is brought up to date in the same commit.
func (s *Store) sign(id Identity) error {
	key := []byte{identityKey}
	want := appendIdentity(nil, key, id)
	value, closer, err := s.db.Get(key)
	if err == nil {
		signed := bytes.Equal(value, want)
		if err := closer.Close(); err != nil || signed {
			return err
		}
	} else if !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	b := s.db.NewBatch()
	s.set(b, key, want)
	if err := s.migrate(b); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(b.Commit(pebble.Sync), b.Close())
}

// migrate puts the applied index and the membership, which format 2 had in records of their own, where the state is. What is damaged stays as it was: Load tells.
func (s *Store) migrate(b *pebble.Batch) error {
	names, err := listGroups(s.dir, s.db)
	if err != nil {
		return err
	}
	for _, name := range names {
		prefix := groupPrefix(name)
		slot, slotErr := loadSlot(s.db, name, prefix)
		at, err := loadAsOf(s.db, name, prefix)
		if slotErr != nil || err != nil || at.applied == 0 {
			continue
		}
		key := appendKind(nil, prefix, slot)
		s.set(b, key, appendAsOf(nil, key, &at))
		for _, kind := range []byte{kindApplied, kindMembers} {
			_ = b.Delete(appendKind(nil, prefix, kind), nil) // as in set
		}
	}
	return nil
}

// Created says whether this Open made a new, empty store. A node that has been a member before must not
// go on with one: its promises are lost with its disk (raft-scenarios 33).
func (s *Store) Created() bool { return s.created }

// Failed is closed with the first failed write or sync, also one in Pebble's background work that no Commit has met. The
// host must then end the process; Err says why.
func (s *Store) Failed() <-chan struct{} { return s.fuse.blown }

// Err is the first failure of the disk, wrapping ErrFatal, or nil.
func (s *Store) Err() error { return s.fuse.err() }

// Outdate notes that the directory must never be used again, and returns that as an error (ErrOutdated): another node knows of entries that this one has acknowledged
// and that aren't here, as in an older copy of a directory. What it has promised since isn't in the note of terms either, so the others can't make it whole
// again. The caller has to end the use of this store.
func (s *Store) Outdate(why error) error {
	s.terms.outdate(s.fuse, why)
	return s.terms.refuseOutdated()
}

// Close ends the use of the store and frees the directory for another process; on a full disk it fails. After a fatal failure it touches nothing
// and returns the failure: the lock goes with the process, so that nobody opens a directory that is still being written.
func (s *Store) Close() error {
	s.DontWait()
	if err := s.fuse.err(); err != nil {
		return err
	}
	s.using.Lock()
	defer s.using.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	for _, c := range s.free {
		_ = c.batch.Close() // an empty batch has nothing to lose
	}
	for _, r := range s.readers { // nobody reads any more
		_ = r.drop() // after a failed read there is nothing left of it that could fail
	}
	err := s.fuse.run(s.closeFiles)
	if cause := s.fuse.err(); cause != nil {
		return cause
	}
	return errors.Join(err, s.lock.Close())
}

func (s *Store) closeFiles() (err error) {
	if s.db != nil { // else it couldn't be opened
		err = s.db.Close()
	}
	return errors.Join(err, s.terms.close())
}

// enter begins a call; leave ends it.
func (s *Store) enter() error {
	if err := s.fuse.err(); err != nil {
		return err
	}
	s.using.RLock()
	if s.closed {
		s.using.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.using.RUnlock() }
