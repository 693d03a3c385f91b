package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// traffic is the clients: they submit, ask again with the same id through other nodes, capture and void what is held, cancel, read, and go away
// without a word.
type traffic struct {
	w         *world
	rng       *rand.Rand
	generator *workload.Generator
	sent      []*transfer.Transfer // everything that was ever submitted, other contents of the same id included
	patient   []transfer.ID        // holds that last longer than the world
	ended     bool
	reading   int // reads of readBack that aren't answered
}

const secondCurrency transfer.Currency = "USD"

func newTraffic(w *world) *traffic {
	s := &w.shape
	return &traffic{w: w, rng: stream(w.cfg.Seed, streamTraffic), generator: workload.New(workload.Config{
		Seed: w.cfg.Seed, Banks: s.banks, AccountsPerBank: s.accounts, Currency: "EUR", AmountMaxMinor: s.amountMax, Skew: s.skew,
	})}
}

// begin opens the accounts, and lets the clients loose at the same time: some transfers find no account.
func (t *traffic) begin() {
	var foreign []bank.Terms
	for _, p := range t.generator.Places(t.w.shape.overdraft) {
		if p.Bank == foreignBank {
			foreign = append(foreign, p.Terms)
			continue
		}
		t.open(p.Bank, p.Terms)
	}
	if t.w.stranger != nil {
		t.w.stranger.begin(append(foreign, bank.Terms{ID: dollarAccount, Currency: secondCurrency, OverdraftMinor: 200}, bank.Terms{ID: "@cash", Currency: "EUR", Unlimited: true}))
	}
	for _, b := range t.w.shape.ours() {
		t.open(b, bank.Terms{ID: dollarAccount, Currency: secondCurrency, OverdraftMinor: 200})
		t.open(b, bank.Terms{ID: "@cash", Currency: "EUR", Unlimited: true})
	}
	for range t.w.shape.clients {
		t.w.after(t.think(), t.act)
	}
}

const dollarAccount transfer.AccountID = "usd-1"

func (t *traffic) open(at transfer.BankID, terms bank.Terms) {
	if t.ended {
		return
	}
	t.w.put(t.anyHost(), time.Second, lane.OpenAccount{Bank: at, Terms: terms}, func(a *lane.Answer) {
		if a == nil || a.Err != nil {
			t.w.after(t.think(), func() { t.open(at, terms) })
		}
	})
}

// end lets nothing new begin, and cancels the holds that would outlast the world.
func (t *traffic) end() {
	t.ended = true
	for _, id := range t.patient {
		t.cancel(id)
	}
}

// cancel asks until it is heard what became of a transfer.
func (t *traffic) cancel(id transfer.ID) {
	t.w.put(t.anyHost(), t.patience(), lane.CancelTransfer{ID: id}, func(a *lane.Answer) {
		if a == nil || a.Err != nil {
			t.w.after(t.think(), func() { t.cancel(id) })
		}
	})
}

func (t *traffic) think() time.Duration {
	return time.Duration(t.rng.ExpFloat64() * float64(t.w.shape.think))
}

func (t *traffic) anyHost() *host { return t.w.hosts[t.rng.IntN(len(t.w.hosts))] }

func (t *traffic) anyLiveHost() *host {
	for {
		if h := t.anyHost(); h.lane != nil {
			return h
		}
	}
}

// patience is how long a client waits: mostly not for long, or a node that stands still would hold up everybody.
func (t *traffic) patience() time.Duration {
	if t.rng.IntN(6) == 0 {
		return t.between(500*time.Millisecond, 4*time.Second)
	}
	return t.between(50*time.Millisecond, 500*time.Millisecond)
}

func (t *traffic) between(least, most time.Duration) time.Duration {
	return least + time.Duration(t.rng.Int64N(int64(most-least)))
}

