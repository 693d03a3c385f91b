package main

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// streamPayer sends over one StreamTransfers, as a client in any language would. It doesn't try again: a refusal is counted as one.
type streamPayer struct {
	conn    *grpc.ClientConn
	service quoratev1.TransferServiceClient

	mu     sync.Mutex                                                                                    // guards all below, and sending
	stream grpc.BidiStreamingClient[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse] // nil: the next call opens one
	end    context.CancelFunc
	sent   uint64
	open   map[uint64]*streamCall // by the number of each transfer
}

// streamCall is one pay that waits for its results.
type streamCall struct {
	first    uint64 // number of the first transfer
	verdicts []verdict
	left     int
	done     chan struct{} // closed when none is left
}

func dialStream(address string, secure security) (*streamPayer, error) {
	conn, err := dialBare(address, secure)
	if err != nil {
		return nil, err
	}
	return &streamPayer{conn: conn, service: quoratev1.NewTransferServiceClient(conn), open: map[uint64]*streamCall{}}, nil
}

func (p *streamPayer) pay(ctx context.Context, transfers []transfer.Transfer) []verdict {
	c, sent := p.send(transfers)
	if sent {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range c.verdicts {
		delete(p.open, c.first+uint64(i))
		if c.verdicts[i] == 0 {
			c.verdicts[i] = benchUnknown
		}
	}
	return c.verdicts
}

func (p *streamPayer) send(transfers []transfer.Transfer) (c *streamCall, sent bool) {
	request := &quoratev1.StreamTransfersRequest{Transfers: specsOf(transfers), OmitContent: true, RefuseTogether: true}
	p.mu.Lock()
	defer p.mu.Unlock()
	c = &streamCall{first: p.sent + 1, verdicts: make([]verdict, len(transfers)), left: len(transfers), done: make(chan struct{})}
	if !p.connected() {
		return c, false
	}
	for range transfers {
		p.sent++
		p.open[p.sent] = c
	}
	return c, p.stream.Send(request) == nil // else the receiver hears why, and ends all calls
}

// connected opens a stream if there is none.
func (p *streamPayer) connected() bool {
	if p.stream != nil {
		return true
	}
	ctx, cancel := context.WithCancel(context.Background()) // it outlives each call
	stream, err := p.service.StreamTransfers(ctx)
	if err != nil {
		cancel()
		return false
	}
	p.stream, p.end, p.sent = stream, cancel, 0
	go p.receive(stream) // ends with the stream, which close ends
	return true
}

// receive gives results to those who wait, until the stream breaks: what is open then stays unknown.
func (p *streamPayer) receive(stream grpc.BidiStreamingClient[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]) {
	for {
		response, err := stream.Recv()
		p.mu.Lock()
		if err != nil {
			for _, c := range p.open {
				c.finish()
			}
			clear(p.open)
			p.end()
			p.stream = nil
			p.mu.Unlock()
			return
		}
		for _, r := range response.GetResults() {
			p.take(r.GetNumber(), verdictOfResult(r))
		}
		for _, r := range response.GetRefusals() {
			verdict := verdictOfError(r.GetError())
			for i := range r.GetCount() {
				p.take(r.GetFirstNumber()+i, verdict)
			}
		}
		p.mu.Unlock()
	}
}

// take is called with mu.
func (p *streamPayer) take(number uint64, v verdict) {
	c := p.open[number]
	if c == nil {
		return
	}
	delete(p.open, number)
	c.verdicts[number-c.first] = v
	if c.left--; c.left == 0 {
		c.finish()
	}
}

func (c *streamCall) finish() {
	select {
	case <-c.done:
	default:
		close(c.done)
	}
}

func verdictOfResult(r *quoratev1.TransferResult) verdict {
	if e := r.GetError(); e != nil {
		return verdictOfError(e)
	}
	return verdictOfState(r.GetTransfer().GetState())
}

func verdictOfError(e *quoratev1.Error) verdict {
	if e.GetOutcome() == quoratev1.Outcome_OUTCOME_NOT_APPLIED {
		return benchRefused
	}
	return benchUnknown
}

func (p *streamPayer) close() error { return p.conn.Close() }
