package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// answerGrace is how much longer than the transfer's own time a client waits, so that it still hears "aborted".
const answerGrace = 3 * time.Second

func newTransfer() *cobra.Command {
	return newGroup("transfer", "Move money across banks", newTransferCreate(), newTransferGet(), newTransferList(), newTransferInDoubt(), newTransferWatch(),
		newTransferCapture(), newTransferVoid(), newTransferCancel(), newTransferImport(), newTransferExport())
}

// createOptions are the flags of `quorate transfer create`.
type createOptions struct {
	from, to, amount, currency string
	legs                       []string
	reference, id              string
	timeout                    time.Duration
	hold                       bool
	holdFor                    time.Duration
}

func newTransferCreate() *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Submit a transfer and wait for its outcome",
		Long: `Submit a transfer and wait for its outcome. The transfer's id goes to standard error before anything is sent: whatever
happens then, the same command with --id moves the money at most once. With --hold the money is reserved at all banks, or at none, and
waits for quorate transfer capture or void. Exit codes: 0 committed, or held, 4 aborted, 5 the id belongs to another transfer,
8 the outcome is not known yet.`,
		Example: `  quorate transfer create --from north/alice --to south/bob --amount 10.50 --currency EUR
  quorate transfer create --from north/alice --to south/shop --amount 80 --currency EUR --hold --hold-for 24h
  quorate transfer create --leg debit:north/alice:10.50:EUR --leg credit:south/bob:10.00:EUR --leg credit:south/@fees:0.50:EUR`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "the account to debit, as BANK/ACCOUNT")
	flags.StringVar(&o.to, "to", "", "the account to credit, as BANK/ACCOUNT")
	flags.StringVar(&o.amount, "amount", "", "how much, as a decimal: 10.50")
	flags.StringVar(&o.currency, "currency", "", "ISO 4217 code, in capitals: EUR")
	flags.StringArrayVar(&o.legs, "leg", nil, "instead of the four above: debit or credit:BANK/ACCOUNT:AMOUNT:CURRENCY, said once for each leg")
	flags.StringVar(&o.reference, "reference", "", "text for the statements")
	flags.StringVar(&o.id, "id", "", "the transfer's UUID, to ask for the same transfer again (default a new one)")
	flags.DurationVar(&o.timeout, "transfer-timeout", 0, "how long the transfer may take until it must be decided (default as the cluster is configured: 10s if it isn't)")
	flags.BoolVar(&o.hold, "hold", false, "reserve the money, and move it when it is captured")
	flags.DurationVar(&o.holdFor, "hold-for", 0, "with --hold: how long it may take until it is captured, more than --transfer-timeout and at most 720h; then it is voided (default 168h)")
	return cmd
}

func (o *createOptions) run(cmd *cobra.Command) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	if err := o.checkTimes(cmd.Flags().Changed); err != nil {
		return err
	}
	t, err := o.transfer()
	if err != nil {
		return err
	}
	c, err := dial(cmd, max(o.timeout, timeoutDefault)+answerGrace)
	if err != nil {
		return err
	}
	defer c.hangUp()
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "transfer %s\n", t.ID); err != nil {
		return fmt.Errorf("say the transfer's id before it is sent: %w", err)
	}
	if o.timeout != 0 {
		t.Deadline = time.Now().Add(o.timeout)
	}
	if o.hold {
		t.HoldUntil = time.Now().Add(o.holdFor)
	}
	record, err := c.Transfer(c.ctx, t)
	if _, verdict := api.Judge(err); err != nil && verdict.Outcome == api.Unknown {
		return &adviceError{err, rerunLine(cmd, t.ID)}
	}
	if errors.Is(err, transfer.ErrInvalidHold) { // it speaks of what was left of the time when it arrived
		return fmt.Errorf("--hold-for %v: %w", o.holdFor, err)
	}
	if err != nil {
		return err
	}
	if err := printTransfer(p, &record); err != nil {
		return err
	}
	if err := api.RecordError(record); err != nil {
		return &abortedError{t.ID, err}
	}
	return nil
}

// transfer reads the flags. What the cluster would refuse anyway is refused before anything is sent.
func (o *createOptions) transfer() (t transfer.Transfer, err error) {
	if t.ID, err = o.transferID(); err != nil {
		return t, err
	}
	if t.Legs, err = o.parseLegs(); err != nil {
		return t, err
	}
	t.Reference = o.reference
	return t, t.Validate()
}

func (o *createOptions) transferID() (transfer.ID, error) {
	if o.id != "" {
		return transfer.ParseID(o.id)
	}
	return client.NewID(), nil
}

