package ledger_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// A golden file of a version that was released is never rewritten: a new version gets a new file, and this one is read for ever.
var rewrite = flag.Bool("rewrite", false, "write the golden files of the present version")

var goldenAt = time.Date(2026, 11, 23, 18, 16, 5, 123456789, time.UTC)

// goldenEntry has every command and every field.
func goldenEntry() []ledger.Command {
	p := prepare(transfer.ID{0x01, 0x9a, 15: 0x01}, debit("alice", 3000), credit("bob", 3000))
	p.Fingerprint = transfer.Fingerprint{0xf1, 15: 0xf2}
	p.Reference = "Rent, November"
	c, r, s := request(bank.Commit, transfer.ID{2}), request(bank.Rollback, transfer.ID{3}), request(bank.Resolve, transfer.ID{4})
	s.Fingerprint = transfer.Fingerprint{0xf3, 15: 0xf4}
	return []ledger.Command{
		{Open: &bank.Terms{ID: "@cash", Currency: "CZK", Unlimited: true}},
		{Open: &bank.Terms{ID: "alice", Currency: "CZK", OverdraftMinor: 50000}},
		{Request: &p}, {Request: &c}, {Request: &r}, {Request: &s},
	}
}

func TestGoldenLogEntry(t *testing.T) {
	data := ledger.Encode(goldenAt, goldenEntry())
	golden(t, "log_entry_v1.txt", "entry "+hex.EncodeToString(data)+"\n")
	mustDecode(t, data, goldenEntry())
}

// An entry with changes is of version 2.
func TestGoldenLogEntryOfChanges(t *testing.T) {
	data := ledger.Encode(goldenAt, goldenChanges())
	golden(t, "log_entry_v2.txt", "entry "+hex.EncodeToString(data)+"\n")
	mustDecode(t, data, goldenChanges())
}

// An entry with prepares of clients' holds, or with captures, is of version 3, be there changes or none.
func TestGoldenLogEntryOfHolds(t *testing.T) {
	data := ledger.Encode(goldenAt, goldenHolds())
	golden(t, "log_entry_v3.txt", "entry "+hex.EncodeToString(data)+"\n")
	mustDecode(t, data, goldenHolds())
	for _, one := range goldenHolds()[:2] {
		mustDecode(t, ledger.Encode(goldenAt, []ledger.Command{one}), []ledger.Command{one})
	}
}

func goldenHolds() []ledger.Command {
	p := prepare(transfer.ID{0x01, 15: 0x01}, debit("alice", 3000), credit("bob", 2000), credit("@fees", 1000))
	p.HoldUntil = goldenAt.Add(time.Hour)
	c := request(bank.Commit, transfer.ID{2})
	c.CapturedMinor = []int64{1500, 1000, 500}
	return []ledger.Command{{Request: &p}, {Request: &c}, {Change: &bank.Change{Account: "alice", Kind: bank.Freeze}}}
}

func goldenChanges() []ledger.Command {
	c := request(bank.Commit, transfer.ID{2})
	return []ledger.Command{
		{Change: &bank.Change{Account: "alice", Kind: bank.Freeze}},
		{Change: &bank.Change{Account: "alice", Kind: bank.Unfreeze}},
		{Request: &c},
		{Change: &bank.Change{Account: "bob", Kind: bank.Close}},
		{Change: &bank.Change{Account: "alice", Kind: bank.SetLimit, OverdraftMinor: 50000}},
		{Change: &bank.Change{Account: "@cash", Kind: bank.SetLimit, Unlimited: true}},
	}
}

func mustDecode(t *testing.T, data []byte, want []ledger.Command) {
	t.Helper()
	at, commands, err := ledger.Decode(data)
	if err != nil || !at.Equal(goldenAt) {
		t.Fatalf("decoded %v, %v", at, err)
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Error(diff)
	}
}

// goldenBank has a record of every kind, with every field.
func goldenBank(t *testing.T) *book {
	b := newBook(t, newDisk())
	b.at = goldenAt
	b.open(czk("@cash"), bank.Terms{ID: "alice", Currency: "CZK", OverdraftMinor: 50000}, czk("bob"))
	b.open(bank.Terms{ID: "eve", Currency: "EUR"})
	paid := prepare(transfer.ID{1}, debit("@cash", 10000), credit("alice", 10000))
	paid.Reference = "Salary"
	b.ask(paid)
	b.ask(request(bank.Commit, transfer.ID{1}))
	b.ask(prepare(transfer.ID{2}, debit("bob", 1)))
	b.ask(request(bank.Rollback, transfer.ID{3}))
	undone := prepare(transfer.ID{4}, debit("alice", 1))
	b.ask(undone)
	b.ask(request(bank.Rollback, transfer.ID{4}))
	held := prepare(transfer.ID{5}, debit("alice", 2500), credit("bob", 2000), credit("@cash", 500))
	held.Reference = "Rent"
	b.ask(held)
	return b
}

