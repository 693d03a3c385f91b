package storage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// asidePrefix begins the names of the directories in which damaged stores are kept, for whoever wants to look.
const asidePrefix = "damaged-"

// SetAside moves the store out of the way after Open, Load or a Reader said ErrDamaged, into a directory within dir that it
// returns. The next Open makes an empty one, whose groups have State.Lost: they neither vote nor campaign until they have got from the
// other members whatever may have been lost; those that were retired stay so. The caller must know that there are enough of those. It can be repeated after a crash.
//
// It refuses (ErrDamaged) if the note of terms is missing or damaged too: then nothing says what this node has promised.
func SetAside(dir string, id Identity, fs vfs.FS) (aside string, err error) {
	if fs == nil {
		fs = vfs.Default
	}
	lock, err := lockDirectory(dir, fs)
	if err != nil {
		return "", err
	}
	aside, err = setAside(dir, id, fs)
	return aside, errors.Join(err, lock.Close())
}

// RetiredIn says which groups had a replica in a directory that was ended for ever. It reads the note beside the store: the store itself may be damaged.
func RetiredIn(dir string, fs vfs.FS) (map[string]bool, error) {
	if fs == nil {
		fs = vfs.Default
	}
	t, err := readTerms(fs, dir)
	if err != nil {
		return nil, err
	}
	retired := map[string]bool{}
	for group := range t.retired {
		retired[group] = true
	}
	return retired, nil
}

func setAside(dir string, id Identity, fs vfs.FS) (aside string, err error) {
	t, err := readTerms(fs, dir)
	if err != nil {
		return "", err
	}
	if err := t.refuseOutdated(); err != nil {
		return "", err
	}
	if t.owner == (Identity{}) {
		return "", fmt.Errorf("%w: %s: nothing says which terms this node has taken part in; %s", ErrDamaged, dir, toRepair)
	}
	if err := t.owner.mustBe(id, dir); err != nil {
		return "", err
	}
	// First it is certain that nobody takes what is left for whole, then files move, and the last step makes the directory usable.
	if t.damaged == "" {
		t.damaged = "set aside"
	}
	for group, term := range t.term {
		if !t.isRetired(group) {
			t.lost[group] = term
		}
	}
	if err := errors.Join(t.begin(fs, dir, id), t.close()); err != nil {
		return "", err
	}
	if aside, err = moveAside(dir, fs); err != nil {
		return aside, err
	}
	t.damaged = ""
	return aside, errors.Join(t.begin(fs, dir, id), t.close())
}

func moveAside(dir string, fs vfs.FS) (aside string, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		aside = fs.PathJoin(dir, fmt.Sprint(asidePrefix, n))
		if _, err := fs.Stat(aside); err != nil {
			break
		}
	}
	if err := fs.MkdirAll(aside, 0o700); err != nil {
		return "", err
	}
	for _, name := range names {
		if name == termsFile || name == "LOCK" || strings.HasPrefix(name, asidePrefix) {
			continue
		}
		if err := fs.Rename(fs.PathJoin(dir, name), fs.PathJoin(aside, name)); err != nil {
			return aside, fmt.Errorf("set %s aside: %w", name, err)
		}
	}
	for _, d := range []string{aside, dir} {
		f, err := fs.OpenDir(d)
		if err != nil {
			return aside, err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return aside, err
		}
	}
	return aside, nil
}
