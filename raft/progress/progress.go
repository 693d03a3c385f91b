package progress

import (
	"fmt"

	"github.com/quorate/quorate/raft/quorum"
)

// NodeID and Index are those of the whole of raft.
type (
	NodeID = quorum.NodeID
	Index  = quorum.Index
)

// State is how appends travel to a peer.
type State uint8

// Probe sends one append and waits for the answer: the leader doesn't know where the peer's log ends. Replicate streams
// ahead of the answers. Snapshot waits for the peer to install one, since the log no longer goes back far enough.
const (
	Probe State = iota + 1
	Replicate
	Snapshot
)

func (s State) String() string {
	switch s {
	case Probe:
		return "probe"
	case Replicate:
		return "replicate"
	case Snapshot:
		return "snapshot"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Progress is the leader's view of one peer. Times are ticks of the leader.
type Progress struct {
	State State
	Match Index // the peer has, durably, the leader's log up to here
	Next  Index // the next entry to send

	Deciding   Index  // the last entry that the peer acknowledged before it was committed, since the last beat
	SentCommit Index  // the commit that the peer was last told of
	Paused     bool   // Probe: an append is out, wait for its answer or a heartbeat's
	Doubt      bool   // Replicate: no step since the last heartbeat, an append may be lost
	Heard      uint64 // when the peer last said something in this term
	Round      uint64 // the newest heartbeat round that it answered

	ToldIn uint64 // the leader leaves: the round that told the peer

	rejects int   // refused appends in a row: the search steps back further each time
	nudged  Index // Match at the last heartbeat; unchanged at the next, something may be lost
	window  window

	Sending Transfer // State Snapshot: how far the snapshot is
}

// Transfer is a snapshot on its way to the peer, one chunk at a time.
type Transfer struct {
	Last   Index  // the last entry in the snapshot; zero: the host has not offered a chunk yet
	Term   uint64 // of that entry
	Offset uint64 // the peer has the bytes before it
	Since  uint64 // the tick of the last step forward
}

// Reset starts again for a new leader's term: nothing is known of the peer.
func (p *Progress) Reset(next Index, now uint64) {
	ring := p.window.ring
	*p = Progress{State: Probe, Next: next, Heard: now}
	p.window.ring = ring
}

// Probing sends one append at a time from now on, the first at Match+1.
func (p *Progress) Probing() {
	p.State = Probe
	p.Next = p.Match + 1
	p.Paused = false
	p.Sending = Transfer{}
	p.window.clear()
}

// Streaming sends ahead of the answers from now on.
func (p *Progress) Streaming() {
	p.State = Replicate
	p.Next = p.Match + 1
	p.Paused = false
	p.rejects = 0
	p.Sending = Transfer{}
	p.window.clear()
}

// NeedsSnapshot waits for a snapshot from now on; appends stop.
func (p *Progress) NeedsSnapshot(now uint64) {
	p.State = Snapshot
	p.Paused = false
	p.window.clear()
	p.Sending = Transfer{Since: now}
}

// MaySend says whether an append may be sent now.
func (p *Progress) MaySend(l Limits) bool {
	switch p.State {
	case Probe:
		return !p.Paused
	case Replicate:
		return !p.window.full(l)
	default:
		return false
	}
}

// Sent notes an append with entries up to last (Next−1 if it was empty).
func (p *Progress) Sent(last Index, bytes uint64) {
	switch p.State {
	case Probe:
		p.Paused = true
	case Replicate:
		if last >= p.Next {
			p.window.add(last, bytes)
			p.Next = last + 1
		}
	}
}

// Acked notes that the peer has everything up to index, and says whether that was news.
func (p *Progress) Acked(index Index) bool {
	news := index > p.Match
	if news {
		p.Match = index
		p.Next = max(p.Next, index+1)
	}
	switch p.State {
	case Probe:
		// Any answer to the probe settles the search, also one that says nothing new.
		if news || index+1 == p.Next {
			p.Streaming()
		}
	case Replicate:
		p.window.free(index)
	}
	return news
}

// Rejected notes that the peer refused an append whose entries followed prev; next is where its answer
// says to look. It reports whether the refusal is fresh: old ones come late and change nothing.
func (p *Progress) Rejected(prev, next Index) bool {
	if prev <= p.Match {
		return false // old, or the peer lost what it had acknowledged: then there is nothing to find
	}
	switch p.State {
	case Replicate:
		p.Probing()
		p.Next = max(p.Match+1, min(next, prev))
		return true
	case Probe:
		if prev != p.Next-1 {
			return false
		}
		p.Next = max(p.Match+1, p.stepBack(min(next, prev)))
		p.Paused = false
		return true
	default:
		return false
	}
}

// hintsTrusted is how many refusals in a row are followed by exactly what the peer hinted. With terms that differ entry by entry, each hint
// gains a single entry; from then on the steps double, so that any distance is found in a logarithm of it.
const hintsTrusted = 3

func (p *Progress) stepBack(next Index) Index {
	p.rejects++
	if p.rejects <= hintsTrusted {
		return max(next, 1)
	}
	further := Index(1) << min(p.rejects-hintsTrusted, 62)
	if next <= further {
		return 1
	}
	return next - further
}

// HeartbeatDue is called when a heartbeat is sent. It reports whether the peer made no step since the last one
// although appends are under way: one of them may be lost, and the answer to an empty append will tell.
func (p *Progress) HeartbeatDue() bool {
	stuck := p.State == Replicate && p.Match+1 < p.Next && p.nudged == p.Match
	p.nudged = p.Match
	return stuck
}

// InFlight returns how many appends, with how many bytes, are under way.
func (p *Progress) InFlight() (messages int, bytes uint64) { return p.window.count, p.window.bytes }

// Verify returns what is wrong with the progress, or nil.
func (p *Progress) Verify(l Limits) error {
	switch {
	case p.Match >= p.Next:
		return fmt.Errorf("match %d is not below next %d", p.Match, p.Next)
	case p.window.count > l.Messages:
		return fmt.Errorf("%d appends under way, limit %d", p.window.count, l.Messages)
	case p.State != Replicate && p.window.count > 0:
		return fmt.Errorf("%d appends under way in state %s", p.window.count, p.State)
	}
	return nil
}