// goldenHeld is that with a client's hold besides.
func goldenHeld(t *testing.T) *book {
	b := goldenBank(t)
	wanted := prepare(transfer.ID{6}, debit("alice", 700), credit("bob", 700))
	wanted.HoldUntil = goldenAt.Add(time.Hour)
	b.ask(wanted)
	return b
}

func TestGoldenState(t *testing.T) {
	b := goldenHeld(t)
	b.save()
	golden(t, "state_v3.txt", dump(b.disk))
}

// What follows one another shares a record: all four entries of the journal, both lines of each account.
func TestGoldenStateWithRuns(t *testing.T) {
	b := goldenRuns(t)
	b.WriteRuns()
	b.save()
	golden(t, "state_v4.txt", dump(b.disk))
}

// goldenRuns has paid twice.
func goldenRuns(t *testing.T) *book {
	b := goldenHeld(t)
	b.at = goldenAt.Add(time.Second)
	again := prepare(transfer.ID{8}, debit("@cash", 300), credit("alice", 300))
	again.Reference = "Bonus"
	b.ask(again)
	b.ask(request(bank.Commit, transfer.ID{8}))
	return b
}

// A bank that has seen no client's hold writes what the version before can read: in a rolling upgrade its replicas send that their snapshots.
func TestGoldenStateWithoutHolds(t *testing.T) {
	b := goldenBank(t)
	b.save()
	golden(t, "state_v2.txt", dump(b.disk))
	again := newBook(t, undump(t, "state_v3.txt"))
	again.at = goldenAt
	again.ask(prepare(transfer.ID{7}, debit("alice", 1), credit("bob", 1)))
	again.save()
	if meta := again.disk.values["m"]; len(meta) < 2 || meta[1] != 3 {
		t.Errorf("a bank that has had a hold goes back to %x", meta)
	}
}

// What any version wrote must be understood for ever. The first builds stored no shortfall with a refusal, version 1 had no lines, version 2
// no clients' holds, and version 3 no runs.
func TestGoldenStateIsRead(t *testing.T) {
	for name, options := range map[string]cmp.Options{
		"state_v4.txt": nil, "state_v3.txt": nil, "state_v2.txt": nil, "state_shortfall_v1.txt": nil, "state_v1.txt": {cmpopts.IgnoreFields(transfer.Reason{}, "Shortfall")},
	} {
		t.Run(name, func(t *testing.T) { readGoldenState(t, name, options) })
	}
}

func readGoldenState(t *testing.T, name string, options cmp.Options) {
	want := goldenBank(t)
	switch name {
	case "state_v4.txt":
		want = goldenRuns(t)
	case "state_v3.txt":
		want = goldenHeld(t)
	}
	want.at = goldenAt
	got := newBook(t, undump(t, name))
	got.at = goldenAt
	got.check()
	if want.Hash() != got.Hash() || want.Index() != got.Index() {
		t.Errorf("hash %016x at %d, want %016x at %d", got.Hash(), got.Index(), want.Hash(), want.Index())
	}
	for step, ask := range []func(b *book) any{
		func(b *book) any { return mustAccounts(b) },
		func(b *book) any { return b.Audit() },
		func(b *book) any { return b.oldHolds(goldenAt.Add(1), 10) },
		func(b *book) any { return b.oldHolds(goldenAt.Add(time.Hour+1), 10) },
		func(b *book) any { return b.ask(prepare(transfer.ID{2}, debit("bob", 1))) },
		func(b *book) any { return b.ask(request(bank.Resolve, transfer.ID{3})) },
		func(b *book) any { return b.ask(prepare(transfer.ID{4}, debit("alice", 1))) },
		func(b *book) any { return b.ask(request(bank.Commit, transfer.ID{5})) },
		func(b *book) any { e, err := b.Entries(0, 10); return []any{e, err} },
		func(b *book) any { return b.statement("@cash", time.Time{}, time.Time{}) },
		func(b *book) any { return b.statement("alice", goldenAt, goldenAt.Add(1)) },
		func(b *book) any { return b.statement("alice", time.Time{}, goldenAt) },
	} {
		if diff := cmp.Diff(ask(want), ask(got), options); diff != "" {
			t.Errorf("question %d:\n%s", step+1, diff)
		}
	}
	got.check()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (- golden, + now):\n%s", path, diff)
	}
}

func dump(d *disk) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(d.values)) {
		fmt.Fprintf(&b, "%x %x\n", k, d.values[k])
	}
	return b.String()
}

func undump(t testing.TB, name string) *disk {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk()
	for line := range strings.Lines(string(text)) {
		var k, v []byte
		if _, err := fmt.Sscanf(line, "%x %x", &k, &v); err != nil {
			t.Fatal(err)
		}
		d.values[string(k)] = v
	}
	return d
}

