package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// disk is a Reader over a map. It reuses its slices, as a real one may, and fails when told to.
type disk struct {
	values  map[string][]byte
	failing bool
	buffer  []byte

	finishedGets int // how often it was asked for a finished transfer

	pending bool // a checkpoint was taken and is not yet written
	kvs     []ledger.KV
}

var errDisk = errors.New("the disk is gone")

func newDisk() *disk { return &disk{values: map[string][]byte{}} }

func (d *disk) write(kvs []ledger.KV) {
	for _, kv := range kvs {
		if kv.Value == nil {
			delete(d.values, string(kv.Key))
		} else {
			d.values[string(kv.Key)] = bytes.Clone(kv.Value)
		}
	}
}

func (d *disk) Get(key []byte) ([]byte, bool, error) {
	if d.failing {
		return nil, false, errDisk
	}
	if key[0] == 'f' {
		d.finishedGets++
	}
	value, ok := d.values[string(key)]
	return d.reused(value), ok, nil
}

func (d *disk) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if d.failing {
		return errDisk
	}
	key := []byte(nil)
	for _, k := range slices.Sorted(maps.Keys(d.values)) {
		if k < string(from) || k >= string(to) {
			continue
		}
		key = append(key[:0], k...)
		if !fn(key, d.reused(d.values[k])) {
			return nil
		}
	}
	return nil
}

func (d *disk) reused(value []byte) []byte {
	d.buffer = append(d.buffer[:0], value...)
	return d.buffer
}

