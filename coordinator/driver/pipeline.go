package driver

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/transfer"
)

// pipeline is the way to one bank: what waits its turn, what is under way, and how long to wait for an
// answer. One pipeline's troubles never touch another's.
type pipeline struct {
	bank        transfer.BankID
	limits      Limits
	rng         *rand.Rand
	queue       []*slot        // wait their turn, oldest first
	again       []*slot        // to be sent again: they count as outstanding already, so they wait for nobody
	sent        []sending      // in the order of sending; answered ones are skipped when they come up
	asides      []bank.Request // sent once, never repeated
	next        *flight        // of which an answer is expected
	outstanding int
	owed        int           // slots that ask something: queued or under way, not yet answered
	silence     int           // how often in a row the bank was silent for the whole wait, since it was last heard
	silentAt    time.Time     // when that was counted last: what was sent before doesn't count again
	heardAt     time.Time     // when the bank last said something
	retryAfter  time.Duration // for what is sent now; set at each timeout
	reported    bool          // that the breaker has opened
}

// sending remembers that a slot's request left at a time. If the slot has been sent again, or
// asks something else, the two times differ and this one no longer matters.
type sending struct {
	slot *slot
	at   time.Time
}

// waits says whether the answer to this sending is still to come.
func (s sending) waits() bool { return s.slot.sent && s.slot.sentAt.Equal(s.at) }

// sentKept bounds the room that is kept for what will be sent: there may be thousands of banks.
const sentKept = 1 << 10

func newPipeline(id transfer.BankID, limits Limits, rng *rand.Rand) *pipeline {
	return &pipeline{bank: id, limits: limits, rng: rng, retryAfter: limits.RetryAfter}
}

// ask has every bank of the flight asked op next, in place of whatever it was asked before. A bank that has said yes needs
// no Resolve: its yes is final, and it may be out of reach by now.
func (d *Driver) ask(f *flight, op bank.Op) {
	for i := range f.slots {
		s := &f.slots[i]
		if op == bank.Resolve && s.prepared {
			continue
		}
		if s.op == 0 {
			s.pipeline.owed++
		}
		s.op = op
		s.enqueue()
	}
}

func (s *slot) enqueue() {
	if s.queued {
		return
	}
	s.queued = true
	if p := s.pipeline; s.sent {
		p.again = append(p.again, s)
	} else {
		p.queue = append(p.queue, s)
	}
}

// stop ends the asking: the answer is in, or no longer wanted.
func (s *slot) stop() {
	if s.op != 0 {
		s.pipeline.owed--
	}
	s.op = 0
	if s.sent {
		s.sent = false
		s.pipeline.outstanding--
	}
}

// once sends a request that is repeated only if somebody asks for it again.
func (p *pipeline) once(r bank.Request) { p.asides = append(p.asides, r) }

// take hands out the requests whose turn it is. What is sent again must not stand behind what waits for a
// place: the places may all be taken by requests that were lost. play: bank_lost_requests_go_first
func (p *pipeline) take(now time.Time) []bank.Request {
	if len(p.asides) == 0 && len(p.again) == 0 && len(p.queue) == 0 {
		return nil // as in most steps
	}
	requests := p.asides
	p.asides = nil
	again := p.again
	p.again = nil
	if n := len(again) + min(len(p.queue), max(0, p.limits.BankOutstandingMax-p.outstanding)); n > 0 {
		requests = slices.Grow(requests, n)
		p.sent = slices.Grow(p.sent, n)
	}
	for _, s := range again {
		s.queued = false
		switch {
		case s.op == 0:
		case s.sent:
			requests = append(requests, p.send(s, now))
		default: // stopped and asked anew: it has given its place away
			s.enqueue()
		}
	}
	taken := 0
	for _, s := range p.queue {
		if s.op != 0 && p.outstanding >= p.limits.BankOutstandingMax {
			break
		}
		taken++
		s.queued = false
		if s.op == 0 {
			continue
		}
		s.sent = true
		p.outstanding++
		requests = append(requests, p.send(s, now))
	}
	p.queue = p.queue[taken:]
	if len(p.queue) == 0 {
		p.queue = nil // lets go of the slots that went through it
	}
	return requests
}

func (p *pipeline) send(s *slot, now time.Time) bank.Request {
	s.sentAt = now
	p.sent = append(p.sent, sending{slot: s, at: now})
	return s.request()
}

// heard: the bank is alive, so the next silence starts from the shortest wait again.
func (p *pipeline) heard(now time.Time) {
	p.heardAt = now
	p.silence = 0
	p.retryAfter = p.limits.RetryAfter
}

// repeatUnanswered puts what was not answered in time back into the queue. While the bank stays silent the wait doubles up to
// its bound, with up to a quarter of jitter, so that a bank that comes back isn't met by everybody at once.
//
// A bank that answers others meanwhile is at work: what it was asked is asked again only after the longest wait, for to repeat it sooner would
// double the work of a bank that has too much of it. play: bank_at_work_is_not_asked_twice
func (p *pipeline) repeatUnanswered(now time.Time) {
	if mutant.On(mutant.NeverRepeat) {
		return
	}
	silent := false
	quiet := !p.heardAt.Add(p.retryAfter).After(now)
	over := 0
	for over < len(p.sent) {
		first := p.sent[over]
		waiting := first.waits()
		overdue := quiet && !first.at.Add(p.retryAfter).After(now)
		lost := p.heardAt.After(first.at) && !first.at.Add(p.limits.RetryAfterMax).After(now)
		if waiting && !overdue && !lost {
			break
		}
		over++
		if waiting {
			silent = silent || (overdue && !first.at.Before(p.silentAt))
			first.slot.enqueue()
		}
	}
	p.forget(over)
	if silent {
		p.backOff(now)
	}
}

// forgetAnswered keeps the list of what was sent short, while its slots are in the processor's cache.
func (p *pipeline) forgetAnswered() {
	over := 0
	for over < len(p.sent) && !p.sent[over].waits() {
		over++
	}
	p.forget(over)
}

// forget takes the first of what was sent from the list.
func (p *pipeline) forget(over int) {
	if over == len(p.sent) {
		p.sent = room.Emptied(p.sent, sentKept)
		return
	}
	clear(p.sent[:over])
	p.sent = p.sent[over:]
}

func (p *pipeline) backOff(now time.Time) {
	p.silence++
	p.silentAt = now
	wait := p.limits.RetryAfter << min(p.silence, 16)
	wait = min(wait, p.limits.RetryAfterMax)
	p.retryAfter = wait + time.Duration(p.rng.Int64N(int64(wait)/4+1))
}

// repeatAll sends everything that is unanswered again: the bank has moved to another node. That is no word of the bank: as long as it has
// said nothing there, it counts as silent.
func (p *pipeline) repeatAll() {
	for _, sending := range p.sent {
		if sending.waits() {
			sending.slot.enqueue()
		}
	}
	p.sent = nil
	p.retryAfter = p.limits.RetryAfter
}

func (p *pipeline) reset() {
	p.queue, p.again, p.sent, p.asides, p.next = nil, nil, nil, nil, nil
	p.outstanding, p.owed = 0, 0
	p.reported = false
	p.heard(time.Time{})
}

// BankMoved says that a bank is now answered by another node: what it still owes is asked again at once.
func (d *Driver) BankMoved(id transfer.BankID) {
	if p := d.banks[id]; p != nil {
		p.repeatAll()
	}
}

// BankSilent says how often in a row the bank has let requests go unanswered.
func (d *Driver) BankSilent(id transfer.BankID) int {
	if p := d.banks[id]; p != nil {
		return p.silence
	}
	return 0
}
