package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// partialSuffix ends the name of a directory that isn't a backup yet.
const partialSuffix = ".partial"

// Writer makes a backup. Different groups may be written by different goroutines.
type Writer struct {
	dir     string
	partial string
}

// Create begins a backup that will be dir. Until Finish it is dir.partial, which is no backup.
func Create(dir string) (*Writer, error) {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrExists, dir)
	}
	w := &Writer{dir: dir, partial: dir + partialSuffix}
	if err := os.Mkdir(w.partial, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("%w: %s, of a backup that was interrupted or is under way", ErrExists, w.partial)
		}
		return nil, fmt.Errorf("create the backup: %w", err)
	}
	return w, nil
}

// Abandon removes what was written so far.
func (w *Writer) Abandon() error { return os.RemoveAll(w.partial) }

// GroupWriter writes one group's file.
type GroupWriter struct {
	group  Group
	file   *os.File
	sum    hash.Hash
	chunks replica.Incoming
	last   raft.EntryID
	offset uint64
	done   bool
	buffer []byte
}

// Group begins the file of a group whose cut ends with last.
func (w *Writer) Group(number int, name string, last raft.EntryID) (*GroupWriter, error) {
	if len(name) == 0 || len(name) > nameBytesMax || last.Index == 0 {
		return nil, fmt.Errorf("group %.300q at entry %d can't be saved", name, last.Index)
	}
	file := fmt.Sprintf("group-%04d", number)
	f, err := os.OpenFile(filepath.Join(w.partial, file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the file of %s: %w", name, err)
	}
	g := &GroupWriter{
		group: Group{Group: name, File: file, Index: uint64(last.Index), Term: uint64(last.Term)},
		file:  f, sum: sha256.New(), last: last,
	}
	g.buffer = appendHead(nil, name, last)
	return g, g.flush()
}

// Chunk writes the next chunk after it has looked whether it is that: what was damaged on its way is no backup.
func (g *GroupWriter) Chunk(data []byte, done bool) error {
	if g.done {
		return fmt.Errorf("%s: a chunk follows the last one", g.group.Group)
	}
	c := raft.SnapshotChunk{Last: g.last, Offset: g.offset, Done: done, Data: data}
	records, err := g.chunks.Check(&c)
	if err != nil {
		return fmt.Errorf("%s: %w", g.group.Group, err)
	}
	g.chunks.Take(&c)
	g.group.Keys += uint64(len(records))
	g.offset += uint64(len(data))
	g.done = done
	g.buffer = appendFrame(g.buffer[:0], data, done)
	return g.flush()
}

func (g *GroupWriter) flush() error {
	g.group.Bytes += uint64(len(g.buffer))
	_, _ = g.sum.Write(g.buffer) // a hash never fails
	if _, err := g.file.Write(g.buffer); err != nil {
		return fmt.Errorf("write %s: %w", g.group.Group, err)
	}
	return nil
}

// Close makes the file durable. It fails if the last chunk hasn't come.
func (g *GroupWriter) Close() (Group, error) {
	err := g.file.Sync()
	err = errors.Join(err, g.file.Close())
	if err == nil && !g.done {
		err = errors.New("its last chunk is missing")
	}
	if err != nil {
		return Group{}, fmt.Errorf("%s: %w", g.group.Group, err)
	}
	g.group.SHA256 = hex.EncodeToString(g.sum.Sum(nil))
	return g.group, nil
}

// Finish writes the manifest and gives the backup its name.
func (w *Writer) Finish(m Manifest) error {
	m.Format = Format
	m.Groups = slices.Clone(m.Groups)
	slices.SortFunc(m.Groups, func(a, b Group) int { return strings.Compare(a.Group, b.Group) })
	text, err := encodeManifest(&m)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(w.partial, manifestName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close(), syncDirectory(w.partial)); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if err := moveInto(w.partial, w.dir); err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	return nil
}

func encodeManifest(m *Manifest) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	text = append(text, '\n')
	sum := sha256.Sum256(text)
	return fmt.Appendf(text, "sha256 %s\n", hex.EncodeToString(sum[:])), nil
}

// decodeManifest reads the version before the rest. The line with the checksum and the field "format" are in every version.
func decodeManifest(text []byte) (*Manifest, error) {
	const line = len("sha256 ") + 2*sha256.Size + 1
	var m Manifest
	if len(text) < line {
		return nil, fmt.Errorf("%w: the manifest has %d bytes", ErrDamaged, len(text))
	}
	body := text[:len(text)-line]
	sum := sha256.Sum256(body)
	if !bytes.Equal(text[len(body):], fmt.Appendf(nil, "sha256 %s\n", hex.EncodeToString(sum[:]))) {
		return nil, fmt.Errorf("%w: the checksum of the manifest is wrong", ErrDamaged)
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(body, &version); err != nil {
		return nil, fmt.Errorf("%w: the manifest: %w", ErrDamaged, err)
	}
	if version.Format > Format {
		return nil, fmt.Errorf("%w: it is of format %d and this version reads up to %d", ErrNewer, version.Format, Format)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w: the manifest: %w", ErrDamaged, err)
	}
	return &m, nil
}

// moveInto renames a directory to a name that isn't taken, durably.
func moveInto(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, to)
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(to))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
