package membership

import (
	"encoding/binary"
	"fmt"
)

// The first byte of every encoding. A reader refuses what it doesn't know.
const (
	configVersion byte = 1
	changeVersion byte = 1
)

// Encode returns c's durable form: a version, the auto-leave flag, then five lists, each a count and its ids as varints.
func (c *Config) Encode() []byte {
	b := []byte{configVersion, 0}
	if c.AutoLeave {
		b[1] = 1
	}
	for _, ids := range [][]NodeID{c.Voters, c.Outgoing, c.Learners, c.LearnersNext, c.Removed} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	return b
}

// Decode reads what Encode wrote. Anything else is ErrInvalid.
func Decode(b []byte) (Config, error) {
	if len(b) < 2 || b[0] != configVersion || b[1] > 1 {
		return Config{}, fmt.Errorf("%w: unknown form, %d bytes", ErrInvalid, len(b))
	}
	c := Config{AutoLeave: b[1] == 1}
	rest, err := b[2:], error(nil)
	for _, list := range []*[]NodeID{&c.Voters, &c.Outgoing, &c.Learners, &c.LearnersNext, &c.Removed} {
		if *list, rest, err = decodeIDs(rest); err != nil {
			return Config{}, err
		}
	}
	if len(rest) > 0 {
		return Config{}, fmt.Errorf("%w: %d bytes too many", ErrInvalid, len(rest))
	}
	return c, c.Verify()
}

func decodeIDs(b []byte) ([]NodeID, []byte, error) {
	n, b, err := decodeUvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) { // each id takes a byte at least: no list can make us allocate more than we were sent
		return nil, nil, fmt.Errorf("%w: %d nodes in %d bytes", ErrInvalid, n, len(b))
	}
	if n == 0 {
		return nil, b, nil
	}
	ids := make([]NodeID, n)
	for i := range ids {
		var id uint64
		if id, b, err = decodeUvarint(b); err != nil {
			return nil, nil, err
		}
		ids[i] = NodeID(id)
	}
	return ids, b, nil
}

// EncodeChanges returns the data of a Membership entry. No changes, no bytes: the end of a joint phase.
func EncodeChanges(changes []Change) []byte {
	if len(changes) == 0 {
		return nil
	}
	b := []byte{changeVersion}
	for _, ch := range changes {
		b = append(b, byte(ch.Kind))
		b = binary.AppendUvarint(b, uint64(ch.Node))
	}
	return b
}

// DecodeChanges reads what EncodeChanges wrote. Anything else is ErrInvalid.
func DecodeChanges(b []byte) ([]Change, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != changeVersion || len(b) == 1 {
		return nil, fmt.Errorf("%w: unknown form of changes, %d bytes", ErrInvalid, len(b))
	}
	var changes []Change
	for b = b[1:]; len(b) > 0; {
		kind := ChangeKind(b[0])
		id, rest, err := decodeUvarint(b[1:])
		if err != nil {
			return nil, err
		}
		if kind < AddVoter || kind > Remove || id == 0 {
			return nil, fmt.Errorf("%w: change %d of node %d", ErrInvalid, kind, id)
		}
		changes, b = append(changes, Change{kind, NodeID(id)}), rest
	}
	return changes, nil
}

// decodeUvarint takes only the shortest form, so that equal values have equal bytes.
func decodeUvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, fmt.Errorf("%w: cut off or overlong number", ErrInvalid)
	}
	return v, b[n:], nil
}
