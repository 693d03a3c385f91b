package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// streamOpenMax bounds the transfers of one stream that have no result yet: with so many the stream isn't read any further, and
// gRPC's flow control tells the client.
const streamOpenMax = 2 * BatchMax

// StreamTransfers carries out what one client sends until it says that this was all. What is under way when the server drains is finished first.
func (s *transferService) StreamTransfers(stream grpc.BidiStreamingServer[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]) error {
	f := &flow{desk: s.desk, door: s.door, stream: stream, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), forget: map[uint64]func(){}}
	if err := stream.SendHeader(metadata.Pairs(requestIDMetadata, requestID(stream.Context()))); err != nil { // also says that the stream is let in
		return err
	}
	go f.read(s.guard) // ends with the stream, and that ends when this call returns
	defer f.giveUp()
	return f.write(s.draining)
}

// flow is one stream of transfers: one goroutine reads requests, one writes results, and between them is the backend.
type flow struct {
	desk   *desk
	door   *door
	stream grpc.BidiStreamingServer[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]
	wake   chan struct{} // holds a token when there is something for write to do
	room   chan struct{} // holds a token when read may look again whether there is room

	mu     sync.Mutex // guards all below
	ready  []told
	open   int               // transfers that were read and whose result hasn't been collected by write
	forget map[uint64]func() // ends a request that isn't finished, by the number of its first transfer
	ended  bool              // nothing more is read
	broken bool              // and nobody listens any more
	err    error             // why, if the client hadn't sent everything
	over   bool              // nothing more is written
}

// told is one result on its way to the client.
type told struct {
	number      uint64 // on a stream
	id          transfer.ID
	idText      string // as it was sent, if it is no id
	omitContent bool
	record      transfer.Record
	err         error
	refusal     *quoratev1.Error // instead of err: what a whole request was turned away with
	together    int              // if not zero: the refusal is that of so many transfers, the first of which has the number
}

// told is the result of the i-th transfer of a request.
func (g *glimpse) told(i int, o *order, record transfer.Record, err error) told {
	t := told{id: o.transfer.ID, omitContent: g.omit, record: record, err: err}
	if t.id.IsZero() {
		t.idText, _ = idOfSpec(g.specs[i]) // it has been read: it can be
	}
	return t
}

// read takes requests until the client has sent its last, the stream breaks, or a handler's panic was survived.
func (f *flow) read(g *guard) {
	defer func() {
		if recovered := recover(); recovered != nil {
			f.end(g.panicked(recovered), true)
		}
	}()
	for number := uint64(1); f.waitForRoom(); {
		var message sealed
		err := f.stream.RecvMsg(&message)
		switch {
		case errors.Is(err, io.EOF):
			f.end(nil, false)
			return
		case err != nil:
			f.end(err, true)
			return
		}
		count, err := f.take(number, message.bytes)
		if err != nil {
			f.end(err, true)
			return
		}
		number += count
	}
}

// take hands a request's transfers over; the first has a number. It says how many there are.
func (f *flow) take(first uint64, message []byte) (count uint64, err error) {
	g, err := glance(message)
	if err != nil {
		return 0, notOfMethod(err)
	}
	ctx, refused := f.door.enterGRPC(f.stream.Context(), operationOf(quoratev1.TransferService_StreamTransfers_FullMethodName), "") // a stream may outlive its caller's rights
	if full := f.desk.backend.Full(); full != nil && refused == nil {
		return uint64(len(g.specs)), f.turnAway(first, g, full)
	}
	orders, err := ordersOf(g.specs)
	if err != nil {
		return 0, notOfMethod(err)
	}
	f.submit(ctx, first, g, orders, refused)
	return uint64(len(orders)), nil
}

// waitForRoom returns false when nothing more is to be read.
func (f *flow) waitForRoom() bool {
	for {
		f.mu.Lock()
		room, ended := f.open < streamOpenMax, f.ended || f.over
		f.mu.Unlock()
		if room || ended {
			return !ended
		}
		select {
		case <-f.room:
		case <-f.stream.Context().Done():
			f.end(f.stream.Context().Err(), true)
			return false
		}
	}
}

