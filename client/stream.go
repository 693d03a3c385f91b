package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// stream carries the transfers of all callers to one node and brings their results back. While a message is being sent, what
// comes gathers for the next one: that is the only thing a transfer waits for.
type stream struct {
	node   *node
	client *Client
	opened time.Time
	wake   chan struct{} // holds a token whenever waiting isn't empty, or the stream is to be left

	mu      sync.Mutex // guards all below
	waiting []*ticket
	open    map[uint64]*ticket // sent and without a result, by number
	sent    uint64             // number of the last one
	broken  bool
	entered bool // the node has let the stream in
	left    bool // nothing more is put on it
}

// ticket is one attempt of one submission on a stream.
type ticket struct {
	submission *submission
	number     uint64        // zero: not sent yet
	done       chan *failure // gets what came of it, once; nil: the submission has its record
}

// stream is the live stream to the node; the first caller opens it.
func (n *node) stream(c *Client) *stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.flowing == nil {
		n.flowing = &stream{node: n, client: c, opened: time.Now(), wake: make(chan struct{}, 1), open: map[uint64]*ticket{}}
		if !c.start(n.flowing.run) {
			n.flowing.broken = true
		}
	}
	return n.flowing
}

// leaveIfOlder is for a stream that was let in and is refused now: it shows the token that it began with, and since then the file may have got
// another. What is under way on it goes on; one that began in this attempt would show the same again.
func (s *stream) leaveIfOlder(than time.Time) bool {
	s.mu.Lock()
	older := s.entered && s.opened.Before(than)
	s.left = s.left || older
	s.mu.Unlock()
	if older {
		s.poke()
		s.leave()
	}
	return older
}

// leave has the next caller open another one.
func (s *stream) leave() {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	if s.node.flowing == s {
		s.node.flowing = nil
	}
}

// submitByStream makes one attempt over the stream of the current node; nil if the submission has its record. If the node takes no more streams of
// this caller, a plain request may still get in.
func (c *Client) submitByStream(ctx context.Context, a *attempts, open *submission) *failure {
	a.made++
	at, began := c.current.Load(), time.Now()
	s := c.nodes[at].stream(c)
	f := s.carry(ctx, open)
	if f != nil && f.full {
		return c.submitOnce(ctx, a, []*submission{open})[0]
	}
	if f != nil && f.isOfCaller() && (s.leaveIfOlder(began) || c.renewed(began)) {
		f = &failure{err: f.err, happen: f.happen, again: true} // f may be that of others, too
	}
	a.note(f)
	if f != nil && f.another {
		a.moveOn(ctx, at, began)
	}
	return f
}

// carry waits for what comes of an attempt, until ctx ends.
func (s *stream) carry(ctx context.Context, open *submission) *failure {
	t := &ticket{submission: open, done: make(chan *failure, 1)}
	if fits, left := s.put(t); !fits { // it broke a moment ago, or the client is closed
		return &failure{err: ErrUnreachable, again: s.client.life.Err() == nil, another: !left}
	}
	select {
	case f := <-t.done:
		return f
	case <-ctx.Done():
	}
	if s.withdraw(t) {
		return &failure{err: ErrUnreachable, happen: t.number != 0, again: true, another: true}
	}
	return <-t.done // it came at the same moment
}

func (s *stream) put(t *ticket) (fits, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || s.left {
		return false, s.left
	}
	s.waiting = append(s.waiting, t)
	if len(s.waiting) == 1 {
		s.poke()
	}
	return true, false
}

func (s *stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // the token is there
	}
}

