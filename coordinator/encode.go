package coordinator

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// formatVersion is written into every entry and record. A reader refuses a newer one.
const formatVersion = 1

// ErrDamaged says that stored bytes can't be what was written.
var ErrDamaged = errors.New("coordinator: damaged bytes")

// ErrNewerFormat says that bytes were written by a newer version of Quorate.
var ErrNewerFormat = errors.New("coordinator: bytes of a newer format")

var deterministic = proto.MarshalOptions{Deterministic: true}

// Encode makes one log entry of facts, proposed at the leader's time.
func Encode(at time.Time, facts []Fact) []byte {
	entry := &storev1.CoordinatorEntry{
		Version:    formatVersion,
		AtUnixNano: at.UnixNano(),
		Facts:      make([]*storev1.CoordinatorFact, len(facts)),
	}
	for i := range facts {
		entry.Facts[i] = factToProto(&facts[i])
	}
	return mustMarshal(entry)
}

// Decode reads one log entry. Every id, amount and state is checked: bytes from a disk or a peer are not trusted.
func Decode(data []byte) (at time.Time, facts []Fact, err error) {
	entry := &storev1.CoordinatorEntry{}
	if err := unmarshal(data, entry); err != nil {
		return time.Time{}, nil, err
	}
	if err := checkVersion(entry.Version); err != nil {
		return time.Time{}, nil, err
	}
	facts = make([]Fact, len(entry.Facts))
	for i, f := range entry.Facts {
		if facts[i], err = factFromProto(f); err != nil {
			return time.Time{}, nil, fmt.Errorf("fact %d: %w", i+1, err)
		}
	}
	return time.Unix(0, entry.AtUnixNano).UTC(), facts, nil
}

func factToProto(f *Fact) *storev1.CoordinatorFact {
	switch {
	case f.Stage != nil:
		return &storev1.CoordinatorFact{Fact: &storev1.CoordinatorFact_Stage{Stage: transferToProto(f.Stage)}}
	case f.Decide != nil:
		return &storev1.CoordinatorFact{Fact: &storev1.CoordinatorFact_Decide{Decide: &storev1.Decision{
			Id:              f.Decide.ID[:],
			State:           uint32(f.Decide.State),
			ReasonCode:      string(f.Decide.Reason.Code),
			ReasonBank:      string(f.Decide.Reason.Bank),
			ReasonDetail:    f.Decide.Reason.Detail,
			AtUnixNano:      f.Decide.At.UnixNano(),
			Tombstone:       f.Decide.Tombstone,
			ReasonShortfall: shortfallToProto(f.Decide.Reason.Shortfall),
		}}}
	default:
		ids := make([][]byte, len(f.Settle))
		for i := range f.Settle {
			ids[i] = f.Settle[i][:]
		}
		return &storev1.CoordinatorFact{Fact: &storev1.CoordinatorFact_Settle{Settle: &storev1.Settlement{Ids: ids}}}
	}
}

func factFromProto(f *storev1.CoordinatorFact) (Fact, error) {
	switch f := f.GetFact().(type) {
	case *storev1.CoordinatorFact_Stage:
		t, err := transferFromProto(f.Stage)
		if err != nil {
			return Fact{}, err
		}
		// A currency that this build doesn't know was known to the one that accepted it: every replica must read the same log.
		if err := t.Validate(); err != nil && !errors.Is(err, transfer.ErrInvalidCurrency) {
			return Fact{}, fmt.Errorf("%w: staged transfer %s: %w", ErrDamaged, t.ID, err)
		}
		return Fact{Stage: &t}, nil
	case *storev1.CoordinatorFact_Decide:
		return decisionFromProto(f.Decide)
	case *storev1.CoordinatorFact_Settle:
		return settlementFromProto(f.Settle)
	}
	return Fact{}, fmt.Errorf("%w: a fact of no known kind", ErrDamaged)
}

