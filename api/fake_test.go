package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/bank"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

var epoch = time.Date(2026, 11, 23, 10, 30, 0, 123456789, time.UTC)

// fake is a Backend that answers at once: every transfer commits, unless a function says otherwise.
type fake struct {
	mu     sync.Mutex
	known  map[transfer.ID]transfer.Record
	seen   []transfer.Transfer // what Submit was given
	fail   error               // every method's answer, if set
	groups []api.GroupStatus
	leader string         // what Leader says
	full   error          // what Full says
	later  sync.WaitGroup // goroutines of SubmitEach

	members []api.Member
	tokens  map[api.TokenHash]api.Token
	changes []api.ClusterChange // what ChangeCluster was given
	queries []api.TransferQuery // what Transfers was given

	looks      int  // how often Status was asked
	watchFails int  // so many times nobody can say what was decided
	silent     bool // nothing new is decided

	submit func(ctx context.Context, t transfer.Transfer) (transfer.Record, error)
}

func newFake() *fake {
	return &fake{known: map[transfer.ID]transfer.Record{}, tokens: map[api.TokenHash]api.Token{}, groups: []api.GroupStatus{
		{Group: "coordinator/0", Role: "leader", Leader: 1, Term: 3, Commit: 41, Applied: 40, Members: []uint64{1, 2, 3}},
	}}
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}

func (f *fake) Submit(ctx context.Context, transfers []transfer.Transfer) ([]transfer.Record, []error) {
	f.mu.Lock()
	f.seen = append(f.seen, transfers...)
	fail, submit := f.fail, f.submit
	f.mu.Unlock()
	records, errs := make([]transfer.Record, len(transfers)), make([]error, len(transfers))
	for i, t := range transfers {
		switch {
		case fail != nil:
			errs[i] = fail
		case submit != nil:
			records[i], errs[i] = submit(ctx, t)
		case t.IsHold():
			records[i] = transfer.Record{Transfer: t, State: transfer.Held, CreatedAt: epoch}
		default:
			records[i] = committed(t)
		}
		if errs[i] == nil {
			f.set(func(f *fake) { f.known[t.ID] = records[i] })
		}
	}
	return records, errs
}

// Full says what was set.
func (f *fake) Full() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}

// SubmitEach tells what Submit gives, from another goroutine and in the wrong order.
func (f *fake) SubmitEach(_ time.Duration, transfers []transfer.Transfer, tell func(int, transfer.Record, error)) (forget func()) {
	ctx, cancel := context.WithCancel(context.Background())
	f.later.Go(func() {
		defer cancel()
		for i := len(transfers) - 1; i >= 0; i-- {
			records, errs := f.Submit(ctx, transfers[i:i+1])
			if ctx.Err() == nil {
				tell(i, records[0], errs[0])
			}
		}
	})
	return cancel
}

func (f *fake) Leader() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader
}

func committed(t transfer.Transfer) transfer.Record {
	return transfer.Record{Transfer: t, State: transfer.Committed, Settled: true, CreatedAt: epoch, DecidedAt: epoch.Add(time.Millisecond)}
}

func aborted(t transfer.Transfer) transfer.Record {
	return transfer.Record{Transfer: t, State: transfer.Aborted, CreatedAt: epoch, DecidedAt: epoch.Add(time.Millisecond), Reason: transfer.Reason{
		Code: transfer.ErrInsufficientFunds.Code, Bank: "HOME", Detail: "account alice has 5.00 CZK available, needs 10.50",
		Shortfall: &transfer.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: 500, NeededMinor: 1050},
	}}
}

// Cancel comes too late for what is known, and closes every other id.
func (f *fake) Cancel(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	if r, err := f.Transfer(ctx, id); err == nil || f.failure() != nil {
		return r, err
	}
	r := transfer.Record{Transfer: transfer.Transfer{ID: id}, State: transfer.Aborted, Settled: true, CreatedAt: epoch, DecidedAt: epoch}
	r.Reason = transfer.Reason{Code: transfer.ErrCancelled.Code, Detail: "a client cancelled it before any coordinator knew it"}
	f.set(func(f *fake) { f.known[id] = r })
	return r, nil
}

// Capture and Void end what is held.
func (f *fake) Capture(ctx context.Context, id transfer.ID, amountsMinor []int64) (transfer.Record, error) {
	return f.conclude(ctx, id, transfer.Committed, amountsMinor)
}

func (f *fake) Void(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	return f.conclude(ctx, id, transfer.Aborted, nil)
}