// submit hands over a request that was read, or the refusal of the door for each of its transfers.
func (f *flow) submit(ctx context.Context, first uint64, g glimpse, orders []order, refused error) {
	for i := range orders {
		if refused != nil {
			orders[i].err = refused
		}
	}
	f.mu.Lock()
	f.open += len(orders)
	f.mu.Unlock()
	left := len(orders) // under mu
	forget := f.desk.submitEach(ctx, orders, func(i int, record transfer.Record, err error) {
		t := g.told(i, &orders[i], record, err)
		t.number = first + uint64(i)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ready = append(f.ready, t)
		if left--; left == 0 {
			delete(f.forget, first)
		}
		poke(f.wake)
	})
	f.mu.Lock()
	over := f.over
	if left > 0 && !over {
		f.forget[first] = forget
	}
	f.mu.Unlock()
	if over {
		forget() // nobody is there any more to hear of them
	}
}

// poke leaves a token, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// end says that nothing more is read. The first reason stands.
func (f *flow) end(err error, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended, f.err = true, err
	}
	f.broken = f.broken || broken
	poke(f.wake)
	poke(f.room)
}

// write sends results, all that are ready at a time, until the last one is sent.
func (f *flow) write(draining context.Context) error {
	drained := draining.Done()
	var ready []told
	for {
		select {
		case <-f.wake:
		case <-drained:
			drained = nil
			f.end(fmt.Errorf("%w: the stream ends", transfer.ErrStopping), false)
		}
		var last bool
		var err error
		ready, last, err = f.collect(ready)
		for first := 0; first < len(ready); first += BatchMax {
			part := ready[first:min(len(ready), first+BatchMax)]
			if err := f.stream.Send(f.response(part)); err != nil {
				return err
			}
		}
		if last {
			return err
		}
	}
}

// collect takes everything that is ready. reuse is what it gave before.
func (f *flow) collect(reuse []told) (ready []told, last bool, err error) {
	clear(reuse)
	f.mu.Lock()
	defer f.mu.Unlock()
	ready, f.ready = f.ready, reuse[:0]
	for i := range ready {
		f.open -= max(1, ready[i].together)
	}
	poke(f.room)
	return ready, f.ended && (f.broken || f.open == 0), f.err
}

func (f *flow) response(ready []told) *quoratev1.StreamTransfersResponse {
	out := &quoratev1.StreamTransfersResponse{Results: make([]*quoratev1.TransferResult, 0, len(ready)), Leader: f.desk.backend.Leader()}
	parts := make([]resultParts, len(ready)) // one allocation for all
	for i := range ready {
		if t := &ready[i]; t.together > 0 {
			out.Refusals = append(out.Refusals, &quoratev1.TransferRefusal{FirstNumber: t.number, Count: uint64(t.together), Error: t.refusal})
			continue
		}
		out.Results = append(out.Results, ready[i].result(&parts[i]))
	}
	return out
}

// resultParts is what most results are made of.
type resultParts struct {
	result   quoratev1.TransferResult
	outcome  quoratev1.TransferResult_Transfer
	transfer quoratev1.Transfer
}

func (t *told) result(parts *resultParts) *quoratev1.TransferResult {
	out := &parts.result
	out.Id, out.Number = t.idText, t.number
	if t.refusal != nil {
		out.Result = &quoratev1.TransferResult_Error{Error: t.refusal}
		return out
	}
	if t.err != nil {
		if !t.id.IsZero() {
			out.Id = t.id.String()
		}
		out.Result = &quoratev1.TransferResult_Error{Error: protoOfFailure(t.err)}
		return out
	}
	if t.omitContent {
		t.record.Transfer.Legs, t.record.Transfer.Reference = nil, ""
	}
	fillTransfer(&parts.transfer, &t.record)
	parts.outcome.Transfer = &parts.transfer
	out.Id, out.Result = parts.transfer.GetId(), &parts.outcome
	return out
}

// giveUp lets go of what has no result yet: the stream is over, and the client knows that it doesn't know.
func (f *flow) giveUp() {
	f.mu.Lock()
	f.over = true
	forget := f.forget
	f.forget = nil
	poke(f.room)
	f.mu.Unlock()
	for _, end := range forget {
		end()
	}
}
