package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/storage"
)

// Target is one node of the new cluster.
type Target struct {
	Dir          string // its data directory, which doesn't exist yet
	Identity     storage.Identity
	Coordinators int               // groups of the new cluster
	Members      map[string][]byte // who holds each group of the new cluster, as raft encodes it
	Here         func(string) bool // whether the node holds a replica of a group
}

// Restore makes the data directory of one node. Every node of the new cluster is restored from the same backup before the first is started.
func Restore(dir string, t Target) (*Manifest, error) {
	m, err := Open(dir)
	if err != nil {
		return nil, err
	}
	if err := m.fits(&t); err != nil {
		return nil, err
	}
	to := filepath.Clean(t.Dir)
	if _, err := os.Lstat(to); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrExists, to)
	}
	under := to + storage.RestoringSuffix
	if _, err := os.Lstat(under); err == nil {
		return nil, fmt.Errorf("%w: %s, of a restore that was interrupted or is under way", ErrExists, under)
	}
	if err := m.fill(dir, under, &t); err != nil {
		return nil, errors.Join(err, os.RemoveAll(under))
	}
	if err := moveInto(under, to); err != nil {
		return nil, fmt.Errorf("name the data directory: %w", err)
	}
	return m, nil
}

// fits refuses a cluster that would lose something of the backup, or could be mistaken for the one that was saved.
func (m *Manifest) fits(t *Target) error {
	if t.Identity.Cluster == m.Cluster {
		return fmt.Errorf("%w: both have the name %s, and their nodes could talk to each other", ErrMismatch, m.Cluster)
	}
	if t.Coordinators != m.Coordinators {
		return fmt.Errorf("%w: it has %d coordinator groups and the backup %d; each transfer belongs to one of them", ErrMismatch, t.Coordinators, m.Coordinators)
	}
	for i := range m.Groups {
		if t.Members[m.Groups[i].Group] == nil {
			return fmt.Errorf("%w: no node of it holds %s", ErrMismatch, m.Groups[i].Group)
		}
	}
	return nil
}

func (m *Manifest) fill(from, to string, t *Target) error {
	id := t.Identity
	id.Origin = m.Name()
	store, err := storage.Open(to, id, storage.Options{})
	if err != nil {
		return err
	}
	for i := range m.Groups {
		g := &m.Groups[i]
		if !t.Here(g.Group) {
			continue
		}
		if err := g.install(from, store, t.Members[g.Group]); err != nil {
			return errors.Join(err, store.Close())
		}
	}
	return store.Close()
}

// install writes a group as if another member had sent it.
func (g *Group) install(from string, store *storage.Store, members []byte) error {
	if _, err := store.Load(g.Group); err != nil {
		return err
	}
	anew := true
	err := g.read(from, func(records []replica.KV) error {
		kvs := make([]storage.KV, len(records))
		for i := range records {
			kvs[i] = storage.KV(records[i])
		}
		update := storage.GroupUpdate{Group: g.Group, Stage: kvs, StageAnew: anew}
		anew = false
		return store.Commit([]storage.GroupUpdate{update})
	})
	if err != nil {
		return err
	}
	last := raft.EntryID{Index: raft.Index(g.Index), Term: raft.Term(g.Term)}
	return store.Commit([]storage.GroupUpdate{{
		Group: g.Group, Install: true, Applied: last.Index, Compact: last, Membership: slices.Clone(members),
		HardState: &raft.HardState{Term: last.Term, Commit: last.Index, Accepted: last.Term},
	}})
}