func (f *fake) conclude(ctx context.Context, id transfer.ID, state transfer.State, amountsMinor []int64) (transfer.Record, error) {
	r, err := f.Transfer(ctx, id)
	if err != nil || r.State != transfer.Held {
		return r, err
	}
	if r.CapturedMinor, err = r.Transfer.Capture(amountsMinor); err != nil {
		return r, err
	}
	r.State, r.DecidedAt = state, epoch
	if state == transfer.Aborted {
		r.Reason = transfer.Reason{Code: transfer.ErrVoided.Code, Detail: "its client voided it"}
	}
	f.set(func(f *fake) { f.known[id] = r })
	return r, nil
}

func (f *fake) Transfer(_ context.Context, id transfer.ID) (transfer.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return transfer.Record{}, f.fail
	}
	r, known := f.known[id]
	if !known {
		return transfer.Record{}, fmt.Errorf("%w: %s", transfer.ErrTransferNotFound, id)
	}
	return r, nil
}

// StaleTransfer has heard of nothing since the fake's birth but what was committed.
func (f *fake) StaleTransfer(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	r, err := f.Transfer(ctx, id)
	r.State, r.Settled, r.DecidedAt = transfer.Pending, false, time.Time{}
	return r, err
}

func (f *fake) Members(context.Context) ([]api.Member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members, f.fail
}

func (f *fake) Tokens(context.Context) (out []api.Token, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tokens {
		out = append(out, t)
	}
	return out, f.fail
}

func (f *fake) AddToken(_ context.Context, t api.Token, hash api.TokenHash) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.tokens[hash] = t
	}
	return f.fail
}

func (f *fake) RevokeToken(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for hash, t := range f.tokens {
		if t.Name == name {
			delete(f.tokens, hash)
			return nil
		}
	}
	return fmt.Errorf("%w: %s", transfer.ErrUnknownToken, name)
}

func (f *fake) FindToken(hash api.TokenHash) (api.Token, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, found := f.tokens[hash]
	return t, found
}

func (f *fake) ChangeCluster(_ context.Context, c api.ClusterChange) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, c)
	return f.fail
}

func (f *fake) OpenAccount(_ context.Context, _ transfer.BankID, terms bank.Terms) (bank.Account, error) {
	return bank.Account{Terms: terms, Status: bank.Open}, f.failure()
}

func (f *fake) ChangeAccount(ctx context.Context, at transfer.BankID, c bank.Change) (bank.Account, error) {
	a, err := f.Account(ctx, at, c.Account)
	switch {
	case err != nil:
		return a, err
	case c.Kind == bank.Close && a.PostedMinor != 0:
		return a, fmt.Errorf("%w: %s", transfer.ErrAccountNotEmpty, c.Account)
	case c.Kind == bank.SetLimit:
		a.OverdraftMinor, a.Unlimited = c.OverdraftMinor, c.Unlimited
	default:
		a.Status = map[bank.ChangeKind]bank.AccountStatus{bank.Freeze: bank.Frozen, bank.Unfreeze: bank.Open, bank.Close: bank.Closed}[c.Kind]
	}
	return a, nil
}

// Statement has every second entry of the journal.
func (f *fake) Statement(ctx context.Context, at transfer.BankID, q api.StatementQuery) (api.StatementPage, error) {
	if _, err := f.Account(ctx, at, q.Account); err != nil {
		return api.StatementPage{}, err
	}
	all, err := f.Entries(ctx, at, 0, 1000)
	var page api.StatementPage
	for _, e := range all {
		switch {
		case e.Seq%2 == 0 || e.Seq <= q.AfterSeq || e.At.Before(q.Since) || (!q.Until.IsZero() && !e.At.Before(q.Until)):
		case len(page.Entries) == q.Limit:
			page.More = true
			return page, err
		default:
			page.Entries, page.LastSeq = append(page.Entries, e), e.Seq
		}
	}
	return page, err
}

func (f *fake) Account(_ context.Context, _ transfer.BankID, id transfer.AccountID) (bank.Account, error) {
	switch {
	case f.failure() != nil:
		return bank.Account{}, f.failure()
	case id == "@cash":
		return bank.Account{Terms: bank.Terms{ID: id, Currency: "CZK", Unlimited: true}, PostedMinor: -100000, IncomingMinor: 5, Status: bank.Open}, nil
	case id != "alice":
		return bank.Account{}, fmt.Errorf("%w: %s", transfer.ErrAccountNotFound, id)
	}
	return bank.Account{Terms: bank.Terms{ID: id, Currency: "CZK", OverdraftMinor: 100}, PostedMinor: 1000, HeldMinor: 300, Status: bank.Frozen}, nil
}

// accountsHeld is how many accounts and entries the fake bank has.
const accountsHeld = 5

