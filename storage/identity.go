package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"github.com/quorate/quorate/raft"
)

// Identity says whose data a directory holds. It is written once, when the store is created.
type Identity struct {
	Cluster string
	Node    raft.NodeID

	// Founding says how the cluster began, in words that an operator can compare. Two that differ are two clusters, or one whose configuration
	// was changed where it can't be. Empty: not known.
	Founding string

	// Origin names the backup that the directory was restored from. Empty: it began without any data. It counts only when the store is created.
	Origin string
}

var errNoIdentity = errors.New("no identity record")

// refuse is the one shape of a refusal, as the command line shows it: what; why; what to do.
func refuse(kind error, dir, why, todo string) error {
	return fmt.Errorf("%w: %s: %s; %s", kind, dir, why, todo)
}

// lookBeforeOpening reads the identity of a store that exists, without changing a byte of the directory. created is
// false if there is nothing that could be refused: no store yet, or one that crashed while it was being created.
//
// Pebble begins to write as soon as it is opened, so the look is a read-only opening of its own. It costs one more
// replay of the write-ahead log at start.
func lookBeforeOpening(dir string, fs vfs.FS, lock *pebble.Lock) (id Identity, exists bool, err error) {
	if exists, err = pebbleExists(dir, fs); err != nil || !exists {
		return Identity{}, false, err
	}
	db, err := openReadOnly(dir, fs, lock)
	if err != nil {
		return Identity{}, false, err
	}
	if err := checkLogEnds(fs, dir); err != nil {
		return Identity{}, false, errors.Join(err, db.Close())
	}
	id, err = readIdentity(dir, db)
	if errors.Is(err, errNoIdentity) {
		return Identity{}, false, db.Close()
	}
	if err == nil {
		_, id.Founding, id.Origin, err = readDisk(dir, db)
	}
	return id, true, errors.Join(err, db.Close())
}

// pebbleExists looks for Pebble's own format marker, the last thing it writes when it creates a store.
func pebbleExists(dir string, fs vfs.FS) (bool, error) {
	marker, err := atomicfs.ReadMarker(fs, dir, "format-version")
	if err != nil || marker == "" {
		return false, err
	}
	version, err := strconv.ParseUint(marker, 10, 64)
	if err == nil && version > uint64(pebble.FormatNewest) {
		return false, refuse(ErrNewerFormat, dir,
			fmt.Sprintf("its Pebble files are of format %d and this version reads up to %d", version, pebble.FormatNewest),
			"start it with the version of Quorate that wrote it, or a newer one")
	}
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return false, fmt.Errorf("look into %s: %w", dir, err)
	}
	return desc.Exists, nil
}

// readIdentity returns errNoIdentity for a store without any key: a creation that a crash cut short.
func readIdentity(dir string, db *pebble.DB) (Identity, error) {
	value, closer, err := db.Get([]byte{identityKey})
	if errors.Is(err, pebble.ErrNotFound) {
		return Identity{}, errNoIdentityUnlessForeign(dir, db)
	}
	if err != nil {
		return Identity{}, damagedFile(dir, err)
	}
	defer closer.Close()
	return decodeIdentity(dir, value)
}

func errNoIdentityUnlessForeign(dir string, db *pebble.DB) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return damagedFile(dir, err)
	}
	hasKeys := it.First()
	if err := it.Close(); err != nil {
		return damagedFile(dir, err)
	}
	if hasKeys {
		return refuse(ErrForeign, dir, "it holds a Pebble store that Quorate didn't write", "choose an empty directory")
	}
	return errNoIdentity
}

func appendIdentity(b, key []byte, id Identity) []byte {
	b = append(b, identityMagic...)
	b = binary.AppendUvarint(b, FormatVersion)
	b = binary.AppendUvarint(b, uint64(id.Node))
	b = binary.AppendUvarint(b, uint64(len(id.Cluster)))
	return seal(key, append(b, id.Cluster...))
}

// decodeIdentity judges the format version before anything else, the checksum included: it must recognise
// formats that don't exist yet.
func decodeIdentity(dir string, value []byte) (Identity, error) {
	rest, ok := bytes.CutPrefix(value, []byte(identityMagic))
	if !ok {
		return Identity{}, refuse(ErrForeign, dir, "it holds a Pebble store that Quorate didn't write", "choose an empty directory")
	}
	format, _, err := cutUvarint(rest)
	if err == nil && format > FormatVersion {
		return Identity{}, refuse(ErrNewerFormat, dir,
			fmt.Sprintf("it is of format %d and this version reads up to %d", format, FormatVersion),
			"start it with the version of Quorate that wrote it, or a newer one")
	}
	id, err := cutIdentity(value)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: the identity record in %s: %w; %s", ErrDamaged, dir, err, toRepair)
	}
	return id, nil
}

func cutIdentity(value []byte) (Identity, error) {
	body, err := unseal([]byte{identityKey}, value)
	if err != nil {
		return Identity{}, err
	}
	format, rest, err := cutUvarint(body[len(identityMagic):])
	if err != nil || format == 0 {
		return Identity{}, errShape
	}
	node, rest, err := cutUvarint(rest)
	if err != nil {
		return Identity{}, err
	}
	length, rest, err := cutUvarint(rest)
	if err != nil || length != uint64(len(rest)) {
		return Identity{}, errShape
	}
	return Identity{Cluster: string(rest), Node: raft.NodeID(node)}, nil
}

// mustBe refuses a directory that belongs to somebody else.
func (id Identity) mustBe(want Identity, dir string) error {
	if id.Cluster != want.Cluster {
		return refuse(ErrWrongCluster, dir,
			fmt.Sprintf("it belongs to cluster %q and this node is of cluster %q", id.Cluster, want.Cluster),
			"point this node to its own data directory")
	}
	if id.Node != want.Node {
		return refuse(ErrWrongNode, dir,
			fmt.Sprintf("it belongs to node %d and this is node %d", id.Node, want.Node),
			"point this node to its own data directory; a copied directory must never be started under another id")
	}
	if id.Founding != "" && want.Founding != "" && id.Founding != want.Founding {
		return refuse(ErrWrongFounding, dir,
			fmt.Sprintf("its cluster began with %s, and the configuration says %s", id.Founding, want.Founding),
			"put the file back as it was when the cluster began; what has changed since is changed with quorate cluster, and a bank is added by restoring a backup into a cluster that has it. "+
				"A node that the others never let in begins anew with an empty directory")
	}
	return nil
}
