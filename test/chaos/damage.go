package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// damagedNode is the only one whose files are damaged: each of its groups is on three nodes, so that the others can repair it, and two damaged ones of three
// would have to stand still.
const damagedNode = 2

// exitDamaged is how a server ends that finds its files damaged while it runs. Whoever watches over it starts it again.
const exitDamaged = 9

// spoil damages one file of a data directory, as chance wants it, and says which and how.
func spoil(dir string, chance uint64) (what string, err error) {
	files, err := spoilable(dir)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s holds nothing to be damaged", dir)
	}
	name := files[chance%uint64(len(files))]
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	way, at := chance>>16%4, int(chance>>20%uint64(len(b)))
	if filepath.Ext(name) == ".log" {
		way = 0 // one that is gone or ends early may be one that had to go
	}
	switch way {
	case 0:
		b[at] ^= 1 << (chance >> 60 % 8)
		what = fmt.Sprintf("a bit of byte %d of %d in %s", at, len(b), name)
	case 1:
		at &^= 4095
		clear(b[at:min(at+4096, len(b))])
		what = fmt.Sprintf("zeros from byte %d of %d in %s", at, len(b), name)
	case 2:
		b, what = b[:at], fmt.Sprintf("%d bytes are left of %d of %s", at, len(b), name)
	default:
		return name + " is gone", os.Remove(path)
	}
	return what, os.WriteFile(path, b, 0o600)
}

// spoilable are the files of a node that is down in which damage must be seen. In the newest log it may look like what a crash has torn off, and without the
// note of terms nobody could say what was promised (docs/storage.md).
func spoilable(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir) // in the order of their names, which is that of their numbers
	if err != nil {
		return nil, err
	}
	newest := -1
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		name := e.Name()
		if !info.Mode().IsRegular() || info.Size() == 0 || strings.HasPrefix(name, "terms") {
			continue
		}
		if names = append(names, name); filepath.Ext(name) == ".log" {
			newest = len(names) - 1
		}
	}
	if newest >= 0 {
		names = append(names[:newest], names[newest+1:]...)
	}
	return names, nil
}

// clearAside removes the stores that a node has set aside after damage before: they are of no more use, and a disk is small.
func clearAside(dir string) error {
	aside, err := fs.Glob(os.DirFS(dir), "damaged-*")
	for _, name := range aside {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return err
}
