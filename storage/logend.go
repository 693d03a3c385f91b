package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble takes a chunk of the write-ahead log that can't be right for the end of the log, which a crash has torn, unless a later block holds a
// chunk that was written after it was synced. In its own block it doesn't look, so a bit that turned in the last 32 KiB would take everything behind it
// along without a word. checkLogEnds looks there.
//
// The layout is Pebble's (record/record.go): blocks of 32 KiB, of chunks
//
//	CRC (4) · size (2) · type (1) · log number (4) · all before this offset is synced (8) · payload
const (
	logBlockBytes  = 32 << 10
	logHeaderBytes = 19
	logTypeFirst   = 9 // the four types with a sync offset
	logTypeLast    = 12
)

// checkLogEnds says whether any log of a directory ends before something that was written after its end was synced (ErrDamaged).
func checkLogEnds(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		number, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
		if filepath.Ext(name) != ".log" || err != nil {
			continue
		}
		f, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(checkLogEnd(f, name, uint32(number)), f.Close()); err != nil {
			return fmt.Errorf("in %s: %w", dir, err)
		}
	}
	return nil
}

func checkLogEnd(r io.Reader, name string, number uint32) error {
	block := make([]byte, logBlockBytes)
	for base := uint64(0); ; base += logBlockBytes {
		n, err := io.ReadFull(r, block)
		if n == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		b := block[:n]
		end := 0
		for size, _ := logChunk(b, number); size > 0; size, _ = logChunk(b[end:], number) {
			end += size
		}
		if end+logHeaderBytes > logBlockBytes {
			continue // the rest of the block is too short for a chunk
		}
		for at := end + 1; at < len(b); at++ {
			if size, synced := logChunk(b[at:], number); size > 0 && synced > base+uint64(end) {
				return fmt.Errorf("%w: %s at %d: it was synced before what stands at %d; %s", ErrDamaged, name, base+uint64(end), base+uint64(at), toRepair)
			}
		}
		return nil
	}
}

// logChunk reads the chunk at the beginning of b; size zero: there is none that is sound.
func logChunk(b []byte, number uint32) (size int, synced uint64) {
	if len(b) < logHeaderBytes || b[6] < logTypeFirst || b[6] > logTypeLast || binary.LittleEndian.Uint32(b[7:]) != number {
		return 0, 0
	}
	size = logHeaderBytes + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) {
		return 0, 0
	}
	sum := crc32.Checksum(b[6:size], castagnoli)
	if binary.LittleEndian.Uint32(b) != (sum>>15|sum<<17)+0xa282ead8 { // masked, as in LevelDB
		return 0, 0
	}
	return size, binary.LittleEndian.Uint64(b[11:])
}
