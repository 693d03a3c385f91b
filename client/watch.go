package client

import (
	"context"
	"iter"
	"time"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Watching says which decisions Watch tells of, and where it begins.
type Watching struct {
	State     transfer.State
	Bank      transfer.BankID    // has a leg there …
	Account   transfer.AccountID // … and, if both are set, the same leg is of this account
	Reference string             // the whole of it

	Position      string // of the last event that was received; empty: from now on …
	FromBeginning bool   // … or from the first decision on

	// Moved, if it is set, is called with each later position: of an event once whoever ranges over Watch asks for the next one, and between events, for a node
	// tells where it is about every 10 seconds. It is called by whoever ranges over Watch.
	Moved func(position string)
}

// Event is a transfer that has its outcome.
type Event struct {
	Record   transfer.Record
	Position string // keep it, and a later Watch goes on behind this event
}

// Watch tells of every transfer when its outcome is decided, until ctx ends or whoever ranges over it stops. The decisions of one
// coordinator group come in the order of its log; a transfer comes once. When a node fails Watch goes on at another behind the last
// event, so nothing is missed and nothing comes twice. After an error there is nothing more; that ctx has ended is one, and so is Close.
func (c *Client) Watch(ctx context.Context, w Watching) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		request := &quoratev1.WatchTransfersRequest{
			Position: w.Position, FromBeginning: w.FromBeginning,
			State: quoratev1.TransferState(w.State), Bank: string(w.Bank), Account: string(w.Account), Reference: w.Reference,
		}
		follow := follower{client: c, request: request, moved: w.Moved, yield: yield}
		a := c.attempts()
		for {
			came, f := follow.once(ctx, a)
			if follow.enough {
				return
			}
			if came { // patience begins anew
				a = c.attempts()
			}
			if !f.again {
				yield(Event{}, f.err)
				return
			}
			if !a.next(ctx, f.another, f.after) {
				yield(Event{}, ended(ctx, f.err))
				return
			}
		}
	}
}

// follower is one Watch, over as many streams as it takes.
type follower struct {
	client  *Client
	request *quoratev1.WatchTransfersRequest
	moved   func(string)
	yield   func(Event, error) bool
	enough  bool
}

// watchSilence is how long a node may say nothing: it gives a sign of life about every 10 seconds.
const watchSilence = 30 * time.Second

// once follows one stream to its end. came says that the node has told something.
func (w *follower) once(ctx context.Context, a *attempts) (came bool, f failure) {
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(watchSilence, cancel)
	defer silence.Stop()
	at, began := w.client.current.Load(), time.Now()
	stream, err := w.client.nodes[at].transfers.WatchTransfers(listening, w.request)
	for err == nil {
		var m *quoratev1.WatchTransfersResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		came = true
		w.client.nodes[at].heard()
		silence.Reset(watchSilence)
		var event Event
		if event, err = w.eventOf(m); err != nil {
			continue
		}
		if m.GetTransfer() != nil && !w.yield(event, nil) {
			w.enough = true
			return came, f
		}
		if w.moved != nil && event.Position != "" {
			w.moved(event.Position)
		}
	}
	f = failureOf(err, true)
	if silent := !silence.Stop(); silent {
		f.again, f.another = true, true
	}
	if f.isOfCaller() && (came || w.client.renewed(began)) { // the next stream shows the token that is in the file now
		f.again = true
	}
	f.again = f.again && w.client.life.Err() == nil // no node is asked after Close
	a.note(&f)
	if f.another {
		a.moveOn(ctx, at, began)
	}
	return came, f
}

// eventOf reads one message. From then on the next stream begins behind it.
func (w *follower) eventOf(m *quoratev1.WatchTransfersResponse) (event Event, err error) {
	if m.GetTransfer() != nil {
		if event.Record, err = recordOf(m.GetTransfer()); err != nil {
			return event, err
		}
	}
	w.request.Position, event.Position = m.GetPosition(), m.GetPosition()
	return event, nil
}