// The description in the .proto and the code by hand must be one format: the generated code reads what
// we write, and writes what we read.
func TestGeneratedCodeAgreesOnTheLogEntry(t *testing.T) {
	data := ledger.Encode(goldenAt, goldenEntry())
	want := &storev1.LedgerBatch{Version: 1, AtUnixNanos: goldenAt.UnixNano(), Commands: []*storev1.LedgerCommand{
		{Command: &storev1.LedgerCommand_Open{Open: &storev1.LedgerTerms{Id: "@cash", Currency: "CZK", Unlimited: true}}},
		{Command: &storev1.LedgerCommand_Open{Open: &storev1.LedgerTerms{Id: "alice", Currency: "CZK", OverdraftMinor: 50000}}},
		{Command: &storev1.LedgerCommand_Prepare{Prepare: &storev1.LedgerPrepare{
			Id: id16(0x01, 0x9a, 0x01), Fingerprint: id16(0xf1, 0, 0xf2), Reference: "Rent, November",
			Legs: []*storev1.LedgerLeg{
				{Account: "alice", Direction: storev1.LedgerDirection_LEDGER_DIRECTION_DEBIT, AmountMinor: 3000, Currency: "CZK"},
				{Account: "bob", Direction: storev1.LedgerDirection_LEDGER_DIRECTION_CREDIT, AmountMinor: 3000, Currency: "CZK"},
			}}}},
		{Command: &storev1.LedgerCommand_Commit{Commit: id16(2, 0, 0)}},
		{Command: &storev1.LedgerCommand_Rollback{Rollback: id16(3, 0, 0)}},
		{Command: &storev1.LedgerCommand_Resolve{Resolve: &storev1.LedgerResolve{Id: id16(4, 0, 0), Fingerprint: id16(0xf3, 0, 0xf4)}}},
	}}
	agreesOnBytes(t, data, want)
}

func TestGeneratedCodeAgreesOnChanges(t *testing.T) {
	change := func(c *storev1.LedgerChange) *storev1.LedgerCommand {
		return &storev1.LedgerCommand{Command: &storev1.LedgerCommand_Change{Change: c}}
	}
	agreesOnBytes(t, ledger.Encode(goldenAt, goldenChanges()), &storev1.LedgerBatch{Version: 2, AtUnixNanos: goldenAt.UnixNano(), Commands: []*storev1.LedgerCommand{
		change(&storev1.LedgerChange{Account: "alice", Kind: storev1.LedgerChangeKind_LEDGER_CHANGE_KIND_FREEZE}),
		change(&storev1.LedgerChange{Account: "alice", Kind: storev1.LedgerChangeKind_LEDGER_CHANGE_KIND_UNFREEZE}),
		{Command: &storev1.LedgerCommand_Commit{Commit: id16(2, 0, 0)}},
		change(&storev1.LedgerChange{Account: "bob", Kind: storev1.LedgerChangeKind_LEDGER_CHANGE_KIND_CLOSE}),
		change(&storev1.LedgerChange{Account: "alice", Kind: storev1.LedgerChangeKind_LEDGER_CHANGE_KIND_SET_LIMIT, OverdraftMinor: 50000}),
		change(&storev1.LedgerChange{Account: "@cash", Kind: storev1.LedgerChangeKind_LEDGER_CHANGE_KIND_SET_LIMIT, Unlimited: true}),
	}})
}

func agreesOnBytes(t *testing.T, data []byte, want *storev1.LedgerBatch) {
	t.Helper()
	var batch storev1.LedgerBatch
	if err := proto.Unmarshal(data, &batch); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &batch, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, data) {
		t.Errorf("generated code writes\n%x\nwe write\n%x", again, data)
	}
}

func id16(first, second, last byte) []byte {
	return append([]byte{first, second}, append(make([]byte, 13), last)...)
}

func TestGeneratedCodeAgreesOnTheRecords(t *testing.T) {
	for _, name := range []string{"state_v2.txt", "state_v4.txt"} {
		t.Run(name, func(t *testing.T) { agreesOnRecords(t, undump(t, name)) })
	}
}

func agreesOnRecords(t *testing.T, d *disk) {
	messages := map[byte]proto.Message{
		'a': &storev1.LedgerAccount{}, 'e': &storev1.LedgerEntry{}, 'f': &storev1.LedgerFinished{},
		'h': &storev1.LedgerHold{}, 'm': &storev1.LedgerMeta{}, 's': &storev1.LedgerLine{}, 't': &storev1.LedgerTotal{},
	}
	seen := map[byte]bool{}
	for key, value := range d.values {
		m := messages[key[0]]
		if err := proto.Unmarshal(value, m); err != nil {
			t.Fatalf("%x: %v", key, err)
		}
		if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
			t.Errorf("%x: the .proto doesn't know %x", key, unknown)
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil || !bytes.Equal(again, value) {
			t.Errorf("%x: generated code writes %x, we write %x (%v)", key, again, value, err)
		}
		seen[key[0]] = true
	}
	if len(seen) != len(messages) {
		t.Errorf("the golden state has only records of %v", seen)
	}
}
