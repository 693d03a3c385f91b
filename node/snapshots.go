package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/storage"
)

// snapshots reads what other members are sent, beside the loop and beside the disk. For each of them it keeps a view of
// the store open, so that all chunks are of one moment.
type snapshots struct {
	store  *storage.Store
	pause  time.Duration    // lane.Limits.SnapshotPause
	read   func(lane.Event) // hears of every chunk
	failed func(error)      // hears of damage
	open   map[receiver]*opened
	waits  []pending

	mu      sync.Mutex // guards asked and closed
	asked   []lane.ReadSnapshot
	closed  bool
	wake    chan struct{}
	stopped chan struct{}
}

// receiver is a member that is sent a group's snapshot: one at a time.
type receiver struct {
	group lane.GroupID
	to    raft.NodeID
}

// opened is a snapshot under way.
type opened struct {
	view  *storage.View
	out   *replica.Outgoing
	asked time.Time // last
	given time.Time // the last chunk
}

// pending is a chunk to read at its time.
type pending struct {
	lane.ReadSnapshot
	due time.Time
}

// pauseLongest bounds how long a chunk waits (lane.Limits.SnapshotPause). It is shorter than the time after which an engine asks again.
const pauseLongest = 200 * time.Millisecond

// A view that nobody has asked for this long is closed: the member is gone or has all of it. snapshotsMax bounds
// the views; the one that was asked for longest ago makes room.
const (
	viewIdle     = 30 * time.Second
	snapshotsMax = 64
)

func newSnapshots(store *storage.Store, pause int, read func(lane.Event), failed func(error)) *snapshots {
	return &snapshots{store: store, pause: time.Duration(pause), read: read, failed: failed, open: map[receiver]*opened{}, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// ask queues what a step wants read. It never blocks: an engine asks for one chunk at a time for each member, and again only after
// an election timeout.
func (s *snapshots) ask(reads []lane.ReadSnapshot) {
	if len(reads) == 0 {
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, reads...)
	s.mu.Unlock()
	poke(s.wake)
}

// close has run close its views and return, and waits for it.
func (s *snapshots) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	poke(s.wake)
	<-s.stopped
}

// run is the goroutine; it returns after close.
func (s *snapshots) run() {
	defer close(s.stopped)
	defer s.closeAll()
	idle := time.NewTicker(viewIdle)
	defer idle.Stop()
	next := time.NewTimer(viewIdle)
	defer next.Stop()
	for {
		select {
		case <-s.wake:
		case <-next.C:
		case <-idle.C:
			s.closeIdle()
		}
		s.mu.Lock()
		asked, closed := s.asked, s.closed
		s.asked = nil
		s.mu.Unlock()
		if closed {
			return
		}
		for i := range asked {
			s.wait(&asked[i], time.Now())
		}
		next.Reset(s.readDue())
	}
}

// wait has a chunk read in its time. What an engine asks anew takes the place of what it asked before.
func (s *snapshots) wait(r *lane.ReadSnapshot, now time.Time) {
	for i := range s.waits {
		if p := &s.waits[i]; p.Group == r.Group && p.To == r.To {
			p.ReadSnapshot = *r
			return
		}
	}
	s.waits = append(s.waits, pending{*r, s.due(r, now)})
}

// due says when a chunk may be read. One that is under way takes longer while the machines are busy, so a snapshot is slow then and quick at night: what
// is in the background yields as delays grow (the idea of RFC 6817).
func (s *snapshots) due(r *lane.ReadSnapshot, now time.Time) time.Time {
	o := s.open[receiver{r.Group, r.To}]
	if o == nil || r.Offset == 0 {
		return now
	}
	return now.Add(min(s.pause*now.Sub(o.given), pauseLongest))
}

// readDue reads the chunks whose time has come, and returns how long the next one waits.
func (s *snapshots) readDue() time.Duration {
	wait := viewIdle
	waits := s.waits
	s.waits = s.waits[:0]
	for i := range waits {
		p := &waits[i]
		if until := time.Until(p.due); until > 0 {
			wait = min(wait, until)
			s.waits = append(s.waits, *p)
			continue
		}
		chunk, err := s.chunk(&p.ReadSnapshot)
		if errors.Is(err, storage.ErrDamaged) {
			s.failed(err)
		}
		s.read(lane.SnapshotRead{Group: p.Group, To: p.To, Chunk: chunk, Err: err})
	}
	return wait
}

func (s *snapshots) chunk(r *lane.ReadSnapshot) (raft.SnapshotChunk, error) {
	key := receiver{r.Group, r.To}
	o := s.open[key]
	switch {
	case r.Last.Index == 0:
		var err error
		if o, err = s.begin(key, r.Members); err != nil {
			return raft.SnapshotChunk{}, err
		}
	case o == nil || o.view.Last() != r.Last:
		return raft.SnapshotChunk{}, fmt.Errorf("the view of entry %d@%d is closed", r.Last.Index, r.Last.Term)
	}
	o.asked = time.Now()
	chunk, err := o.out.Chunk(r.Offset, r.BytesMax)
	o.given = time.Now()
	return chunk, err
}

// begin opens a view of the newest checkpoint.
func (s *snapshots) begin(key receiver, members []byte) (*opened, error) {
	s.end(key)
	s.makeRoom()
	view, err := s.store.View(string(key.group))
	if err != nil {
		return nil, err
	}
	o := &opened{view: view, out: replica.NewOutgoing(source{view, members})}
	s.open[key] = o
	return o, nil
}

func (s *snapshots) makeRoom() {
	if len(s.open) < snapshotsMax {
		return
	}
	var oldest receiver
	for key, o := range s.open {
		if oldest.to == 0 || o.asked.Before(s.open[oldest].asked) {
			oldest = key
		}
	}
	s.end(oldest)
}

func (s *snapshots) closeIdle() {
	for key, o := range s.open {
		if time.Since(o.asked) > viewIdle {
			s.end(key)
		}
	}
}

func (s *snapshots) closeAll() {
	for key := range s.open {
		s.end(key)
	}
}

func (s *snapshots) end(key receiver) {
	if o := s.open[key]; o != nil {
		_ = o.view.Close() // it was only read
		delete(s.open, key)
	}
}

// source is a view whose checkpoint may be too old to say who counted.
type source struct {
	*storage.View
	members []byte
}

func (s source) Membership() []byte {
	if m := s.View.Membership(); m != nil {
		return m
	}
	return s.members
}