// book is a ledger with what a test wants to say in one word.
type book struct {
	t testing.TB
	*ledger.Ledger
	disk  *disk // nil: in memory only
	index uint64
	at    time.Time
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newBook(t testing.TB, d *disk) *book {
	t.Helper()
	var reader ledger.Reader // a nil *disk would not be a nil Reader
	if d != nil {
		reader = d
	}
	l, err := ledger.New(reader)
	if err != nil {
		t.Fatal(err)
	}
	return &book{t: t, Ledger: l, disk: d, index: l.Index(), at: epoch}
}

func (b *book) apply(commands ...ledger.Command) []ledger.Result {
	b.t.Helper()
	b.index++
	results, err := b.Apply(b.index, ledger.Encode(b.at, commands))
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.Clone(results)
}

func (b *book) ask(q bank.Request) bank.Answer {
	b.t.Helper()
	return b.apply(ledger.Command{Request: &q})[0].Answer
}

func (b *book) open(terms ...bank.Terms) {
	b.t.Helper()
	for _, t := range terms {
		if r := b.apply(ledger.Command{Open: &t})[0]; r.Err != nil {
			b.t.Fatal(r.Err)
		}
	}
}

// fund moves money from @cash to an account.
func (b *book) fund(account transfer.AccountID, minor int64) {
	b.t.Helper()
	id := transfer.ID{0xCA, 0x5B, byte(b.index >> 8), byte(b.index)}
	b.ask(prepare(id, debit("@cash", minor), credit(account, minor)))
	if a := b.ask(request(bank.Commit, id)); a.Result != bank.Done {
		b.t.Fatalf("fund %s: %v", account, a)
	}
}

func (b *book) account(id transfer.AccountID) bank.Account {
	b.t.Helper()
	a, ok, err := b.Account(id)
	if err != nil || !ok {
		b.t.Fatalf("account %s: found %t, error %v", id, ok, err)
	}
	return a
}

// statement is all entries of one account in a period, in the pages of a client in a hurry.
func (b *book) statement(id transfer.AccountID, since, until time.Time) []bank.Entry {
	b.t.Helper()
	var all []bank.Entry
	for after, more := uint64(0), true; more; {
		var page []bank.Entry
		var err error
		last := after
		if page, after, more, err = b.Statement(id, after, since, until, 2); err != nil {
			b.t.Fatal(err)
		}
		if more && after <= last {
			b.t.Fatalf("a page after entry %d ends at %d", last, after)
		}
		all = append(all, page...)
	}
	return all
}

func (b *book) check() {
	b.t.Helper()
	if err := b.Check(); err != nil {
		b.t.Fatal(err)
	}
}

func czk(id transfer.AccountID) bank.Terms { return bank.Terms{ID: id, Currency: "CZK"} }

func debit(account transfer.AccountID, minor int64) transfer.Leg {
	return transfer.Leg{Account: account, Direction: transfer.Debit, AmountMinor: minor, Currency: "CZK"}
}

func credit(account transfer.AccountID, minor int64) transfer.Leg {
	return transfer.Leg{Account: account, Direction: transfer.Credit, AmountMinor: minor, Currency: "CZK"}
}

func request(op bank.Op, id transfer.ID) bank.Request { return bank.Request{Op: op, ID: id} }

// prepare gives equal legs an equal fingerprint.
func prepare(id transfer.ID, legs ...transfer.Leg) bank.Request {
	content := transfer.Transfer{Legs: legs}
	return bank.Request{Op: bank.Prepare, ID: id, Fingerprint: content.Fingerprint(), Legs: legs}
}

// resolveOf asks what became of a prepare.
func resolveOf(p bank.Request) bank.Request {
	return bank.Request{Op: bank.Resolve, ID: p.ID, Fingerprint: p.Fingerprint}
}

func reasonText(r transfer.Reason) string { return fmt.Sprintf("%s: %s", r.Code, r.Detail) }

// save makes a checkpoint durable, whole, and confirms it.
func (b *book) save() {
	b.t.Helper()
	if !b.disk.pending {
		b.disk.kvs = b.Checkpoint()
	}
	b.disk.write(append(b.disk.kvs, b.Sealed(math.MaxInt32)...))
	b.disk.pending, b.disk.kvs = false, nil
	b.Checkpointed()
}

// whole is all of a checkpoint at once.
func (b *book) whole() []ledger.KV { return append(b.Checkpoint(), b.Sealed(math.MaxInt32)...) }

// setStatus changes an account on disk behind the ledger's back, in the words of the generated code.
func (d *disk) setStatus(t testing.TB, id transfer.AccountID, status bank.AccountStatus) {
	t.Helper()
	key := "a" + string(id)
	var record storev1.LedgerAccount
	if err := proto.Unmarshal(d.values[key], &record); err != nil {
		t.Fatal(err)
	}
	record.Status = storev1.LedgerAccountStatus(status)
	value, err := proto.Marshal(&record)
	if err != nil {
		t.Fatal(err)
	}
	d.values[key] = value
	d.rehash(t)
}

// rehash takes the state hash from Check's complaint, so that the change looks as if the bank had made it.
func (d *disk) rehash(t testing.TB) {
	t.Helper()
	var was, is uint64
	complaint := newBook(t, d).Check()
	if _, err := fmt.Sscanf(fmt.Sprint(complaint), "state hash is %x, the records give %x", &was, &is); err != nil {
		t.Fatalf("a changed record was not noticed: %v", complaint)
	}
	var meta storev1.LedgerMeta
	if err := proto.Unmarshal(d.values["m"], &meta); err != nil {
		t.Fatal(err)
	}
	meta.Hash = is
	d.values["m"], _ = proto.Marshal(&meta)
}

// strangeBank has an account of every kind.
func strangeBank(t testing.TB) *book {
	t.Helper()
	d := newDisk()
	b := aliceAndBob(t, d)
	b.open(bank.Terms{ID: "poor", Currency: "CZK", OverdraftMinor: 50000}, czk("cold"), czk("gone"))
	b.save()
	d.setStatus(t, "cold", bank.Frozen)
	d.setStatus(t, "gone", bank.Closed)
	return newBook(t, d)
}

func mustAccounts(b *book) []bank.Account {
	b.t.Helper()
	accounts, err := b.Accounts("", math.MaxInt)
	if err != nil {
		b.t.Fatal(err)
	}
	return accounts
}

func codeOf(err error) transfer.Code {
	var coded *transfer.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}