func (o *createOptions) parseLegs() ([]transfer.Leg, error) {
	simple := o.from != "" || o.to != "" || o.amount != "" || o.currency != ""
	switch {
	case len(o.legs) > 0 && simple:
		return nil, usagef("--leg can't be used together with --from, --to, --amount or --currency")
	case len(o.legs) > 0:
		var legs []transfer.Leg
		for i, text := range o.legs {
			leg, err := parseLeg(text)
			if err != nil {
				return nil, fmt.Errorf("leg %d: %w", i+1, err)
			}
			legs = append(legs, leg)
		}
		return legs, nil
	case o.from == "" || o.to == "" || o.amount == "" || o.currency == "":
		return nil, usagef("a transfer needs --from, --to, --amount and --currency, or legs")
	}
	return o.twoLegs()
}

// twoLegs reads the flags of a transfer from one account to another. Each error names the flag that it is about.
func (o *createOptions) twoLegs() ([]transfer.Leg, error) {
	debit, credit := transfer.Leg{Direction: transfer.Debit}, transfer.Leg{Direction: transfer.Credit}
	var err error
	if debit.Bank, debit.Account, err = parsePlace(o.from); err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	if credit.Bank, credit.Account, err = parsePlace(o.to); err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	currency, err := transfer.ParseCurrency(o.currency)
	if err != nil {
		return nil, fmt.Errorf("--currency: %w", err)
	}
	minor, err := transfer.ParseDecimal(o.amount, currency)
	if err != nil {
		return nil, fmt.Errorf("--amount: %w", err)
	}
	debit.AmountMinor, credit.AmountMinor = minor, minor
	debit.Currency, credit.Currency = currency, currency
	return []transfer.Leg{debit, credit}, nil
}

// parseLeg reads debit:BANK/ACCOUNT:AMOUNT:CURRENCY. Names may have colons of their own, so the ends are cut off first.
func parseLeg(text string) (transfer.Leg, error) {
	word, rest, _ := strings.Cut(text, ":")
	rest, currency, ok := cutLast(rest, ":")
	place, amount, ok2 := cutLast(rest, ":")
	if !ok || !ok2 {
		return transfer.Leg{}, usagef("%q is no leg. try: --leg debit:north/alice:10.50:EUR", text)
	}
	switch word {
	case transfer.Debit.String():
		return makeLeg(transfer.Debit, place, amount, currency)
	case transfer.Credit.String():
		return makeLeg(transfer.Credit, place, amount, currency)
	}
	return transfer.Leg{}, fmt.Errorf("%w: got %q", transfer.ErrInvalidDirection, word)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func makeLeg(direction transfer.Direction, place, amount, currency string) (transfer.Leg, error) {
	at, account, err := parsePlace(place)
	if err != nil {
		return transfer.Leg{}, err
	}
	c, err := transfer.ParseCurrency(currency)
	if err != nil {
		return transfer.Leg{}, err
	}
	minor, err := transfer.ParseDecimal(amount, c)
	return transfer.Leg{Bank: at, Account: account, Direction: direction, AmountMinor: minor, Currency: c}, err
}

// parsePlace reads BANK/ACCOUNT.
func parsePlace(text string) (transfer.BankID, transfer.AccountID, error) {
	at, account, ok := strings.Cut(text, "/")
	if !ok {
		return "", "", usagef("%q is no account. why: it must be BANK/ACCOUNT. try: north/alice", text)
	}
	for _, name := range []string{at, account} {
		if err := transfer.ValidateName(name); err != nil {
			return "", "", err
		}
	}
	return transfer.BankID(at), transfer.AccountID(account), nil
}

// abortedError says that a transfer has come to its end, and that no money has moved. Only commands that asked
// for the money to move fail with it.
type abortedError struct {
	id     transfer.ID
	reason error
}

func (e *abortedError) Error() string {
	return fmt.Sprintf("transfer %s was aborted: %v", e.id, e.reason)
}
func (e *abortedError) Unwrap() error { return e.reason }

// rerunFlags are those that a re-run has to repeat, in the order of people.
var rerunFlags = []string{
	"from", "to", "amount", "currency", "leg", "reference", "hold", "hold-for", "transfer-timeout", "timeout", "context", "server", "ca", "cert", "key", "token-file", "output", "no-headers", "quiet",
}

// rerunLine is this command once more, with the transfer's id.
func rerunLine(cmd *cobra.Command, id transfer.ID) string {
	return strings.Join(append([]string{cmd.CommandPath(), "--id", id.String()}, changedFlags(cmd)...), " ")
}

// changedFlags are the flags of this command line, as a shell reads them; but for --id.
func changedFlags(cmd *cobra.Command) (words []string) {
	flags := cmd.Flags()
	for _, name := range rerunFlags {
		if flags.Lookup(name) == nil || !flags.Changed(name) {
			continue
		}
		values := []string{flags.Lookup(name).Value.String()}
		if list, err := flags.GetStringArray(name); err == nil {
			values = list
		}
		for _, v := range values {
			words = append(words, quoteForShell("--"+name+"="+v))
		}
	}
	return words
}

// quoteForShell leaves harmless words as they are.
func quoteForShell(word string) string {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	if strings.Trim(word, harmless) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func newTransferGet() *cobra.Command {
	var stale bool
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Say what became of a transfer",
		Long: `Say what became of a transfer, as of now. With --stale: what the server that answers has heard of, however old. That works without a leader,
and says that it is stale; a decided transfer stays decided, but a pending or an unknown one may be decided by now.`,
		Example: "  quorate transfer get 01936f8e-7f3a-7000-8000-5b1d3f6a9c21\n  quorate transfer get 01936f8e-7f3a-7000-8000-5b1d3f6a9c21 -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := transfer.ParseID(args[0])
			if err != nil {
				return err
			}
			return withCluster(cmd, func(p *printer, c *caller) error {
				if stale {
					return printStale(cmd, p, c, id)
				}
				record, err := c.Get(c.ctx, id)
				if err != nil {
					return err
				}
				return printTransfer(p, &record)
			})
		},
	}
	cmd.Flags().BoolVar(&stale, "stale", false, "take what the server that answers knows, however old; works without a leader")
	return cmd
}

