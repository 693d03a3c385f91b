package transfer

import (
	"encoding/hex"
	"fmt"
)

// ID names a transfer for ever: 128 bits, written as a UUID. The client chooses it, so that
// asking again with the same id can never move the money twice.
type ID [16]byte

// ParseID reads the canonical 36-character form of a UUID of any version, upper or lower case.
// The nil UUID (all zeros) is refused: it is what a forgotten field looks like.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("%w: %q", ErrInvalidID, clip(s))
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, fmt.Errorf("%w: %q", ErrInvalidID, clip(s))
	}
	if id.IsZero() {
		return ID{}, fmt.Errorf("%w: all zeros", ErrInvalidID)
	}
	return id, nil
}

// IDFromBytes reads the 16 raw bytes of an id, as they travel in messages.
func IDFromBytes(b []byte) (ID, error) {
	if len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("%w: %d bytes, need 16", ErrInvalidID, len(b))
	}
	id := ID(b)
	if id.IsZero() {
		return ID{}, fmt.Errorf("%w: all zeros", ErrInvalidID)
	}
	return id, nil
}

// IsZero says that nobody has set this id.
func (id ID) IsZero() bool { return id == ID{} }

// String prints the canonical lower-case UUID form.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// clip keeps an untrusted string short enough for an error message.
func clip(s string) string {
	const longest = 64
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
