package storage

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
)

// terms is a small file beside the store, for the day on which the store can't be read: in which terms this node may have promised
// something, by group. With that it can say from when on it may promise again, once it has got the groups' data from the others. It
// is written, synced, before a commit that brings a new term, so once an election; what it says may be ahead of the store, never behind.
//
// The file is lines of text. Each ends in the CRC-32C of itself and of all lines before, in hexadecimal, so that no line
// can change or go unnoticed; and each is written twice, so that the last can't either. A line that a crash has cut off was never relied on.
//
//	quorate-terms 1 "cluster" node     the first: format, identity
//	disk "0f1e…" 0                     the name of the directory (diskid.go), in hexadecimal
//	met "2d3c…" 2                      the name of the directory from which node 2 has spoken to this one
//	term "group" 7                     a commit of this term is on its way
//	lost "group" 7                     what was promised up to this term is lost
//	retired "group" 7                  the replica, last in this term, was ended for ever
//	damaged "why"                      the store must not be used any more
//	outdated "why"                     neither must this file: both are older than what the node has promised
type terms struct {
	path string

	mu      sync.Mutex // guards the rest
	owner   Identity   // zero: there is no file yet
	disk    Disk       // zero: not known yet
	met     map[raft.NodeID]Disk
	term    map[string]raft.Term
	lost    map[string]raft.Term
	retired map[string]raft.Term
	damaged string // why; "": it isn't
	older   string // why; "": it isn't, as far as is known
	file    vfs.File
	sum     uint32
}

const (
	termsFile   = "terms"
	termsFormat = 1
)

// readTerms reads the file and changes nothing.
func readTerms(fs vfs.FS, dir string) (*terms, error) {
	t := &terms{path: fs.PathJoin(dir, termsFile), met: map[raft.NodeID]Disk{}, term: map[string]raft.Term{}, lost: map[string]raft.Term{}, retired: map[string]raft.Term{}}
	text, err := readFile(fs, t.path)
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	return t, t.parse(text)
}

// parse takes lines in pairs: one of the two is enough. The last pair may have been cut off by a crash, and then ends in the middle of a line.
func (t *terms) parse(text []byte) error {
	lines := bytes.Split(text, []byte("\n"))
	for n := 0; n < len(lines)-1; n += 2 {
		body, ok := t.agreed(lines[n], lines[min(n+1, len(lines)-1)])
		if !ok && n+2 >= len(lines)-1 && !bytes.HasSuffix(text, []byte("\n")) {
			return nil
		}
		err := errChecksum
		if ok {
			err = t.take(string(body))
		}
		if err != nil {
			return fmt.Errorf("%w: %s, line %d: %w; %s", ErrDamaged, t.path, n+1, err, toRepair)
		}
	}
	return nil
}

// agreed is what a pair of lines says, if at least one of them is right, and moves the sum on behind both.
func (t *terms) agreed(first, second []byte) (body []byte, ok bool) {
	for i, line := range [][]byte{first, second} {
		at := max(0, bytes.LastIndexByte(line, ' '))
		sum := crc32.Update(t.sum, castagnoli, line[:at])
		behind := crc32.Update(sum, castagnoli, line[:at])
		if want := [2]uint32{sum, behind}[i]; fmt.Sprintf(" %08x", want) == string(line[at:]) {
			t.sum = behind
			return line[:at], true
		}
	}
	return nil, false
}

func (t *terms) take(body string) error {
	kind, rest, _ := strings.Cut(body, " ")
	quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(rest, fmt.Sprint(termsFormat, " ")))
	if err != nil {
		return errShape
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return errShape
	}
	switch kind {
	case "damaged":
		t.damaged = name
		return nil
	case "outdated":
		t.older = name
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(rest[strings.Index(rest, quoted)+len(quoted):], " "), 10, 64)
	if err != nil {
		return errShape
	}
	switch kind {
	case "quorate-terms":
		t.owner = Identity{Cluster: name, Node: raft.NodeID(n)}
	case "disk":
		t.disk, err = parseDisk(name)
		return err
	case "met":
		t.met[raft.NodeID(n)], err = parseDisk(name)
		return err
	case "term":
		t.term[name] = max(t.term[name], raft.Term(n))
	case "lost":
		t.lost[name] = max(t.lost[name], raft.Term(n))
	case "retired":
		t.retired[name] = max(t.retired[name], raft.Term(n))
	default:
		return errShape
	}
	return nil
}

