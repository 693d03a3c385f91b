package backend

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// startBackend starts node 1 of a cluster whose other nodes never come.
func startBackend(t *testing.T, nodes int, changes ...func(*node.Config)) api.Backend {
	t.Helper()
	c := node.Config{Cluster: "test", Node: 1, DataDir: filepath.Join(t.TempDir(), "data")}
	bankNodes := []uint64{}
	var door net.Listener // of node 1, for its peers
	for id := range uint64(nodes) {
		place := node.NodeConfig{ID: id + 1}
		for _, address := range []*string{&place.Peer, &place.GRPC, &place.HTTP} {
			l := listen(t)
			*address = l.Addr().String()
			if door == nil {
				door = l
			} else {
				defer l.Close() // not before all are found, or one could be found twice
			}
		}
		c.Nodes = append(c.Nodes, place)
		bankNodes = append(bankNodes, id+1)
	}
	for _, id := range []string{"north", "south"} {
		c.Banks = append(c.Banks, node.BankConfig{ID: id, Nodes: bankNodes})
	}
	for _, change := range changes {
		change(&c)
	}
	n, err := node.Start(c, node.Options{Listener: door})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return New(n, "test")
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const patience = time.Minute

// poll tries until it succeeds.
func poll(t *testing.T, try func() error) error {
	ctx := ctxFor(t, patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func ctxFor(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func somePayment(minor int64) transfer.Transfer {
	return transfer.Transfer{
		ID: client.NewID(), Deadline: time.Now().Add(10 * time.Second),
		Legs: []transfer.Leg{
			{Bank: "north", Account: "@cash", Direction: transfer.Debit, AmountMinor: minor, Currency: "EUR"},
			{Bank: "south", Account: "bob", Direction: transfer.Credit, AmountMinor: minor, Currency: "EUR"},
		},
	}
}

func TestBackendCarriesEveryQuestionToTheNode(t *testing.T) {
	b := startBackend(t, 1)
	ctx := ctxFor(t, patience)
	for _, open := range []struct {
		at    transfer.BankID
		terms bank.Terms
	}{
		{"north", bank.Terms{ID: "@cash", Currency: "EUR", Unlimited: true}},
		{"south", bank.Terms{ID: "bob", Currency: "EUR", OverdraftMinor: 5}},
		{"south", bank.Terms{ID: "carol", Currency: "EUR"}},
	} {
		if a, err := b.OpenAccount(ctx, open.at, open.terms); err != nil || a.Terms != open.terms {
			t.Fatalf("open %s: %+v, %v", open.terms.ID, a, err)
		}
	}
	batch := []transfer.Transfer{somePayment(1), somePayment(2), somePayment(3)}
	records, errs := b.Submit(ctx, batch)
	for i := range batch {
		if errs[i] != nil || records[i].State != transfer.Committed || records[i].Transfer.ID != batch[i].ID {
			t.Errorf("transfer %d: %+v, %v", i, records[i], errs[i])
		}
	}
	if r, err := b.Transfer(ctx, batch[1].ID); err != nil || r.State != transfer.Committed {
		t.Errorf("read a transfer: %+v, %v", r, err)
	}
	err := poll(t, func() error { // a bank applies a decided transfer a moment after the client has heard of it
		if a, err := b.Account(ctx, "south", "bob"); err != nil || a.PostedMinor != 6 {
			return errors.Join(errors.New("bob doesn't have 6 yet"), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if page, err := b.Accounts(ctx, "south", "bob", 10); err != nil || len(page) != 1 || page[0].ID != "carol" {
		t.Errorf("accounts after bob: %+v, %v", page, err)
	}
	if page, err := b.Entries(ctx, "south", 1, 1); err != nil || len(page) != 1 || page[0].Seq != 2 {
		t.Errorf("one entry after the first: %+v, %v", page, err)
	}
	if a, err := b.Audit(ctx, "south"); err != nil || a.LastEntry != 3 || len(a.Totals) != 1 || a.Totals[0].PostedMinor != 6 {
		t.Errorf("audit: %+v, %v", a, err)
	}
	s, err := b.Status(ctx)
	if err != nil || s.Cluster != "test" || s.Node != 1 || s.Committed != 3 || s.InDoubt != 0 || len(s.Groups) != 4 || len(s.Banks) != 2 || s.LastSyncP99 == 0 {
		t.Errorf("status: %+v, %v", s, err)
	}
}

// TestNothingWasChangedIsHeardInTime: only the lane knows that nobody was asked. If the deadline ended the waiting first, a client
// would hear "unknown" for what never left.
func TestNothingWasChangedIsHeardInTime(t *testing.T) {
	b := startBackend(t, 3)
	questions := map[string]func(context.Context) error{
		"submit": func(ctx context.Context) error {
			_, errs := b.Submit(ctx, []transfer.Transfer{somePayment(1)})
			return errs[0]
		},
		"account": func(ctx context.Context) error {
			_, err := b.Account(ctx, "north", "@cash")
			return err
		},
		"audit": func(ctx context.Context) error {
			_, err := b.Audit(ctx, "north")
			return err
		},
	}
	for name, ask := range questions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := ask(ctxFor(t, 2*time.Second)); !errors.Is(err, transfer.ErrNoLeader) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// outcomes are what SubmitEach tells.
type outcomes struct {
	records []transfer.Record
	errs    []error
	told    chan int
}

func submitEach(b api.Backend, batch []transfer.Transfer, grace time.Duration) (o *outcomes, forget func()) {
	o = &outcomes{records: make([]transfer.Record, len(batch)), errs: make([]error, len(batch)), told: make(chan int, 2*len(batch))}
	return o, b.SubmitEach(grace, batch, func(i int, r transfer.Record, err error) {
		o.records[i], o.errs[i] = r, err
		o.told <- i
	})
}

// await waits until each was told, and wants each told once.
func (o *outcomes) await(t *testing.T) {
	t.Helper()
	seen := make([]bool, len(o.records))
	for range seen {
		select {
		case i := <-o.told:
			if seen[i] {
				t.Errorf("%d is told twice", i)
			}
			seen[i] = true
		case <-time.After(patience):
			t.Fatalf("told so far: %v", seen)
		}
	}
}

func TestEachOutcomeIsToldByItself(t *testing.T) {
	b := startBackend(t, 1)
	ctx := ctxFor(t, patience)
	for at, terms := range map[transfer.BankID]bank.Terms{"north": {ID: "@cash", Currency: "EUR", Unlimited: true}, "south": {ID: "bob", Currency: "EUR"}} {
		if _, err := b.OpenAccount(ctx, at, terms); err != nil {
			t.Fatal(err)
		}
	}
	batch := []transfer.Transfer{somePayment(1), somePayment(2), somePayment(3)}
	batch[1].Legs[1].Account = "nobody"
	o, _ := submitEach(b, batch, time.Second)
	o.await(t)
	for i, want := range []transfer.State{transfer.Committed, transfer.Aborted, transfer.Committed} {
		if o.errs[i] != nil || o.records[i].State != want || o.records[i].Transfer.ID != batch[i].ID {
			t.Errorf("transfer %d: %+v, %v", i, o.records[i], o.errs[i])
		}
	}
}

func TestWhatNobodyCanDecideIsToldInTime(t *testing.T) {
	b := startBackend(t, 3) // the others never come
	p := somePayment(1)
	p.Deadline = time.Now().Add(500 * time.Millisecond)
	o, _ := submitEach(b, []transfer.Transfer{p}, time.Second)
	o.await(t)
	if !errors.Is(o.errs[0], transfer.ErrNoLeader) {
		t.Errorf("got %v", o.errs[0])
	}
	o, forget := submitEach(b, []transfer.Transfer{somePayment(1)}, time.Second)
	forget()
	o2, _ := submitEach(b, []transfer.Transfer{p}, time.Second)
	if o2.await(t); len(o.told) != 0 {
		t.Errorf("a forgotten one is told: %v", o.errs[0])
	}
}

func TestPagesGoOnUntilEnoughHasCome(t *testing.T) {
	upTo := func(last int) func(int, []int) ([]int, error) {
		return func(limit int, got []int) (page []int, err error) {
			for n := len(got) + 1; n <= last && len(page) < min(limit, 3); n++ {
				page = append(page, n)
			}
			return page, nil
		}
	}
	for _, tt := range []struct{ limit, last, want int }{{7, 100, 7}, {7, 5, 5}, {3, 3, 3}, {5, 0, 0}, {0, 100, 0}} {
		got, err := pages(tt.limit, upTo(tt.last))
		if err != nil || len(got) != tt.want {
			t.Errorf("%d of %d: got %v, %v", tt.limit, tt.last, got, err)
		}
	}
	broken := errors.New("broken")
	if got, err := pages(5, func(int, []int) ([]int, error) { return nil, broken }); got != nil || !errors.Is(err, broken) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSyncMeterForgetsWhatIsLongAgo(t *testing.T) {
	var m syncMeter
	var counts storage.Metrics
	at := time.Unix(0, 0)
	look := func(after time.Duration) time.Duration {
		t.Helper()
		at = at.Add(after)
		got, err := m.p99(at, func() (storage.Metrics, error) { return counts, nil })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	commits := func(bucket int, n uint64) {
		counts.CommitTime.Count += n
		counts.CommitTime.Buckets[bucket] += n
		counts.CommitTime.Max = max(counts.CommitTime.Max, counts.CommitTime.Bound(bucket))
	}
	commits(10, 1000)
	slow := look(time.Hour)
	if slow != counts.CommitTime.Bound(10) {
		t.Errorf("slow commits: %v", slow)
	}
	commits(2, 100)
	if got := look(syncInterval / 2); got != slow {
		t.Errorf("within the interval: %v", got)
	}
	if got := look(syncInterval); got != counts.CommitTime.Bound(2) {
		t.Errorf("fast commits later: %v", got)
	}
	if got := look(syncInterval); got != counts.CommitTime.Bound(2) {
		t.Errorf("no commits at all: %v", got)
	}
	if _, err := m.p99(at.Add(time.Hour), func() (storage.Metrics, error) { return counts, storage.ErrClosed }); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("a closed store: %v", err)
	}
}
