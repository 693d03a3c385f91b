package lane

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

// Scanned is what the stored records of a replica add up to.
type Scanned struct {
	Records  uint64
	Recorded uint64 // the state hash that is stored with them
	Computed uint64 // from the records
	Fault    string // what else can't be right; "": nothing
}

// Sound says that the records are those that were written.
func (s *Scanned) Sound() bool { return s.Fault == "" && s.Recorded == s.Computed }

// Scan reads all that is stored of a group, in a cluster with so many shards, and adds it up anew. An error is a reader that failed; records that can't be right are a result.
func Scan(group GroupID, shards int, reader Reader) (Scanned, error) {
	var s Scanned
	var err error
	switch {
	case BankOf(group) != "":
		var l ledger.Scanned
		l, err = ledger.Scan(reader)
		s = Scanned{Records: l.Records, Recorded: l.Recorded, Computed: l.Computed}
	case IsCoordinator(group):
		var c coordinator.Scanned
		c, err = coordinator.Scan(reader, func(id transfer.ID) error {
			if of := CoordinatorGroup(shardOf(id, shards)); of != group { // two groups could decide differently about it
				return fmt.Errorf("%w: transfer %s is one of %s", coordinator.ErrDamaged, id, of)
			}
			return nil
		})
		s = Scanned{Records: c.Records, Recorded: c.Recorded, Computed: c.Computed}
	default:
		return s, fmt.Errorf("%w: %s is neither a coordinator nor a bank", transfer.ErrInvalidRequest, group)
	}
	if errors.Is(err, wire.ErrDamaged) || errors.Is(err, coordinator.ErrDamaged) {
		s.Fault, err = err.Error(), nil
	}
	return s, err
}
