package transport

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
)

// queue is what waits for one peer: bounded, in order, open only while the peer is connected.
type queue struct {
	bytesMax int
	ready    chan struct{} // holds a token, or will within deferMax, whenever waiting isn't empty

	mu      sync.Mutex // guards all below
	open    bool
	waiting []item
	bytes   int
	dropped uint64
	held    *time.Timer // signals when what waits has been held back long enough, and stays until the next take; nil: nothing is held back
}

type item struct {
	envelope *peerv1.Envelope
	bytes    int
}

// nearlyEmpty is a queue that is full to this part of its bound.
const nearlyEmpty = 32

func newQueue(bytesMax int) *queue {
	return &queue{bytesMax: bytesMax, ready: make(chan struct{}, 1)}
}

// put appends a batch or drops it whole: half a batch would let a later message overtake its forerunner.
// Into a queue that is nearly empty any batch fits, for what is held back is mostly there. It returns an error if an envelope can't ever travel.
// A deferrable batch waits for the next one that isn't, for deferMax, or until deferMost envelopes wait.
func (q *queue) put(batch []*peerv1.Envelope, deferrable bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open {
		q.dropped += uint64(len(batch))
		return nil
	}
	before, bytes := len(q.waiting), 0
	for _, e := range batch {
		size := proto.Size(e)
		bytes += size
		full := q.bytes > q.bytesMax/nearlyEmpty && q.bytes+bytes > q.bytesMax
		if full || size > EnvelopeBytesMax {
			q.forget(before)
			q.dropped += uint64(len(batch))
			return tooLarge(size)
		}
		q.waiting = append(q.waiting, item{e, size})
	}
	q.bytes += bytes
	switch {
	case !deferrable || len(q.waiting) >= deferMost:
		q.signal()
	case q.held == nil:
		q.held = time.AfterFunc(deferMax, q.signal)
	}
	return nil
}

func tooLarge(size int) error {
	if size <= EnvelopeBytesMax {
		return nil
	}
	return fmt.Errorf("an envelope of %d bytes is above the limit of %d", size, EnvelopeBytesMax)
}

// take moves the oldest envelopes into the given slice: as many as fit into bytesMax, at least one.
func (q *queue) take(into []*peerv1.Envelope, bytesMax int) []*peerv1.Envelope {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held != nil {
		q.held.Stop()
		q.held = nil
	}
	clear(into)
	into = into[:0]
	bytes := 0
	for _, next := range q.waiting {
		if len(into) > 0 && bytes+next.bytes > bytesMax {
			break
		}
		into = append(into, next.envelope)
		bytes += next.bytes
	}
	rest := copy(q.waiting, q.waiting[len(into):])
	q.forget(rest)
	q.bytes -= bytes
	if rest > 0 {
		q.signal()
	}
	return into
}

// forget cuts what waits to its first n and lets go of the rest's memory.
func (q *queue) forget(n int) {
	clear(q.waiting[n:])
	q.waiting = q.waiting[:n]
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default: // the token is there
	}
}

// setOpen lets envelopes in, or keeps them out and forgets those that wait.
func (q *queue) setOpen(open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = open
	q.dropped += uint64(len(q.waiting))
	q.forget(0)
	q.bytes = 0
}

func (q *queue) isOpen() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open
}

// takeDropped says how many envelopes were dropped since it was last asked.
func (q *queue) takeDropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}
