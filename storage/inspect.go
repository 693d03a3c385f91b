package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
)

// Description is what Inspect finds in a data directory.
type Description struct {
	Identity  Identity
	DiskBytes uint64
	Groups    []GroupDescription // by name
}

// GroupDescription is what is stored of one group. With an empty log, First is Last+1.
type GroupDescription struct {
	Name       string
	HardState  raft.HardState
	Compacted  raft.EntryID
	First      raft.Index
	Last       raft.EntryID // the compacted entry if there are no others
	LogBytes   uint64       // data of the entries
	Applied    raft.Index
	StateKeys  uint64
	StateBytes uint64 // keys and values
	Damage     error  // wraps ErrDamaged; the other fields then say what could be read before it
}

// Inspect reads all of a data directory and changes nothing in it. The node must not be running (ErrInUse). Damage to a group is
// part of its description; an error says that the directory as a whole couldn't be read.
func Inspect(dir string, opts Options) (Description, error) {
	fs := opts.FS
	if fs == nil {
		fs = vfs.Default
	}
	exists, err := pebbleExists(dir, fs)
	if err != nil {
		return Description{}, err
	}
	if !exists {
		return Description{}, refuse(ErrForeign, dir, "it holds no store", "name the data directory of a node")
	}
	lock, err := lockDirectory(dir, fs)
	if err != nil {
		return Description{}, err
	}
	db, err := openReadOnly(dir, fs, lock)
	if err != nil {
		return Description{}, errors.Join(err, lock.Close())
	}
	d, err := describe(dir, db)
	err = errors.Join(err, checkLogEnds(fs, dir))
	return d, errors.Join(err, db.Close(), lock.Close())
}

func describe(dir string, db *pebble.DB) (d Description, err error) {
	if d.Identity, err = readIdentity(dir, db); err != nil {
		return Description{}, fmt.Errorf("inspect %s: %w", dir, err)
	}
	d.DiskBytes = db.Metrics().DiskSpaceUsage()
	names, err := listGroups(dir, db)
	if err != nil {
		return Description{}, err
	}
	for _, name := range names {
		d.Groups = append(d.Groups, describeGroup(db, name))
	}
	return d, nil
}

func describeGroup(db *pebble.DB, name string) GroupDescription {
	g := GroupDescription{Name: name}
	records, recordsErr := loadRecords(db, name)
	g.HardState, g.Compacted, g.Applied = records.HardState, records.Compacted, records.Applied
	g.First, g.Last = g.Compacted.Index+1, g.Compacted
	logErr := eachEntry(db, name, g.Compacted.Index, func(e raft.Entry) {
		g.Last = raft.EntryID{Index: e.Index, Term: e.Term}
		g.LogBytes += uint64(len(e.Data))
	})
	g.Damage = errors.Join(recordsErr, logErr, g.countState(db))
	if g.Damage == nil {
		g.Damage = checkLoaded(name, &records, g.Last.Index)
	}
	return g
}

func (g *GroupDescription) countState(db *pebble.DB) error {
	prefix := groupPrefix(g.Name)
	slot, err := loadSlot(db, g.Name, prefix)
	if err != nil {
		return err
	}
	bounds := kindRange(prefix, slot)
	bounds.LowerBound = append(bounds.LowerBound, 0) // past the as-of record
	it, err := db.NewIter(bounds)
	if err != nil {
		return damagedRecord(g.Name, "state", err)
	}
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(damagedRecord(g.Name, "state", err), it.Close())
		}
		g.StateKeys++
		g.StateBytes += uint64(len(it.Key()) - len(prefix) - 1 + len(value))
	}
	if err := it.Close(); err != nil {
		return damagedRecord(g.Name, "state", err)
	}
	return nil
}