// act is one thing that one client does; when it is done the client thinks and acts again.
func (t *traffic) act() {
	if t.ended {
		return
	}
	next := func() { t.w.after(t.think(), t.act) }
	known := (*transfer.Transfer)(nil)
	if len(t.sent) > 0 {
		known = t.sent[max(0, len(t.sent)-1-t.rng.IntN(min(len(t.sent), 40)))]
	}
	switch dice := t.rng.IntN(100); {
	case known != nil && known.IsHold() && dice < 40:
		t.ask(t.conclusion(known), next)
	case known == nil || dice < 60:
		t.submit(t.newTransfer(), 1+t.rng.IntN(6), next)
	case dice < 68: // again, though it may be finished
		t.submit(known, 1, next)
	case dice < 72: // the same id with other content
		t.submit(otherContent(t.rng, known), 1+t.rng.IntN(2), next)
	case dice < 83:
		t.ask(lane.GetTransfer{ID: known.ID}, next)
	case dice < 85: // often while it is under way
		t.ask(lane.CancelTransfer{ID: known.ID}, next)
	case dice < 86: // a submission that nobody hears of, cancelled; it may come yet
		t.cancelFirst(t.newTransfer(), next)
	default:
		t.ask(t.question(), next)
	}
}

// conclusion captures or voids a hold, be it held by now or not.
func (t *traffic) conclusion(hold *transfer.Transfer) lane.Ask {
	switch t.rng.IntN(5) {
	case 0:
		return lane.VoidTransfer{ID: hold.ID}
	case 1, 2:
		return lane.CaptureTransfer{ID: hold.ID, AmountsMinor: []int64{1 + t.rng.Int64N(hold.Legs[0].AmountMinor)}} // too few amounts, if it has more legs
	default:
		return lane.CaptureTransfer{ID: hold.ID}
	}
}

// question is a read that isn't about a transfer.
func (t *traffic) question() lane.Ask {
	ours := t.w.shape.ours()
	b := ours[t.rng.IntN(len(ours))]
	switch t.rng.IntN(5) {
	case 0:
		return lane.GetAccount{Bank: b, ID: dollarAccount}
	case 1:
		return lane.ListEntries{Bank: b, AfterSeq: uint64(t.rng.IntN(50)), Limit: 1 + t.rng.IntN(20)}
	case 2:
		return lane.ListAccounts{Bank: b, Limit: 1 + t.rng.IntN(20)}
	case 3:
		return lane.GetStatus{}
	default:
		return lane.AuditBank{Bank: b}
	}
}

// cancelFirst cancels what it submits at the same time, through another node: whichever comes first.
func (t *traffic) cancelFirst(content *transfer.Transfer, next func()) {
	t.ask(lane.CancelTransfer{ID: content.ID}, func() {})
	t.submit(content, 1, next)
}

func (t *traffic) ask(ask lane.Ask, next func()) {
	t.w.put(t.anyHost(), t.patience(), ask, func(*lane.Answer) { next() })
}

// submit asks for a transfer, and asks again elsewhere until it hears an outcome or has lost patience.
func (t *traffic) submit(content *transfer.Transfer, tries int, next func()) {
	t.submitAt(t.anyHost(), content, tries, next)
}

// submitAt asks one node first.
func (t *traffic) submitAt(h *host, content *transfer.Transfer, tries int, next func()) {
	asked := cloneTransfer(content)
	asked.Deadline = h.clock.at(t.w.now).Add(t.between(50*time.Millisecond, 4*time.Second))
	if asked.IsHold() {
		asked.HoldUntil = asked.Deadline.Add(t.between(10*time.Millisecond, 4*time.Second))
		if content.ID[len(content.ID)-1]%4 == 0 { // longer than the world lasts: end cancels it
			asked.HoldUntil = asked.HoldUntil.Add(time.Hour)
			if !slices.Contains(t.patient, content.ID) {
				t.patient = append(t.patient, content.ID)
			}
		}
	}
	if err := asked.Validate(); err != nil {
		panic(fmt.Sprintf("the traffic makes transfers that no face lets in: %v", err))
	}
	t.sent = append(t.sent, content)
	t.w.put(h, t.patience(), lane.Submit{Transfer: asked}, func(a *lane.Answer) {
		known := a != nil && (a.Err == nil || errors.Is(a.Err, transfer.ErrIDConflict))
		if known || tries <= 1 || t.ended {
			next()
			return
		}
		t.w.after(t.think(), func() {
			if t.ended { // a hold that begins now may outlast the time that the world has to settle in
				next()
				return
			}
			t.submit(t.again(content), tries-1, next)
		})
	})
}