// printStale prints what one server knows, and on standard error that it is that server alone which says so.
func printStale(cmd *cobra.Command, p *printer, c *caller, id transfer.ID) error {
	record, err := c.Get(c.ctx, id, client.Stale())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(cmd.ErrOrStderr(), "stale: one server's knowledge, more may have happened meanwhile"); err != nil {
		return err
	}
	object := transferToJSON(&record)
	object.Stale = true
	return p.one(object, record.Transfer.ID.String(), transferTables(&record)...)
}

func newTransferCancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Abort a transfer unless it is too late",
		Long: `Abort a transfer unless it is too late, and say what became of it. An id that nobody knows is closed for ever: a submission
that was lost, or is still on its way, never takes effect. Cancelling again is harmless. Exit codes: 0 it is
aborted, and no money has moved; 5 it came too late, the transfer is committed; 8 the outcome is not known yet.`,
		Example: "  quorate transfer cancel 01936f8e-7f3a-7000-8000-5b1d3f6a9c21",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return conclude(cmd, args[0], "cancelled", func(c *caller, id transfer.ID) (transfer.Record, error) { return c.Cancel(c.ctx, id) })
		},
	}
}

func printTransfer(p *printer, r *transfer.Record) error {
	return p.one(transferToJSON(r), r.Transfer.ID.String(), transferTables(r)...)
}

func transferTables(r *transfer.Record) []table {
	head := table{
		header: []string{"ID", "STATE", "SETTLED", "CREATED", "DECIDED", "REFERENCE"},
		rows:   [][]string{{r.Transfer.ID.String(), r.State.String(), yesNo(r.Settled), timeText(r.CreatedAt), timeText(r.DecidedAt), orDash(r.Transfer.Reference)}},
	}
	legs := legsTable(r)
	if r.State == transfer.Aborted {
		reason := table{
			header: []string{"REASON", "AT", "DETAIL"},
			rows:   [][]string{{string(r.Reason.Code), orDash(string(r.Reason.Bank)), orDash(r.Reason.Detail)}},
		}
		return []table{head, reason, legs}
	}
	if r.State == transfer.Held {
		return []table{head, {header: []string{"HELD UNTIL"}, rows: [][]string{{timeText(r.Transfer.HoldUntil)}}}, legs}
	}
	return []table{head, legs}
}

// legsTable says beside what a leg holds what was captured of it, if that is less.
func legsTable(r *transfer.Record) table {
	legs := table{header: []string{"BANK", "ACCOUNT", "DIRECTION", "AMOUNT", "CURRENCY"}}
	if r.CapturedMinor != nil {
		legs.header = append(legs.header, "CAPTURED")
	}
	for i, l := range r.Transfer.Legs {
		row := []string{string(l.Bank), string(l.Account), l.Direction.String(), transfer.FormatMinor(l.AmountMinor, l.Currency), string(l.Currency)}
		if r.CapturedMinor != nil {
			row = append(row, transfer.FormatMinor(r.CapturedMinor[i], l.Currency))
		}
		legs.rows = append(legs.rows, row)
	}
	return legs
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