// begin writes the file anew, as short as it can be, and leaves it open. fs is the guarded one.
func (t *terms) begin(fs vfs.FS, dir string, id Identity) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owner, t.sum = id, 0
	fresh := t.path + ".new"
	f, err := fs.Create(fresh, vfs.WriteCategoryUnspecified)
	if err = errors.Join(err, t.close()); err != nil {
		return err
	}
	t.file = f
	lines := []string{fmt.Sprintf("quorate-terms %d %q %d", termsFormat, id.Cluster, id.Node)}
	if t.disk != (Disk{}) {
		lines = append(lines, fmt.Sprintf("disk %q 0", hex.EncodeToString(t.disk[:])))
	}
	for _, node := range slices.Sorted(maps.Keys(t.met)) {
		lines = append(lines, metLine(node, t.met[node]))
	}
	for _, group := range slices.Sorted(maps.Keys(t.term)) {
		lines = append(lines, termLine(group, t.term[group]))
	}
	for _, group := range slices.Sorted(maps.Keys(t.lost)) {
		lines = append(lines, fmt.Sprintf("lost %q %d", group, t.lost[group]))
	}
	for _, group := range slices.Sorted(maps.Keys(t.retired)) {
		lines = append(lines, retiredLine(group, t.retired[group]))
	}
	if t.damaged != "" {
		lines = append(lines, fmt.Sprintf("damaged %q", t.damaged))
	}
	if t.older != "" {
		lines = append(lines, outdatedLine(t.older))
	}
	if err := t.write(lines...); err != nil {
		return err
	}
	if err := fs.Rename(fresh, t.path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func metLine(node raft.NodeID, disk Disk) string {
	return fmt.Sprintf("met %q %d", hex.EncodeToString(disk[:]), node)
}

func termLine(group string, term raft.Term) string { return fmt.Sprintf("term %q %d", group, term) }

func retiredLine(group string, term raft.Term) string {
	return fmt.Sprintf("retired %q %d", group, term)
}

func outdatedLine(why string) string { return fmt.Sprintf("outdated %q", why) }

// write appends and syncs.
func (t *terms) write(lines ...string) error {
	var b []byte
	for _, line := range lines {
		for range 2 {
			t.sum = crc32.Update(t.sum, castagnoli, []byte(line))
			b = fmt.Appendf(append(b, line...), " %08x\n", t.sum)
		}
	}
	if _, err := t.file.Write(b); err != nil {
		return err
	}
	return t.file.Sync()
}

// raise notes the terms that the updates bring, and the replicas that they end. It usually has nothing to do.
func (t *terms) raise(f *fuse, updates []GroupUpdate) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for i := range updates {
		u := &updates[i]
		if u.HardState != nil && u.HardState.Term > t.term[u.Group] {
			t.term[u.Group] = u.HardState.Term
			lines = append(lines, termLine(u.Group, u.HardState.Term))
		}
		if _, known := t.retired[u.Group]; u.Retire && !known {
			t.retired[u.Group] = t.term[u.Group]
			lines = append(lines, retiredLine(u.Group, t.term[u.Group]))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return f.run(func() error { return t.write(lines...) })
}

// meet notes which directory another node has. It has something to do once for each node.
func (t *terms) meet(f *fuse, node raft.NodeID, disk Disk) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, met := t.met[node]; met && known == disk {
		return nil
	}
	if err := f.run(func() error { return t.write(metLine(node, disk)) }); err != nil {
		return err
	}
	t.met[node] = disk
	return nil
}

// condemn notes that the store must not be used any more: the next Open refuses it.
func (t *terms) condemn(f *fuse, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.damaged != "" {
		return
	}
	t.damaged = why.Error()
	if t.file != nil { // else begin writes it
		_ = f.run(func() error { return t.write(fmt.Sprintf("damaged %q", t.damaged)) }) // the damage itself is worse
	}
}

// outdate notes that another node knows better than store and note together.
func (t *terms) outdate(f *fuse, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.older = why.Error()
	_ = f.run(func() error { return t.write(outdatedLine(t.older)) }) // the process ends in any case, and the next one is told again
}

// refuseOutdated is nil unless outdate was called, in this process or before.
func (t *terms) refuseOutdated() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.older == "" {
		return nil
	}
	return refuse(ErrOutdated, t.path, t.older, toReplace)
}

// contradicts tells what else an error of opening the store is, seen beside the note: there was a store of ours, and one that is foreign, incomplete
// or gone is damaged.
func (t *terms) contradicts(dir string, exists bool, err error) error {
	switch {
	case t.owner == (Identity{}) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewerFormat):
		return err
	case errors.Is(err, ErrForeign) || errors.Is(err, os.ErrNotExist) || errors.Is(err, errGaveUp) || ofOtherOptions(err):
		return fmt.Errorf("%w: in %s: %w; %s", ErrDamaged, dir, err, toRepair)
	case err != nil || exists:
		return err
	}
	for group, term := range t.term {
		if term > t.lost[group] && !t.isRetired(group) {
			return fmt.Errorf("%w: in %s: the store is gone, group %s was in term %d; %s", ErrDamaged, dir, group, term, toRepair)
		}
	}
	return nil
}

// ofOtherOptions says that Pebble takes its options file for that of another program's store, or of one with its logs elsewhere: it only has words for it.
func ofOtherOptions(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "name from file") || strings.Contains(err.Error(), "WALRecoveryDirs"))
}

// isRetired says that the group's replica was ended here for ever, also when the store that knew it is lost.
func (t *terms) isRetired(group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, retired := t.retired[group]
	return retired
}

// lostIn says up to which term the group's promises are lost.
func (t *terms) lostIn(group string) raft.Term {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost[group]
}

func (t *terms) close() (err error) {
	if t.file != nil {
		err, t.file = t.file.Close(), nil
	}
	return err
}
