package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// BatchMax is how many transfers one request may carry.
const BatchMax = 8190

const (
	// A request waits for its transfer's own time, and this much longer, so that it still hears "aborted".
	waitGrace   = 2 * time.Second
	readTimeout = 10 * time.Second // of a read or a cancel that set none itself
)

// desk is what both faces do with a request once it is read.
type desk struct {
	backend  Backend
	timeouts Timeouts
	door     *door
	count    *Metrics
	draining context.Context // ends when the node begins to stop
	watchers watchers
}

// order is one transfer as it was asked for. err says why it can't be one.
type order struct {
	transfer transfer.Transfer // without its deadline
	timeout  *time.Duration    // nil: none was named
	hold     bool
	// holdTimeout is how long the client has to capture a hold; nil: none was named.
	holdTimeout *time.Duration
	err         error
}

// submit hands one transfer over and waits for its outcome.
func (d *desk) submit(ctx context.Context, o order) (transfer.Record, error) {
	records, errs := d.submitAll(ctx, []order{o})
	return records[0], errs[0]
}

// submitAll hands over those orders that are valid, together, and waits for each outcome.
func (d *desk) submitAll(ctx context.Context, orders []order) (records []transfer.Record, errs []error) {
	records, errs = make([]transfer.Record, len(orders)), make([]error, len(orders))
	defer func(began time.Time) { d.count.submitted(began, records, errs) }(time.Now())
	valid, place, longest := d.take(ctx, orders, func(i int, err error) { errs[i] = &requestError{orders[i].transfer.ID, err} })
	if len(valid) == 0 {
		return records, errs
	}
	ctx, cancel := withDefaultTimeout(ctx, longest+waitGrace)
	defer cancel()
	outcomes, failures := d.backend.Submit(ctx, valid)
	if len(outcomes) != len(valid) || len(failures) != len(valid) {
		lost := fmt.Errorf("%d transfers were submitted, %d records and %d errors came back", len(valid), len(outcomes), len(failures))
		for _, i := range place {
			errs[i] = &requestError{orders[i].transfer.ID, lost}
		}
		return records, errs
	}
	for n, i := range place {
		if failures[n] != nil {
			errs[i] = &requestError{valid[n].ID, failures[n]}
			continue
		}
		records[i] = outcomes[n]
	}
	return records, errs
}

// submitEach hands over those orders that are valid, together, and has each outcome told by its place, as Backend.SubmitEach does.
func (d *desk) submitEach(ctx context.Context, orders []order, tell func(i int, record transfer.Record, err error)) (forget func()) {
	began := time.Now()
	counted := func(i int, record transfer.Record, err error) {
		d.count.submittedOne(began, &record, err)
		tell(i, record, err)
	}
	valid, place, _ := d.take(ctx, orders, func(i int, err error) { counted(i, transfer.Record{}, err) })
	if len(valid) == 0 {
		return func() {}
	}
	return d.backend.SubmitEach(waitGrace, valid, func(n int, record transfer.Record, err error) { counted(place[n], record, err) })
}

// take gives the transfers of one request that can be handed over, where in orders each is, and how long the longest may take. refuse hears of all others.
func (d *desk) take(ctx context.Context, orders []order, refuse func(i int, err error)) (valid []transfer.Transfer, place []int, longest time.Duration) {
	valid, place = make([]transfer.Transfer, 0, len(orders)), make([]int, 0, len(orders))
	d.look(ctx, orders)
	now := time.Now()
	for i := range orders {
		t, err := d.accept(ctx, &orders[i], now)
		if err != nil {
			refuse(i, err)
			continue
		}
		valid, place = append(valid, t), append(place, i)
		longest = max(longest, t.Deadline.Sub(now))
	}
	if len(valid) == 0 {
		return nil, nil, 0
	}
	if err := d.door.pace.admitRest(now, callerOf(ctx), len(orders)); err != nil { // the first has been counted at the door
		for _, i := range place {
			refuse(i, err)
		}
		return nil, nil, 0
	}
	return valid, place, longest
}

// refuses says what is wrong with an order before anybody else is asked.
func (d *desk) refuses(ctx context.Context, o *order) error {
	one := []order{*o}
	d.look(ctx, one)
	*o = one[0]
	t, err := d.accept(ctx, o, time.Now())
	if err == nil {
		err = d.backend.Full()
	}
	if err != nil {
		d.count.refused(1, err)
		return &requestError{t.ID, err}
	}
	return nil
}

// accept is the transfer of an order, if it is one and the caller may move its money.
func (d *desk) accept(ctx context.Context, o *order, now time.Time) (transfer.Transfer, error) {
	t, err := o.accept(now, d.timeouts)
	if err == nil {
		err = mayMove(ctx, t.Legs)
	}
	return t, err
}

// accept is the transfer of the order, valid and with its deadline.
func (o *order) accept(now time.Time, limits Timeouts) (transfer.Transfer, error) {
	t := o.transfer
	if o.err != nil {
		return t, o.err
	}
	timeout := limits.Default
	if o.timeout != nil {
		timeout = *o.timeout
	}
	if err := limits.check(timeout); err != nil {
		return t, err
	}
	t.Deadline = now.Add(timeout)
	if err := o.acceptHold(&t, now); err != nil {
		return t, err
	}
	return t, t.Validate()
}

func withDefaultTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, set := ctx.Deadline(); set {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

func (d *desk) transfer(ctx context.Context, id string) (transfer.Record, error) {
	return about(ctx, id, d.backend.Transfer)
}

func (d *desk) staleTransfer(ctx context.Context, id string) (transfer.Record, error) {
	return about(ctx, id, d.backend.StaleTransfer)
}

// cancelTransfer waits for what became of the transfer.
func (d *desk) cancelTransfer(ctx context.Context, id string) (transfer.Record, error) {
	return d.end(ctx, id, d.backend.Cancel)
}

// end is what somebody does to a transfer that is there already. Who is bound to banks must be allowed to move all its legs.
func (d *desk) end(ctx context.Context, id string, ask func(context.Context, transfer.ID) (transfer.Record, error)) (transfer.Record, error) {
	return about(ctx, id, func(ctx context.Context, id transfer.ID) (transfer.Record, error) {
		if c := callerOf(ctx); c != nil && len(c.Banks) > 0 {
			if record, err := d.backend.Transfer(ctx, id); err == nil && mayMove(ctx, record.Transfer.Legs) != nil {
				return transfer.Record{}, mayMove(ctx, record.Transfer.Legs)
			} else if err != nil && !errors.Is(err, transfer.ErrTransferNotFound) {
				return record, err
			}
		}
		return ask(ctx, id)
	})
}

// about asks about one transfer.
func about(ctx context.Context, id string, ask func(context.Context, transfer.ID) (transfer.Record, error)) (transfer.Record, error) {
	parsed, err := transfer.ParseID(id)
	if err != nil {
		return transfer.Record{}, err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	record, err := ask(ctx, parsed)
	if err != nil {
		return record, &requestError{parsed, err}
	}
	if err := maySee(ctx, &record); err != nil {
		return transfer.Record{}, &requestError{parsed, err}
	}
	return record, nil
}

func (d *desk) openAccount(ctx context.Context, bankID transfer.BankID, terms bank.Terms) (bank.Account, error) {
	if err := checkTerms(bankID, terms); err != nil {
		return bank.Account{}, err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.OpenAccount(ctx, bankID, terms)
}

func checkTerms(bankID transfer.BankID, terms bank.Terms) error {
	if err := checkNames(bankID, terms.ID); err != nil {
		return err
	}
	if err := checkReachable(string(terms.ID)); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	if !terms.Currency.Known() {
		return fmt.Errorf("%w: got %q", transfer.ErrInvalidCurrency, clip(string(terms.Currency)))
	}
	if terms.OverdraftMinor < 0 {
		return fmt.Errorf("%w: got %d", transfer.ErrInvalidOverdraft, terms.OverdraftMinor)
	}
	if terms.Unlimited && terms.OverdraftMinor != 0 {
		return fmt.Errorf("%w: an account without a limit can't have one of %d", transfer.ErrInvalidOverdraft, terms.OverdraftMinor)
	}
	return nil
}

// checkReachable refuses names that no path of HTTP can lead to: clients and proxies take them for directories.
func checkReachable(name string) error {
	if name == "." || name == ".." {
		return fmt.Errorf("%w: got %q, which a path leaves out", transfer.ErrInvalidName, name)
	}
	return nil
}

func checkNames(bankID transfer.BankID, account transfer.AccountID) error {
	if err := checkBank(bankID); err != nil {
		return err
	}
	if err := transfer.ValidateName(string(account)); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	return nil
}

func checkBank(bankID transfer.BankID) error {
	if err := transfer.ValidateName(string(bankID)); err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	return nil
}

func (d *desk) account(ctx context.Context, bankID transfer.BankID, id transfer.AccountID) (bank.Account, error) {
	if err := checkNames(bankID, id); err != nil {
		return bank.Account{}, err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.Account(ctx, bankID, id)
}

func (d *desk) accounts(ctx context.Context, bankID transfer.BankID, size int, token string) (accounts []bank.Account, next string, err error) {
	limit, err := pageSize(size)
	if err != nil {
		return nil, "", err
	}
	after, err := accountOfToken(token)
	if err != nil {
		return nil, "", err
	}
	if err := checkBank(bankID); err != nil {
		return nil, "", err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	accounts, err = d.backend.Accounts(ctx, bankID, after, limit+1) // one more tells whether there is a next page
	if err != nil || len(accounts) <= limit {
		return accounts, "", err
	}
	accounts = accounts[:limit]
	return accounts, tokenOf(ofAccounts, string(accounts[limit-1].ID)), nil
}

func (d *desk) entries(ctx context.Context, bankID transfer.BankID, size int, token string) (entries []bank.Entry, next string, err error) {
	limit, err := pageSize(size)
	if err != nil {
		return nil, "", err
	}
	after, err := seqOfToken(ofEntries, token)
	if err != nil {
		return nil, "", err
	}
	if err := checkBank(bankID); err != nil {
		return nil, "", err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	entries, err = d.backend.Entries(ctx, bankID, after, limit+1)
	if err != nil || len(entries) <= limit {
		return entries, "", err
	}
	entries = entries[:limit]
	return entries, tokenOfSeq(ofEntries, entries[limit-1].Seq), nil
}

func (d *desk) audit(ctx context.Context, bankID transfer.BankID) (bank.Audit, error) {
	if err := checkBank(bankID); err != nil {
		return bank.Audit{}, err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.Audit(ctx, bankID)
}

func (d *desk) status(ctx context.Context) (Status, error) {
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.Status(ctx)
}

// newID makes a UUIDv7: ids made one after another sort in that order.
func newID() (transfer.ID, error) {
	id, err := uuid.NewV7()
	return transfer.ID(id), err
}

// clip keeps a stranger's string short enough for a message.
func clip(s string) string {
	const longest = 64
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
