package transport

import (
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/raft"
)

// EventKind is what an Event tells.
type EventKind uint8

// The events, in the order of a connection's life.
const (
	Connected EventKind = iota + 1 // the peer has accepted this node's stream
	Dropped                        // the queue to the peer was full, or an envelope was too large or out of place
	Lost                           // the stream to the peer broke, or the peer can't be reached; told once until Connected
	Refused                        // the peer has refused this node's stream; told once until Connected
	Expelled                       // a peer knows that this node must not run: it was removed, or this is not its data directory
	Rejected                       // this node has refused somebody's stream; told once a minute for each reason. Who it says it is may be a lie
)

func (k EventKind) String() string {
	switch k {
	case Connected:
		return "connected"
	case Dropped:
		return "dropped"
	case Lost:
		return "lost"
	case Refused:
		return "refused"
	case Expelled:
		return "expelled"
	case Rejected:
		return "rejected"
	}
	return "invalid"
}

// Event is something that an operator may want to know of a peer.
type Event struct {
	Kind      EventKind
	Peer      raft.NodeID // zero: a stranger
	Address   string
	Envelopes uint64 // dropped since the last event that had a number; with Connected and Dropped
	Err       error  // with all but Connected
}

// Reason is what a peer said when it refused this node.
func (e *Event) Reason() string { return status.Convert(e.Err).Message() }
