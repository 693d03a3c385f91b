package coordinator

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/quorate/quorate/transfer"
)

// Record is one transfer's life: staged, if it is a hold then held, then decided, then settled. A tombstone has no legs and is born settled.
type Record struct {
	Transfer    transfer.Transfer
	Fingerprint transfer.Fingerprint // zero for a tombstone: its content is not known
	State       transfer.State
	Reason      transfer.Reason
	Settled     bool
	// CapturedMinor is one amount for each leg of a hold that was captured in part.
	CapturedMinor []int64
	CreatedAt     time.Time
	DecidedAt     time.Time

	dirty       bool // differs from the last Checkpoint
	storedAlive bool // the reader may show it among the unsettled
}

// IsTombstone says that the id was closed without anybody knowing its content.
func (r *Record) IsTombstone() bool { return len(r.Transfer.Legs) == 0 }

// SameContent says whether a transfer with this fingerprint is the one recorded. A tombstone
// has no content, so nothing conflicts with it.
func (r *Record) SameContent(f transfer.Fingerprint) bool {
	return r.IsTombstone() || r.Fingerprint == f
}

// Public is the record as a client sees it.
func (r *Record) Public() transfer.Record {
	return transfer.Record{
		Transfer:  r.Transfer,
		State:     r.State,
		Reason:    r.Reason,
		Settled:   r.Settled,
		CreatedAt: r.CreatedAt,
		DecidedAt: r.DecidedAt,

		CapturedMinor: r.CapturedMinor,
	}
}

// hash stands for the record within the machine's state hash: computed from the fields,
// never from encoded bytes, so that it survives a change of the encoding.
func (r *Record) hash() uint64 {
	h := fnv.New64a()
	var b [8]byte
	settled := byte(0)
	if r.Settled {
		settled = 1
	}
	h.Write(r.Transfer.ID[:])
	h.Write(r.Fingerprint[:])
	h.Write([]byte{byte(r.State), settled})
	h.Write([]byte(r.Reason.Code))
	binary.BigEndian.PutUint64(b[:], uint64(r.Transfer.Deadline.UnixNano()))
	h.Write(b[:])
	if r.Transfer.IsHold() { // others have kept the hash that they had before there were holds
		binary.BigEndian.PutUint64(b[:], uint64(r.Transfer.HoldUntil.UnixNano()))
		h.Write(b[:])
		for _, amount := range r.CapturedMinor {
			binary.BigEndian.PutUint64(b[:], uint64(amount))
			h.Write(b[:])
		}
	}
	return h.Sum64()
}
