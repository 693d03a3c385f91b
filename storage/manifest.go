package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble's manifest says which tables and logs count, and Pebble takes the first record of it that can't be right for its torn end, with a sound one behind it
// or not. A bit that turns there would take every table that was named later along without a word, and the logs that these have replaced are gone. So each
// sync of a manifest is noted in a file beside it, and nothing that was noted may be missing or changed when it is read (checkManifest).
//
// A note is 16 bytes: how much was synced (8), the CRC-32C of that (4), and of the note itself (4). One that a crash has cut off is passed over.
const (
	manifestPrefix    = "MANIFEST-"
	notesPrefix       = "synced-" // and the name of the manifest
	manifestNoteBytes = 16
)

// manifestFile is a manifest that is being written, and its notes.
type manifestFile struct {
	guardFile
	notes  vfs.File
	length uint64
	sum    uint32
}

func (fs guardFS) createManifest(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.open("create", name, func() (vfs.File, error) { return fs.FS.Create(name, c) })
	notes, notesErr := fs.Create(notesOf(fs, name), c)
	return &manifestFile{guardFile: file, notes: notes}, errors.Join(err, notesErr)
}

func notesOf(fs vfs.FS, manifest string) string {
	return fs.PathJoin(fs.PathDir(manifest), notesPrefix+fs.PathBase(manifest))
}

// Write sums up first: Pebble's files may use what they were given as scratch. All is written, or the guard doesn't return.
func (f *manifestFile) Write(p []byte) (int, error) {
	f.length += uint64(len(p))
	f.sum = crc32.Update(f.sum, castagnoli, p)
	return f.guardFile.Write(p)
}

func (f *manifestFile) Sync() error { return errors.Join(f.guardFile.Sync(), f.note()) }

func (f *manifestFile) SyncData() error { return errors.Join(f.guardFile.SyncData(), f.note()) }

func (f *manifestFile) note() error {
	b := binary.LittleEndian.AppendUint64(nil, f.length)
	b = binary.LittleEndian.AppendUint32(b, f.sum)
	_, err := f.notes.Write(seal(nil, b))
	return errors.Join(err, f.notes.Sync())
}

func (f *manifestFile) Close() error { return errors.Join(f.guardFile.Close(), f.notes.Close()) }

// checkManifest says whether anything that was synced of the manifest that counts is missing or changed (ErrDamaged). Versions before have left no notes.
func checkManifest(fs vfs.FS, dir string) error {
	desc, err := pebble.Peek(dir, fs)
	if err != nil || !desc.Exists {
		return err
	}
	notes, err := readFile(fs, notesOf(fs, desc.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var length uint64
	var sum uint32
	for ; len(notes) >= manifestNoteBytes; notes = notes[manifestNoteBytes:] {
		if b, err := unseal(nil, notes[:manifestNoteBytes]); err == nil {
			length, sum = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
		}
	}
	f, err := fs.Open(desc.ManifestFilename)
	if err != nil {
		return err
	}
	found := crc32.New(castagnoli)
	have, err := io.CopyN(found, f, int64(length))
	switch err := errors.Join(err, f.Close()); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %s has %d bytes of %d that were synced; %s", ErrDamaged, desc.ManifestFilename, have, length, toRepair)
	case err != nil:
		return fmt.Errorf("read %s: %w", desc.ManifestFilename, err)
	case found.Sum32() != sum:
		return fmt.Errorf("%w: %s: the checksum of the %d bytes that were synced is wrong; %s", ErrDamaged, desc.ManifestFilename, length, toRepair)
	}
	return nil
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