func decisionFromProto(p *storev1.Decision) (Fact, error) {
	id, err := transfer.IDFromBytes(p.GetId())
	if err != nil {
		return Fact{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	state := transfer.State(p.State)
	if p.State > 255 || (state != transfer.Committed && state != transfer.Aborted) {
		return Fact{}, fmt.Errorf("%w: decision %d", ErrDamaged, p.State)
	}
	return Fact{Decide: &Decision{
		ID:     id,
		State:  state,
		Reason: reason(p),
		At:     time.Unix(0, p.AtUnixNano).UTC(),
		// The first builds wrote no tombstone that wasn't the answer to a bank's inquiry, and marked it by its reason alone.
		Tombstone: p.Tombstone || p.ReasonCode == string(transfer.ErrOrphaned.Code),
	}}, nil
}

func settlementFromProto(p *storev1.Settlement) (Fact, error) {
	ids := make([]transfer.ID, len(p.GetIds()))
	for i, b := range p.GetIds() {
		id, err := transfer.IDFromBytes(b)
		if err != nil {
			return Fact{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		ids[i] = id
	}
	return Fact{Settle: ids}, nil
}

// reason reads the fields that decisions and records share.
func reason(p interface {
	GetReasonCode() string
	GetReasonBank() string
	GetReasonDetail() string
	GetReasonShortfall() *storev1.Shortfall
}) transfer.Reason {
	r := transfer.Reason{Code: transfer.Code(p.GetReasonCode()), Bank: transfer.BankID(p.GetReasonBank()), Detail: p.GetReasonDetail()}
	if s := p.GetReasonShortfall(); s != nil {
		r.Shortfall = &transfer.Shortfall{
			Account: transfer.AccountID(s.Account), Currency: transfer.Currency(s.Currency), AvailableMinor: s.AvailableMinor, NeededMinor: s.NeededMinor,
		}
	}
	return r
}

func shortfallToProto(s *transfer.Shortfall) *storev1.Shortfall {
	if s == nil {
		return nil
	}
	return &storev1.Shortfall{Account: string(s.Account), Currency: string(s.Currency), AvailableMinor: s.AvailableMinor, NeededMinor: s.NeededMinor}
}

func encodeRecord(r *Record) []byte {
	p := &storev1.CoordinatorRecord{
		Version:         formatVersion,
		Transfer:        transferToProto(&r.Transfer),
		Fingerprint:     r.Fingerprint[:],
		State:           uint32(r.State),
		ReasonCode:      string(r.Reason.Code),
		ReasonBank:      string(r.Reason.Bank),
		ReasonDetail:    r.Reason.Detail,
		Settled:         r.Settled,
		CreatedUnixNano: r.CreatedAt.UnixNano(),
		ReasonShortfall: shortfallToProto(r.Reason.Shortfall),
	}
	if r.State != transfer.Pending {
		p.DecidedUnixNano = r.DecidedAt.UnixNano()
	}
	return mustMarshal(p)
}

func decodeRecord(data []byte) (*Record, error) {
	p := &storev1.CoordinatorRecord{}
	if err := unmarshal(data, p); err != nil {
		return nil, err
	}
	if err := checkVersion(p.Version); err != nil {
		return nil, err
	}
	t, err := transferFromProto(p.Transfer)
	if err != nil {
		return nil, err
	}
	state := transfer.State(p.State)
	if p.State > 255 || state < transfer.Pending || state > transfer.Aborted || len(p.Fingerprint) != len(transfer.Fingerprint{}) {
		return nil, fmt.Errorf("%w: record of %s with state %d and a fingerprint of %d bytes", ErrDamaged, t.ID, p.State, len(p.Fingerprint))
	}
	r := &Record{
		Transfer:    t,
		Fingerprint: transfer.Fingerprint(p.Fingerprint),
		State:       state,
		Reason:      reason(p),
		Settled:     p.Settled,
		CreatedAt:   time.Unix(0, p.CreatedUnixNano).UTC(),
	}
	if state != transfer.Pending {
		r.DecidedAt = time.Unix(0, p.DecidedUnixNano).UTC()
	}
	return r, nil
}

// transferToProto writes a zero deadline (a tombstone has none) as zero.
func transferToProto(t *transfer.Transfer) *storev1.StagedTransfer {
	p := &storev1.StagedTransfer{Id: t.ID[:], Reference: t.Reference, Legs: make([]*storev1.StagedLeg, len(t.Legs))}
	if !t.Deadline.IsZero() {
		p.DeadlineUnixNano = t.Deadline.UnixNano()
	}
	legs := make([]storev1.StagedLeg, len(t.Legs))
	for i := range t.Legs {
		l := &t.Legs[i]
		legs[i].Bank = string(l.Bank)
		legs[i].Account = string(l.Account)
		legs[i].Direction = uint32(l.Direction)
		legs[i].AmountMinor = l.AmountMinor
		legs[i].Currency = string(l.Currency)
		p.Legs[i] = &legs[i]
	}
	return p
}

func transferFromProto(p *storev1.StagedTransfer) (transfer.Transfer, error) {
	id, err := transfer.IDFromBytes(p.GetId())
	if err != nil {
		return transfer.Transfer{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	t := transfer.Transfer{ID: id, Reference: p.Reference}
	if p.DeadlineUnixNano != 0 {
		t.Deadline = time.Unix(0, p.DeadlineUnixNano).UTC()
	}
	if len(p.Legs) > 0 {
		t.Legs = make([]transfer.Leg, len(p.Legs))
	}
	for i, l := range p.Legs {
		if l.Direction > 255 {
			return transfer.Transfer{}, fmt.Errorf("%w: leg %d of %s has direction %d", ErrDamaged, i+1, id, l.Direction)
		}
		t.Legs[i] = transfer.Leg{
			Bank:        transfer.BankID(l.Bank),
			Account:     transfer.AccountID(l.Account),
			Direction:   transfer.Direction(l.Direction),
			AmountMinor: l.AmountMinor,
			Currency:    transfer.Currency(l.Currency),
		}
	}
	return t, nil
}

func checkVersion(version uint32) error {
	if version == formatVersion {
		return nil
	}
	if version > formatVersion {
		return fmt.Errorf("%w: version %d, this build reads %d", ErrNewerFormat, version, formatVersion)
	}
	return fmt.Errorf("%w: version %d", ErrDamaged, version)
}

func unmarshal(data []byte, into proto.Message) error {
	if err := proto.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// mustMarshal can't fail: the messages have neither required fields nor strings that
// were not checked for UTF-8 on their way in.
func mustMarshal(m proto.Message) []byte {
	b, err := deterministic.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
