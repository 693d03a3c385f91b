package storage

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	State      []KV
	Membership []byte // who counts as of Applied, as raft encodes it; nil: unchanged
}

// unfinishedPrefix begins the names of files that are being written and that nothing refers to yet.
const unfinishedPrefix = "checkpoint-"

// Checkpoint makes a checkpoint durable as a whole, beside commits, also of the same group. The log must be durable up to Applied. done is false if the checkpoint was
// overtaken: a snapshot was installed since, or the replica retired. Of one group there may be one at a time.
//
// Errors are as Commit's.
func (s *Store) Checkpoint(c *Checkpoint) (done bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	size := 0
	for i := range c.State {
		size += len(c.State[i].Key) + len(c.State[i].Value)
	}
	if size < s.fileBytesMin {
		return s.commitCheckpoint(c)
	}
	f, err := s.beginFile(c)
	if err != nil || f == nil {
		return false, err
	}
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
	err = s.commit([]GroupUpdate{{Group: c.Group, State: c.State, Applied: c.Applied, Membership: c.Membership}}, func(g *group) bool {
		done = !g.overtaken(c)
		return done
	})
	return done, err
}

// file is a sorted file that becomes a part of the store at once, or never.
type file struct {
	path string
	at   asOf
	slot byte
	key  []byte // scratch
	from int    // where a record's own key begins in it
}

// beginFile looks where the state is; nil: the checkpoint is overtaken already.
func (s *Store) beginFile(c *Checkpoint) (*file, error) {
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
	s.files++
	f := &file{path: s.fs.PathJoin(s.dir, fmt.Sprint(unfinishedPrefix, s.files)), slot: g.slot, at: asOf{c.Applied, g.asOf.members}}
	if c.Membership != nil {
		f.at.members = c.Membership
	}
	f.key = appendKind(nil, g.prefix, g.slot)
	f.from = len(f.key)
	return f, nil
}

// write writes the records in their order and syncs them. Errors of the disk don't come back (guardFS).
func (f *file) write(s *Store, c *Checkpoint) error {
	guarded := guardFS{FS: s.fs, fuse: s.fuse}
	to, err := guarded.Create(f.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	to = vfs.NewSyncingFile(to, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(to), s.tables)
	if err := w.Set(f.key, appendAsOf(nil, f.key, &f.at)); err != nil {
		return errors.Join(err, w.Close())
	}
	for _, i := range inOrder(c.State) {
		kv := &c.State[i]
		f.key = append(f.key[:f.from], kv.Key...)
		if kv.Value == nil {
			err = w.Delete(f.key)
		} else {
			err = w.Set(f.key, kv.Value)
		}
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

// inOrder lists the places of the last change of each key, by key.
func inOrder(state []KV) []int32 {
	places := make([]int32, len(state))
	for i := range places {
		if len(state[i].Key) == 0 {
			invariant.Fail("a machine's state has an empty key")
		}
		places[i] = int32(i)
	}
	slices.SortFunc(places, func(a, b int32) int {
		return cmp.Or(bytes.Compare(state[a].Key, state[b].Key), cmp.Compare(b, a))
	})
	return slices.CompactFunc(places, func(a, b int32) bool { return bytes.Equal(state[a].Key, state[b].Key) })
}

// ingest makes the file a part of the store. It has the turn until that is durable, so that no installation comes between: later commits wait for it, as they would
// inside Pebble; those that were handed over before go on.
func (s *Store) ingest(f *file, c *Checkpoint) (done bool, err error) {
	if err := s.takeTurn(); err != nil {
		return false, err
	}
	defer s.endTurn()
	defer s.unlessBroken()
	g := s.groups[c.Group]
	if g.overtaken(c) || g.slot != f.slot {
		_ = s.fs.Remove(f.path) // else the next Open does
		return false, nil
	}
	if c.Applied > g.last {
		invariant.Fail("group %s: a checkpoint of %d, the log ends at %d", c.Group, c.Applied, g.last)
	}
	if err := s.fuse.run(func() error { return s.db.Ingest(context.Background(), []string{f.path}) }); err != nil {
		return false, err
	}
	g.advance(c.Applied, c.Membership)
	return true, nil
}

// tableOptions are those of the files that Pebble itself would write.
func tableOptions(opts Options, db *pebble.DB) sstable.WriterOptions {
	o := formatOptions(opts)
	o.EnsureDefaults()
	return o.MakeWriterOptions(0, db.TableFormat())
}

// removeUnfinished removes what a crash has left of files that were being written.
func removeUnfinished(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, unfinishedPrefix) {
			err = errors.Join(err, fs.Remove(fs.PathJoin(dir, name)))
		}
	}
	return err
}