func (f *fake) Accounts(_ context.Context, _ transfer.BankID, after transfer.AccountID, limit int) ([]bank.Account, error) {
	var out []bank.Account
	for i := range accountsHeld {
		id := transfer.AccountID(fmt.Sprintf("acct-%d", i+1))
		if id > after && len(out) < limit {
			out = append(out, bank.Account{Terms: bank.Terms{ID: id, Currency: "CZK"}, Status: bank.Open})
		}
	}
	return out, f.failure()
}

func (f *fake) Entries(_ context.Context, _ transfer.BankID, after uint64, limit int) ([]bank.Entry, error) {
	var out []bank.Entry
	for seq := uint64(1); seq <= accountsHeld; seq++ {
		if seq > after && len(out) < limit {
			out = append(out, bank.Entry{
				Seq: seq, Transfer: transfer.ID{15: byte(seq)}, Account: "alice", Currency: "CZK", AmountMinor: -1050,
				BalanceMinor: -1050 * int64(seq), At: epoch, Reference: "rent",
			})
		}
	}
	return out, f.failure()
}

func (f *fake) Audit(context.Context, transfer.BankID) (bank.Audit, error) {
	return bank.Audit{Totals: []bank.Total{{Currency: "CZK", PostedMinor: -7, HeldMinor: 3, IncomingMinor: 2, Accounts: 12}}, OpenHolds: 1, LastEntry: 99}, f.failure()
}

func (f *fake) Status(context.Context) (api.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return api.Status{
		Cluster: "test", Node: 1, Version: "v0", Started: epoch, Groups: f.groups,
		Banks:    []api.BankStatus{{ID: "HOME", Nodes: []uint64{1}, Leader: 1, Up: true, Breaker: "closed"}},
		InFlight: 2, InDoubt: 1, Committed: 10, Aborted: 3, LastSyncP99: 200 * time.Microsecond, DiskFull: true, DiskFree: 12 << 20,
	}, f.fail
}

// world is both faces of a fake node, and clients for them.
type world struct {
	t    *testing.T
	fake *fake
	srv  *api.Server
	url  string
	http *http.Client
	conn *grpc.ClientConn
	logs *lines
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func open(t *testing.T, change func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, fake: newFake(), logs: &lines{}}
	cfg := api.Config{GRPC: listen(t), HTTP: listen(t), Version: "v0", Log: slog.New(slog.NewTextHandler(w.logs, nil))}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.srv, err = api.Serve(cfg, w.fake); err != nil {
		t.Fatalf("serve: %v", err)
	}
	w.url = "http://" + cfg.HTTP.Addr().String()
	w.http = &http.Client{Transport: &http.Transport{}}
	if w.conn, err = grpc.NewClient(cfg.GRPC.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy()); err != nil {
		t.Fatalf("grpc client: %v", err)
	}
	t.Cleanup(func() {
		w.http.CloseIdleConnections()
		_ = w.conn.Close()
		w.stop(patience)
	})
	return w
}

func (w *world) stop(within time.Duration) error {
	if w.srv == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := w.srv.Stop(ctx)
	w.srv = nil
	return err
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return l
}

func (w *world) transfers() quoratev1.TransferServiceClient {
	return quoratev1.NewTransferServiceClient(w.conn)
}

func (w *world) accounts() quoratev1.AccountServiceClient {
	return quoratev1.NewAccountServiceClient(w.conn)
}

type reply struct {
	status int
	header http.Header
	body   string
}

// do sends one request. Headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) reply {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatalf("request: %v", err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{answer.StatusCode, answer.Header, string(text)}
}

// fields reads the reply as a JSON object.
func (r reply) fields(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(r.body), &out); err != nil {
		t.Fatalf("status %d, body %q: %v", r.status, r.body, err)
	}
	return out
}

const (
	idText = "01936b2e-0000-7000-8000-000000000001"
	legs   = `"legs":[{"bank":"HOME","account":"alice","direction":"debit","amount_minor":"1050","currency":"CZK"},` +
		`{"bank":"CITY","account":"bob","direction":"credit","amount_minor":"1050","currency":"CZK"}]`
	oneTransfer = `{"id":"` + idText + `",` + legs + `,"reference":"rent"}`
)

func spec(id string) *quoratev1.TransferSpec {
	return &quoratev1.TransferSpec{Id: id, Reference: "rent", Legs: []*quoratev1.Leg{
		{Bank: "HOME", Account: "alice", Direction: quoratev1.Direction_DIRECTION_DEBIT, AmountMinor: 1050, Currency: "CZK"},
		{Bank: "CITY", Account: "bob", Direction: quoratev1.Direction_DIRECTION_CREDIT, AmountMinor: 1050, Currency: "CZK"},
	}}
}
