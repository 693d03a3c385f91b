package transport

import (
	"time"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
)

// The bounds on who isn't a peer.
const (
	StreamsMax     = streamsMax
	HeaderBytesMax = headerBytesMax
	IdleTimeout    = idleTimeout
)

// SetIdle is for who can't wait for IdleTimeout.
func (c *Config) SetIdle(d time.Duration) { c.idle = d }

// Idle is how long a connection without a stream is kept.
func (t *Transport) Idle() time.Duration { return t.cfg.idle }

// DeferMax is how long deferrable envelopes are held back, and DeferMost how many are.
const (
	DeferMax  = deferMax
	DeferMost = deferMost
)

// QueueBytesMax bounds what waits for a peer.
const QueueBytesMax = queueBytesMaxDefault

// Queue is what waits for one peer, without a peer.
type Queue struct{ *queue }

// NewQueue makes an open one.
func NewQueue() Queue {
	q := newQueue(queueBytesMaxDefault)
	q.setOpen(true)
	return Queue{q}
}

// Put queues a batch.
func (q Queue) Put(batch []*peerv1.Envelope, deferrable bool) error { return q.put(batch, deferrable) }

// Take is all that leaves now; nil if whoever sends isn't even woken.
func (q Queue) Take() []*peerv1.Envelope {
	select {
	case <-q.ready:
		return q.take([]*peerv1.Envelope{}, exchangeBytes)
	default:
		return nil
	}
}