// withdraw takes a ticket back, so that nobody touches its submission any more; false if it is answered already.
func (s *stream) withdraw(t *ticket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.number != 0 {
		_, open := s.open[t.number]
		delete(s.open, t.number)
		return open
	}
	for i, other := range s.waiting {
		if other == t {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// run keeps the stream until it breaks, and then answers everybody who is on it.
func (s *stream) run(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	var attendance sync.WaitGroup
	attendance.Go(func() { s.attend(ctx, cancel) }) // ends with ctx
	var reached peer.Peer
	rpc, err := s.node.transfers.StreamTransfers(ctx, grpc.Peer(&reached))
	if err == nil {
		err = s.exchange(cancel, rpc)
	}
	f := failureOf(err, reached.Addr != nil || errors.Is(err, io.EOF))
	if errors.Is(context.Cause(ctx), errSilent) {
		f = failure{err: fmt.Errorf("%w: %s %w", ErrUnreachable, s.node.address, errSilent), happen: true, again: true, another: true}
	}
	cancel(nil)
	attendance.Wait()
	s.leave()
	s.end(f)
}

// exchange sends what gathers until the stream breaks; err says why it did.
func (s *stream) exchange(cancel context.CancelCauseFunc, rpc grpc.BidiStreamingClient[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]) error {
	received := make(chan error, 1)
	go func() { received <- s.receive(rpc) }() // ends with the stream; waited for below
	for {
		select {
		case <-s.wake:
		case err := <-received:
			return err
		}
		runtime.Gosched() // callers whose results came together come back together: let them all step in
		request, last := s.take()
		switch {
		case request == nil && last:
			_ = rpc.CloseSend() // receive hears if that fails
			return <-received   // once the node has answered what is under way
		case request == nil:
			continue
		}
		err := rpc.Send(request)
		if errors.Is(err, io.EOF) { // gRPC's word for: the node has ended it, and receive hears why
			return <-received
		}
		if err != nil {
			cancel(nil)
			<-received
			return err
		}
	}
}

// take makes the next message of what waits, as much as fits; nil if all of it was withdrawn. last says that none will follow.
func (s *stream) take() (request *quoratev1.StreamTransfersRequest, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, 0
	for ; n < len(s.waiting) && n < batchMax; n++ {
		if bytes += proto.Size(s.waiting[n].submission.spec); n > 0 && bytes > batchBytesMax {
			break
		}
	}
	if n == 0 {
		return nil, s.left
	}
	request = &quoratev1.StreamTransfersRequest{Transfers: make([]*quoratev1.TransferSpec, n), OmitContent: true, RefuseTogether: true}
	for i, t := range s.waiting[:n] {
		s.sent++
		t.number = s.sent
		s.open[t.number] = t
		request.Transfers[i] = t.submission.spec
	}
	rest := copy(s.waiting, s.waiting[n:])
	clear(s.waiting[rest:])
	if s.waiting = s.waiting[:rest]; rest > 0 || s.left {
		s.poke()
	}
	return request, false
}

// receive gives every result to whom it belongs, until the stream breaks.
func (s *stream) receive(rpc grpc.BidiStreamingClient[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]) error {
	header, err := rpc.Header()
	if err == nil && len(header.Get(requestIDHeader)) > 0 { // else it ends without one: refused at the door, and Recv says why
		s.enter()
	}
	for {
		response, err := rpc.Recv()
		if err != nil {
			return err
		}
		s.node.heard()
		s.client.follow(response.GetLeader()) // first: whoever is answered may ask again at once
		for _, r := range response.GetResults() {
			s.answer(r)
		}
		for _, r := range response.GetRefusals() {
			s.refuse(r)
		}
	}
}

func (s *stream) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered = true
}

func (s *stream) answer(r *quoratev1.TransferResult) {
	if t := s.close(r.GetNumber()); t != nil {
		t.done <- t.submission.read(r)
	}
}

// refuse answers all that were turned away together. More than a request holds is nothing that a node says.
func (s *stream) refuse(r *quoratev1.TransferRefusal) {
	f := failureOfResult(r.GetError())
	for i := range min(r.GetCount(), batchMax) {
		if t := s.close(r.GetFirstNumber() + i); t != nil {
			t.done <- f
		}
	}
}

// close takes a ticket out that has its result; nil if nobody waits any more.
func (s *stream) close(number uint64) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[number]
	delete(s.open, number)
	return t
}

// end answers everybody. What was sent may have been carried out, unless the node says that it hasn't let the stream in.
func (s *stream) end(f failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
	kept := failure{err: f.err, again: s.entered || f.again, another: f.another, refused: f.refused, after: f.after}
	kept.full = !s.entered && errors.Is(f.err, transfer.ErrBusy)
	sent := kept
	sent.happen = s.entered || f.happen
	for number, t := range s.open {
		delete(s.open, number)
		t.done <- &sent
	}
	for _, t := range s.waiting {
		t.done <- &kept
	}
	s.waiting = nil
}
