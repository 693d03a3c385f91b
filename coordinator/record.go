package coordinator

import (
	"encoding/binary"
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

	begun       uint64 // the hash of id and fingerprint, which never change; zero: not computed yet
	digest      uint64 // what hash gave last: its part of the machine's hash
	dirty       bool   // differs from the last Checkpoint
	storedAlive bool   // the reader may show it among the unsettled

	next *Record // the one that was noted after it (Machine.follow); nil when it has settled
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
	var b [8]byte
	settled := byte(0)
	if r.Settled {
		settled = 1
	}
	if r.begun == 0 {
		r.begun = fnv1a(fnv1a(fnvOffset, r.Transfer.ID[:]), r.Fingerprint[:])
	}
	h := fnv1a(r.begun, []byte{byte(r.State), settled})
	h = fnv1a(h, []byte(r.Reason.Code))
	binary.BigEndian.PutUint64(b[:], uint64(r.Transfer.Deadline.UnixNano()))
	h = fnv1a(h, b[:])
	if r.Transfer.IsHold() { // others have kept the hash that they had before there were holds
		binary.BigEndian.PutUint64(b[:], uint64(r.Transfer.HoldUntil.UnixNano()))
		h = fnv1a(h, b[:])
		for _, amount := range r.CapturedMinor {
			binary.BigEndian.PutUint64(b[:], uint64(amount))
			h = fnv1a(h, b[:])
		}
	}
	return h
}

// The 64-bit FNV-1a hash: hash/fnv hides its state behind an interface, and this is computed three times in the life of every transfer.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func fnv1a(h uint64, data []byte) uint64 {
	for _, c := range data {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}
