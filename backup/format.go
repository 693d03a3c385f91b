package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/quorate/quorate/raft"
)

// A backup is a directory: one file for each group, and the manifest, which is JSON, names all of them with their length and SHA-256, and is
// followed by a line with its own SHA-256. A group's file is a header and then the chunks of its snapshot:
//
//	"QRTBKP" version(2) · index(8) · term(8) · length(2) name · crc(4)
//	{ length(4) · done(1) · data }
//
// Numbers are little-endian. The crc is the CRC-32C of all bytes before it. The data is what replicas send each other (replica/snapshot.go): it has checksums of its own, which cover done
// and the place of the chunk, too. The one with done set is the last.

// Format is the version that is written. A higher one is refused.
const Format = 1

const (
	manifestName = "MANIFEST"
	magic        = "QRTBKP"
	headBytes    = len(magic) + 2 + 8 + 8 + 2
	nameBytesMax = 255
	frameBytes   = 4 + 1
	// chunkBytesMost is far more than anybody sends: a length beyond it is damage.
	chunkBytesMost = 64 << 20
)

// Why a backup is refused.
var (
	ErrDamaged = errors.New("the backup is damaged")
	ErrNewer   = errors.New("the backup was written by a newer version")
	ErrNone    = errors.New("this is not a backup of Quorate")
	ErrExists  = errors.New("the directory exists")
	// ErrMismatch says that a backup can't be restored into a cluster of this shape.
	ErrMismatch = errors.New("the backup doesn't fit the new cluster")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Manifest says what a backup holds.
type Manifest struct {
	Format       int     `json:"format"`
	Cluster      string  `json:"cluster"`
	Version      string  `json:"version"`    // of the program that wrote it
	CreatedAt    string  `json:"created_at"` // RFC 3339; when the cut was made
	Coordinators int     `json:"coordinators"`
	Groups       []Group `json:"groups"` // by name
}

// Group is one group's file.
type Group struct {
	Group  string `json:"group"`
	File   string `json:"file"`
	Index  uint64 `json:"index"` // the last entry that it contains
	Term   uint64 `json:"term"`
	Keys   uint64 `json:"keys"`
	Bytes  uint64 `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Name tells this backup from every other one, in words that go into a message.
func (m *Manifest) Name() string {
	h := sha256.New()
	fmt.Fprintln(h, m.Cluster, m.CreatedAt)
	for i := range m.Groups {
		fmt.Fprintln(h, m.Groups[i].Group, m.Groups[i].SHA256)
	}
	return fmt.Sprintf("backup %x of %s", h.Sum(nil)[:8], m.Cluster)
}

func appendHead(b []byte, group string, last raft.EntryID) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, Format)
	b = binary.LittleEndian.AppendUint64(b, uint64(last.Index))
	b = binary.LittleEndian.AppendUint64(b, uint64(last.Term))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(group)))
	b = append(b, group...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// cutHead reads the version before anything else: it must recognise formats that don't exist yet.
func cutHead(b []byte) (group string, last raft.EntryID, rest []byte, err error) {
	if len(b) < len(magic)+2 || string(b[:len(magic)]) != magic {
		return "", last, nil, fmt.Errorf("%w: it doesn't begin as a group's file does", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint16(b[len(magic):]); v > Format {
		return "", last, nil, fmt.Errorf("%w: it is of format %d and this version reads up to %d", ErrNewer, v, Format)
	}
	if len(b) < headBytes {
		return "", last, nil, fmt.Errorf("%w: it ends within its header", ErrDamaged)
	}
	end := headBytes + int(binary.LittleEndian.Uint16(b[headBytes-2:]))
	if len(b) < end+4 || binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return "", last, nil, fmt.Errorf("%w: the checksum of its header is wrong", ErrDamaged)
	}
	last.Index = raft.Index(binary.LittleEndian.Uint64(b[len(magic)+2:]))
	last.Term = raft.Term(binary.LittleEndian.Uint64(b[len(magic)+10:]))
	return string(b[headBytes:end]), last, b[end+4:], nil
}

func appendFrame(b, data []byte, done bool) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	if done {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, data...)
}
