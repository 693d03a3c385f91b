package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// Open reads the manifest of a backup.
func Open(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no manifest", ErrNone, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the backup: %w", err)
	}
	m, err := decodeManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// Verify reads all of a backup and checks every checksum.
func Verify(dir string) (*Manifest, error) {
	m, err := Open(dir)
	if err != nil {
		return nil, err
	}
	for i := range m.Groups {
		if err := m.Groups[i].read(dir, func([]replica.KV) error { return nil }); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// read hands out a group's records, in order. What it has handed out counts only once it has returned nil.
func (g *Group) read(dir string, take func([]replica.KV) error) error {
	path := filepath.Join(dir, filepath.Base(g.File))
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s, the file of %s, is missing", ErrDamaged, path, g.Group)
	}
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	err = g.readFile(f, take)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s, the file of %s: %w", path, g.Group, err)
	}
	return nil
}

func (g *Group) readFile(f io.Reader, take func([]replica.KV) error) error {
	sum := sha256.New()
	r := io.TeeReader(bufio.NewReaderSize(f, 1<<20), sum)
	last, err := g.readHead(r)
	if err != nil {
		return err
	}
	if err := readChunks(r, last, take); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, r); n > 0 || err != nil {
		return errors.Join(fmt.Errorf("%w: %d bytes follow the last chunk", ErrDamaged, n), err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != g.SHA256 {
		return fmt.Errorf("%w: it is not the file that the manifest names", ErrDamaged)
	}
	return nil
}

func (g *Group) readHead(r io.Reader) (raft.EntryID, error) {
	head := make([]byte, headBytes+len(g.Group)+4)
	n, err := io.ReadFull(r, head)
	if err != nil && !tooShort(err) {
		return raft.EntryID{}, err
	}
	name, last, _, err := cutHead(head[:n])
	if err != nil {
		return raft.EntryID{}, err
	}
	if name != g.Group || uint64(last.Index) != g.Index || uint64(last.Term) != g.Term {
		return raft.EntryID{}, fmt.Errorf("%w: it is that of %s at %d in term %d", ErrDamaged, name, last.Index, last.Term)
	}
	return last, nil
}

func readChunks(r io.Reader, last raft.EntryID, take func([]replica.KV) error) error {
	var chunks replica.Incoming
	c := raft.SnapshotChunk{Last: last}
	for !c.Done {
		var frame [frameBytes]byte
		if _, err := io.ReadFull(r, frame[:]); err != nil {
			return cutShort(err)
		}
		length := binary.LittleEndian.Uint32(frame[:])
		if length > chunkBytesMost || frame[4] > 1 {
			return fmt.Errorf("%w: a chunk of %d bytes at %d", ErrDamaged, length, c.Offset)
		}
		c.Data, c.Done = make([]byte, length), frame[4] == 1
		if _, err := io.ReadFull(r, c.Data); err != nil {
			return cutShort(err)
		}
		records, err := chunks.Check(&c)
		if errors.Is(err, replica.ErrNewerChunk) {
			return fmt.Errorf("%w: %w", ErrNewer, err)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := take(records); err != nil {
			return err
		}
		chunks.Take(&c)
		c.Offset += uint64(length)
	}
	return nil
}

func tooShort(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func cutShort(err error) error {
	if tooShort(err) {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return err
}