// again is what a client asks for that hasn't heard what became of its transfer: the same, or, though nobody should, something else under the same id. It is
// the time at which a leader that was lost may have left a hold whose Stage is lost, too.
func (t *traffic) again(content *transfer.Transfer) *transfer.Transfer {
	if t.w.mischief.dares(fickle, t.rng, t.w.faults.Fickle) {
		return otherContent(t.rng, content)
	}
	return content
}

// newTransfer is mostly one payment; some have more legs, a second currency, or an account that isn't there.
func (t *traffic) newTransfer() *transfer.Transfer {
	n := t.generator.Next()
	switch t.rng.IntN(12) {
	case 0, 1: // a second payment in the same transfer, perhaps over other banks and the same accounts
		other := t.generator.Next()
		n.Legs = append(n.Legs, other.Legs...)
	case 2:
		from, to := t.rng.IntN(len(t.w.shape.banks)), t.rng.IntN(len(t.w.shape.banks))
		n.Legs = append(n.Legs, leg(t.w.shape.banks[from], dollarAccount, transfer.Debit, secondCurrency, 7),
			leg(t.w.shape.banks[to], dollarAccount, transfer.Credit, secondCurrency, 7))
	case 3: // a deposit
		n.Legs[0].Account = "@cash"
	case 4:
		switch t.rng.IntN(3) {
		case 0:
			n.Legs[t.rng.IntN(2)].Account = "nobody"
		case 1:
			n.Legs[1].Account = dollarAccount // kept in another currency
		default:
			n.Legs[0].AmountMinor, n.Legs[1].AmountMinor = 1<<40, 1<<40
		}
	case 5:
		n.Reference = "invoice"
	case 6, 7:
		n.HoldUntil = epoch // its time comes with each submission
	}
	return &n
}

func leg(b transfer.BankID, a transfer.AccountID, d transfer.Direction, c transfer.Currency, amount int64) transfer.Leg {
	return transfer.Leg{Bank: b, Account: a, Direction: d, AmountMinor: amount, Currency: c}
}

// otherContent keeps the id and changes what it stands for: the amount, or the direction.
func otherContent(rng *rand.Rand, of *transfer.Transfer) *transfer.Transfer {
	other := cloneTransfer(of)
	turn := rng.IntN(2) == 0
	for i := range other.Legs {
		other.Legs[i].AmountMinor += 3
		if turn {
			other.Legs[i].Direction = 3 - other.Legs[i].Direction
		}
	}
	return other
}

// askAbout has clients ask one node what is new. Fickle ones begin something there, too: it may believe that it leads.
func (t *traffic) askAbout(h *host, rng *rand.Rand) {
	if t.ended {
		return
	}
	for _, content := range t.sent[max(0, len(t.sent)-3):] {
		t.w.put(h, 200*time.Millisecond, lane.GetTransfer{ID: content.ID}, func(*lane.Answer) {})
	}
	if t.w.faults.Fickle > 0 {
		t.submitAt(h, t.newTransfer(), 4, func() {})
	}
	ours := t.w.shape.ours()
	b := ours[rng.IntN(len(ours))]
	t.w.put(h, 200*time.Millisecond, lane.ListAccounts{Bank: b, Limit: 20}, func(*lane.Answer) {})
	t.w.put(h, 200*time.Millisecond, lane.AuditBank{Bank: b}, func(*lane.Answer) {})
}

// readBack asks once more about some of what was ever submitted, when everything is settled.
func (t *traffic) readBack() {
	for i := 0; i < len(t.sent); i += 1 + len(t.sent)/40 {
		t.reading++
		t.w.put(t.anyLiveHost(), 5*time.Second, lane.GetTransfer{ID: t.sent[i].ID}, func(a *lane.Answer) {
			t.reading--
			if a == nil || (a.Err != nil && !errors.Is(a.Err, transfer.ErrTransferNotFound) && !errors.Is(a.Err, transfer.ErrBusy)) {
				t.w.fail("a settled world answers reads", "transfer %s: %+v", t.sent[i].ID, a)
			}
		})
	}
}
