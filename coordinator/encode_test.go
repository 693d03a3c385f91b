package coordinator_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/coordinator"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// everyFact is an entry with each kind of fact and every field set. Its bytes are the golden
// file of the format: it must never change.
func everyFact() []coordinator.Fact {
	return []coordinator.Fact{stage(payment(1, 12345)), commit(2), abort(3, transfer.ErrInsufficientFunds), settle(4, 5)}
}

func TestEntryVersion1IsReadForEver(t *testing.T) {
	want := golden(t, "entry_v1.hex")
	if got := coordinator.Encode(at(1), everyFact()); !bytes.Equal(got, want) {
		t.Errorf("Encode writes other bytes than version 1 did; a changed format needs a new version and a new golden file\n got %x\nwant %x", got, want)
	}
	gotAt, facts, err := coordinator.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if !gotAt.Equal(at(1)) {
		t.Errorf("at %s, want %s", gotAt, at(1))
	}
	if diff := cmp.Diff(everyFact(), facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// A tombstone has a mark of its own since clients can cancel. Before that its reason, orphaned, was the mark.
func TestTombstoneVersion1IsReadForEver(t *testing.T) {
	marked := tombstone(1, transfer.ErrCancelled)
	want := golden(t, "entry_tombstone_v1.hex")
	if got := coordinator.Encode(at(1), []coordinator.Fact{marked}); !bytes.Equal(got, want) {
		t.Errorf("Encode writes other bytes than version 1 did\n got %x\nwant %x", got, want)
	}
	_, facts, err := coordinator.Decode(want)
	if diff := cmp.Diff([]coordinator.Fact{marked}, facts); diff != "" || err != nil {
		t.Errorf("error %v, facts (-want +got):\n%s", err, diff)
	}
	_, facts, err = coordinator.Decode(coordinator.Encode(at(1), []coordinator.Fact{abort(1, transfer.ErrOrphaned)}))
	if err != nil || !facts[0].Decide.Tombstone {
		t.Errorf("an old tombstone is read as %+v (%v)", facts[0].Decide, err)
	}
}

// A bank's no has carried its values since clients are told them.
func TestShortfallVersion1IsReadForEver(t *testing.T) {
	no := abort(1, transfer.ErrInsufficientFunds)
	no.Decide.Reason.Shortfall = &transfer.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: -250, NeededMinor: 12345}
	want := golden(t, "entry_shortfall_v1.hex")
	if got := coordinator.Encode(at(1), []coordinator.Fact{no}); !bytes.Equal(got, want) {
		t.Errorf("Encode writes other bytes than version 1 did\n got %x\nwant %x", got, want)
	}
	_, facts, err := coordinator.Decode(want)
	if diff := cmp.Diff([]coordinator.Fact{no}, facts); diff != "" || err != nil {
		t.Errorf("error %v, facts (-want +got):\n%s", err, diff)
	}
	m := newMachine(t, nil)
	apply(t, m, 1, stage(payment(1, 12345)), no, settle(1))
	written := memory{}
	written.store(whole(m))
	want = golden(t, "record_shortfall_v1.hex")
	if got := written[string(settledKey(1))]; !bytes.Equal(got, want) {
		t.Errorf("a checkpoint writes other bytes than version 1 did\n got %x\nwant %x", got, want)
	}
	reloaded := newMachine(t, memory{"h": written["h"], string(settledKey(1)): want})
	if diff := cmp.Diff(public(lookup(t, m, 1)), public(lookup(t, reloaded, 1))); diff != "" || lookup(t, reloaded, 1).Reason.Shortfall == nil {
		t.Errorf("the record from the golden file (-want +got):\n%s", diff)
	}
}

func TestRecordVersion1IsReadForEver(t *testing.T) {
	m := newMachine(t, nil)
	apply(t, m, 1, stage(payment(1, 12345)), abort(1, transfer.ErrInsufficientFunds), stage(payment(2, 1)), abort(3, transfer.ErrOrphaned), settle(1))
	files := map[string][]byte{"record_aborted_v1.hex": settledKey(1), "record_pending_v1.hex": unsettledKey(2), "record_tombstone_v1.hex": settledKey(3)}
	written := memory{}
	written.store(whole(m))
	old := memory{"h": written["h"]}
	for file, key := range files {
		want := golden(t, file)
		if got := written[string(key)]; !bytes.Equal(got, want) {
			t.Errorf("%s: a checkpoint writes other bytes than version 1 did; a changed format needs a new version and a new golden file\n got %x\nwant %x", file, got, want)
		}
		old[string(key)] = want
	}
	reloaded := newMachine(t, old)
	for n := 1; n <= 3; n++ {
		if diff := cmp.Diff(public(lookup(t, m, n)), public(lookup(t, reloaded, n))); diff != "" {
			t.Errorf("transfer %d from the golden files (-want +got):\n%s", n, diff)
		}
	}
}

// golden reads a file of hexadecimal lines; what follows a # is for people.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.TrimSpace(line))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func TestDecodeRefuses(t *testing.T) {
	sound := coordinator.Encode(at(1), everyFact())
	broken := func(change func(*transfer.Transfer)) []byte {
		p := payment(1, 100)
		change(p)
		return coordinator.Encode(at(1), []coordinator.Fact{stage(p)})
	}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, coordinator.ErrDamaged},
		{"text", []byte("hello"), coordinator.ErrDamaged},
		{"a newer version", append([]byte{0x08, 4}, sound[2:]...), coordinator.ErrNewerFormat},
		{"no version", sound[2:], coordinator.ErrDamaged},
		{"half an entry", sound[:len(sound)-3], coordinator.ErrDamaged},
		{"a fact of no kind", []byte{0x08, 1, 0x1a, 0}, coordinator.ErrDamaged},
		{"a transfer without an id", broken(func(p *transfer.Transfer) { p.ID = transfer.ID{} }), coordinator.ErrDamaged},
		{"an unbalanced transfer", broken(func(p *transfer.Transfer) { p.Legs[0].AmountMinor++ }), coordinator.ErrDamaged},
		{"a transfer of one leg", broken(func(p *transfer.Transfer) { p.Legs = p.Legs[:1] }), coordinator.ErrDamaged},
		{"a leg without direction", broken(func(p *transfer.Transfer) { p.Legs[0].Direction = 0 }), coordinator.ErrDamaged},
		{"a decision for nobody", coordinator.Encode(at(1), []coordinator.Fact{{Decide: &coordinator.Decision{State: transfer.Aborted, At: at(1)}}}), coordinator.ErrDamaged},
		{"a decision to stay pending", coordinator.Encode(at(1), []coordinator.Fact{{Decide: &coordinator.Decision{ID: id(1), State: transfer.Pending, At: at(1)}}}), coordinator.ErrDamaged},
		{"a capture of an abort", coordinator.Encode(at(1), []coordinator.Fact{{Decide: &coordinator.Decision{ID: id(1), State: transfer.Aborted, At: at(1), CapturedMinor: []int64{1, 1}}}}), coordinator.ErrDamaged},
		{"nobody is held", coordinator.Encode(at(1), []coordinator.Fact{{Hold: &transfer.ID{}}}), coordinator.ErrDamaged},
		{"a settlement of nobody", coordinator.Encode(at(1), []coordinator.Fact{{Settle: []transfer.ID{{}}}}), coordinator.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := coordinator.Decode(tt.data); !errors.Is(err, tt.want) {
				t.Errorf("Decode: %v, want %v", err, tt.want)
			}
			if _, err := newMachine(t, nil).Apply(1, tt.data); !errors.Is(err, tt.want) {
				t.Errorf("Apply: %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzDecode: no bytes crash the decoder, and what it accepts it writes and reads again as the same.
func FuzzDecode(f *testing.F) {
	f.Add(coordinator.Encode(at(1), everyFact()))
	f.Add(coordinator.Encode(at(1), []coordinator.Fact{stage(holdOf(1, 100)), hold(1), capture(1, 40, 40)}))
	f.Add(coordinator.Encode(time.Unix(0, -1), nil))
	f.Add([]byte{0x08, 1, 0x1a, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		when, facts, err := coordinator.Decode(data)
		if err != nil {
			if !errors.Is(err, coordinator.ErrDamaged) && !errors.Is(err, coordinator.ErrNewerFormat) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		written := coordinator.Encode(when, facts)
		againWhen, again, err := coordinator.Decode(written)
		if err != nil {
			t.Fatalf("what was decoded doesn't decode again: %v", err)
		}
		if diff := cmp.Diff(facts, again); diff != "" || !againWhen.Equal(when) {
			t.Fatalf("written and read again (-first +second):\n%s", diff)
		}
	})
}

// FuzzRecord: no stored record crashes the start of a machine or a lookup.
func FuzzRecord(f *testing.F) {
	m := newMachine(f, nil)
	apply(f, m, 1, stage(payment(1, 12345)), commit(1), stage(payment(2, 1)), abort(3, transfer.ErrOrphaned), settle(1))
	for _, w := range whole(m) {
		f.Add(w.Value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		hash := make([]byte, 40) // no transfer has a place
		alive, err := coordinator.New(memory{"h": hash, string(unsettledKey(1)): value})
		if err == nil && alive.UnsettledCount() != 1 {
			t.Fatalf("%d unsettled, want the one that is stored", alive.UnsettledCount())
		}
		checkKind(t, err)
		finished := newMachine(t, memory{"h": hash, string(settledKey(1)): value})
		_, err = finished.Lookup(id(1))
		checkKind(t, err)
		hash[15], hash[31] = 1, 1 // one has
		place := "p\xff\xff\xff\xff\xff\xff\xff\xfe"
		_, err = newMachine(t, memory{"h": hash, place: value}).List(&coordinator.Filter{}, 0, 1, 1, asItIs)
		checkKind(t, err)
		_, err = newMachine(t, memory{"h": hash, "d" + place[1:]: value, string(settledKey(1)): value}).DecidedAfter(&coordinator.Filter{}, 0, 1, 1)
		checkKind(t, err)
		_, err = coordinator.Scan(memory{"h": hash, place: value, string(settledKey(1)): value}, nil)
		checkKind(t, err)
	})
}

func checkKind(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, coordinator.ErrDamaged) && !errors.Is(err, coordinator.ErrNewerFormat) {
		t.Fatalf("an error of no kind: %v", err)
	}
}

// A leader of another build may know a currency that this one doesn't: that is no damage.
func TestDecodeReadsACurrencyOfAnotherBuild(t *testing.T) {
	staged := &transfer.Transfer{ID: transfer.ID{1}, Deadline: time.Unix(1, 0), Legs: []transfer.Leg{
		{Bank: "A", Account: "x", Direction: transfer.Debit, AmountMinor: 1, Currency: "QQQ"},
		{Bank: "B", Account: "y", Direction: transfer.Credit, AmountMinor: 1, Currency: "QQQ"},
	}}
	_, facts, err := coordinator.Decode(coordinator.Encode(time.Unix(1, 0), []coordinator.Fact{{Stage: staged}}))
	if err != nil || facts[0].Stage.Fingerprint() != staged.Fingerprint() {
		t.Fatalf("got %v, %v", facts, err)
	}
}

// What is written by hand is what the .proto says: the generated code reads it, and writes the same bytes.
func TestEntriesAreTheMessagesOfTheProto(t *testing.T) {
	long := payment(6, 1)
	long.Reference = strings.Repeat("r", 300) // a length of two bytes, at every level above it
	endless := payment(7, math.MaxInt64)
	endless.Deadline = time.Time{}
	no := abort(8, transfer.ErrInsufficientFunds)
	no.Decide.Reason.Shortfall = &transfer.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: math.MinInt64, NeededMinor: math.MaxInt64}
	facts := append(everyFact(), stage(holdOf(10, 1)), hold(10), capture(10, 1, math.MaxInt64), number, stage(long), stage(endless), no, tombstone(9, transfer.ErrCancelled), settle())
	for _, at := range []time.Time{at(1), time.Unix(0, 0), time.Unix(0, math.MinInt64)} {
		written := coordinator.Encode(at, facts)
		entry := &storev1.CoordinatorEntry{}
		if err := proto.Unmarshal(written, entry); err != nil {
			t.Fatal(err)
		}
		if len(entry.ProtoReflect().GetUnknown()) > 0 || len(entry.Facts) != len(facts) || entry.AtUnixNano != at.UnixNano() {
			t.Fatalf("read as %v", entry)
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(entry)
		if err != nil || !bytes.Equal(again, written) {
			t.Fatalf("%v\nwritten   %x\ngenerated %x", err, written, again)
		}
	}
}

// A later version may add fields; they are no business of this one's.
func TestDecodeSkipsFieldsOfALaterVersion(t *testing.T) {
	entry := &storev1.CoordinatorEntry{}
	if err := proto.Unmarshal(coordinator.Encode(at(1), everyFact()), entry); err != nil {
		t.Fatal(err)
	}
	later := protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte("later"))
	entry.ProtoReflect().SetUnknown(later)
	stage := entry.Facts[0].GetStage()
	stage.ProtoReflect().SetUnknown(later)
	stage.Legs[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 98, protowire.VarintType), 7))
	entry.Facts[1].GetDecide().ProtoReflect().SetUnknown(later)
	entry.Facts[3].GetSettle().ProtoReflect().SetUnknown(later)
	data, err := proto.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	_, facts, err := coordinator.Decode(data)
	if diff := cmp.Diff(everyFact(), facts); diff != "" || err != nil {
		t.Errorf("error %v, facts (-want +got):\n%s", err, diff)
	}
}
