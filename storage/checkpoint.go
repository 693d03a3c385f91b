package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// Checkpoint is what a group's machine has changed since the last one. Store.Checkpoint keeps none of its slices.
type Checkpoint struct {
	Group      string
	Applied    raft.Index // that the state then reflects
	State      [][]KV     // in pieces, however cut
	Membership []byte     // who counts as of Applied, as raft encodes it; nil: unchanged
}

// unfinishedPrefix begins the names of files that are being written and that nothing refers to yet.
const unfinishedPrefix = "checkpoint-"

// Checkpoint makes a checkpoint durable as a whole, beside commits, also of the same group. The log must be durable up to Applied. done is false if the checkpoint was
// overtaken: a snapshot was installed since, or the replica retired. Of one group there may be one at a time.
//
// A large one is work for as long as a hundred milliseconds. rest is called between its parts with how long the last one took, and may sleep; nil: no rest.
//
// Errors are as Commit's.
func (s *Store) Checkpoint(c *Checkpoint, rest func(worked time.Duration)) (done bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	size := 0
	for _, piece := range c.State {
		for i := range piece {
			size += len(piece[i].Key) + len(piece[i].Value)
		}
	}
	if size < s.fileBytesMin {
		return s.commitCheckpoint(c)
	}
	f, err := s.beginFiles(c)
	if err != nil {
		return false, s.fuse.blow("checkpoint", err)
	}
	if f == nil {
		return false, nil
	}
	f.rest = rest
	err = s.fuse.run(func() error { return f.write(s, c) })
	if err == nil {
		done, err = s.ingest(f, c)
	}
	if err = errors.Join(err, s.fuse.err()); err != nil {
		return false, s.fuse.blow("checkpoint", err)
	}
	if done {
		s.committed()
		s.meter.checkpointed(size)
	}
	return done, nil
}

// overtaken says whether the group has gone past a checkpoint. The caller has the turn.
func (g *group) overtaken(c *Checkpoint) bool { return g.retired || c.Applied <= g.asOf.applied }

// commitCheckpoint is for a small one.
func (s *Store) commitCheckpoint(c *Checkpoint) (done bool, err error) {
	err = s.commit([]GroupUpdate{{Group: c.Group, State: slices.Concat(c.State...), Applied: c.Applied, Membership: c.Membership}}, func(g *group) bool {
		done = !g.overtaken(c)
		return done
	})
	return done && err == nil, err
}

// files are sorted files that become a part of the store together, or never.
type files struct {
	paths []string
	at    asOf
	slot  byte
	key   []byte // scratch
	from  int    // where a record's own key begins in it

	rest   func(worked time.Duration)
	rested time.Time // when the last rest ended
}

// beginFiles looks where the state is; nil: the checkpoint is overtaken already.
func (s *Store) beginFiles(c *Checkpoint) (*files, error) {
	if err := s.takeTurn(); err != nil {
		return nil, err
	}
	defer s.endTurn()
	defer s.unlessBroken()
	g, err := s.group(c.Group)
	if err != nil {
		return nil, err
	}
	if g.overtaken(c) {
		return nil, nil
	}
	f := &files{slot: g.slot, at: asOf{c.Applied, g.asOf.members}}
	if c.Membership != nil {
		f.at.members = c.Membership
	}
	f.key = appendKind(nil, g.prefix, g.slot)
	f.from = len(f.key)
	return f, nil
}

// write writes the records in their order and syncs them. Errors of the disk don't come back (guardFS).
func (f *files) write(s *Store, c *Checkpoint) error {
	f.rested = time.Now()
	records := sorter{state: c.State, pause: f.pause}
	for i, places := range records.parts(s.fileBytesMin / partsMost) {
		f.paths = append(f.paths, s.fs.PathJoin(s.dir, fmt.Sprint(unfinishedPrefix, s.files.Add(1))))
		w, err := f.begin(s)
		if err != nil {
			return err
		}
		if i == 0 {
			err = w.Set(f.key, appendAsOf(nil, f.key, &f.at))
		}
		if err = errors.Join(err, f.writePart(w, &records, places), w.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (f *files) begin(s *Store) (*sstable.Writer, error) {
	guarded := guardFS{FS: s.fs, fuse: s.fuse}
	to, err := guarded.Create(f.paths[len(f.paths)-1], vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	to = vfs.NewSyncingFile(to, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	return sstable.NewWriter(objstorageprovider.NewFileWritable(to), s.tables), nil
}

func (f *files) writePart(w *sstable.Writer, records *sorter, places []position) (err error) {
	for i := 0; i < len(places) && err == nil; i++ {
		if i%restEvery == 0 {
			f.pause()
		}
		kv := records.record(&places[i])
		key := append(f.key[:f.from], kv.Key...)
		if kv.Value == nil {
			err = w.Delete(key)
		} else {
			err = w.Set(key, kv.Value)
		}
		f.key = key[:f.from]
	}
	return err
}

// restEvery is how many records are written between two rests: a fraction of a millisecond's work.
const restEvery = 1 << 8

func (f *files) pause() {
	if f.rest != nil {
		f.rest(time.Since(f.rested))
		f.rested = time.Now()
	}
}

// ingest makes the files a part of the store. Until that is durable no installation and no retirement of the group comes between; other commits go on.
func (s *Store) ingest(f *files, c *Checkpoint) (done bool, err error) {
	g, err := s.beginIngest(f, c)
	if err != nil || g == nil {
		return false, err
	}
	if err := s.fuse.run(func() error { return s.db.Ingest(context.Background(), f.paths) }); err != nil {
		return false, err
	}
	if err := s.takeTurn(); err != nil {
		return false, err
	}
	defer s.endTurn()
	g.advance(c.Applied, c.Membership)
	close(g.ingesting)
	g.ingesting = nil
	return true, nil
}

// beginIngest returns nil if the checkpoint is overtaken.
func (s *Store) beginIngest(f *files, c *Checkpoint) (*group, error) {
	if err := s.takeTurn(); err != nil {
		return nil, err
	}
	defer s.endTurn()
	defer s.unlessBroken()
	g := s.groups[c.Group]
	if g.overtaken(c) {
		for _, path := range f.paths {
			_ = s.fs.Remove(path) // else the next Open does
		}
		return nil, nil
	}
	invariant.Holds(g.slot == f.slot, "group %s: a checkpoint of %d for slot %d, the state of %d is in slot %d", c.Group, c.Applied, f.slot, g.asOf.applied, g.slot)
	if c.Applied > g.last {
		invariant.Fail("group %s: a checkpoint of %d, the log ends at %d", c.Group, c.Applied, g.last)
	}
	g.ingesting = make(chan struct{})
	return g, nil
}

// tableOptions are those of the files that Pebble itself would write.
func tableOptions(opts Options, db *pebble.DB) sstable.WriterOptions {
	o := formatOptions(opts)
	o.EnsureDefaults()
	return o.MakeWriterOptions(0, db.TableFormat())
}

// removeUnfinished removes what a crash has left of files that were being written, and notes of manifests that are gone.
func removeUnfinished(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		manifest, notes := strings.CutPrefix(name, notesPrefix)
		if strings.HasPrefix(name, unfinishedPrefix) || notes && !slices.Contains(names, manifest) {
			err = errors.Join(err, fs.Remove(fs.PathJoin(dir, name)))
		}
	}
	return err
}
