package node

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// pausing has a snapshot under way to node 2, whose last chunk was given at the moment that it returns, and counts what is read.
func pausing(pause int) (s *snapshots, given time.Time, reads *int) {
	reads = new(int)
	s = newSnapshots(nil, pause, func(lane.Event) { *reads++ }, nil)
	given = time.Now()
	s.open[receiver{"bank/A", 2}] = &opened{given: given}
	return s, given, reads
}

func nextChunk(offset uint64) *lane.ReadSnapshot {
	return &lane.ReadSnapshot{Group: "bank/A", To: 2, Last: raft.EntryID{Index: 9, Term: 1}, Offset: offset}
}

// TestTheNextChunkWaitsAsLongAsTheLastOneTookThreeTimes, or a snapshot wouldn't yield to traffic.
func TestTheNextChunkWaitsAsLongAsTheLastOneTookThreeTimes(t *testing.T) {
	const ms = time.Millisecond
	cases := map[string]struct {
		pause      int
		offset     uint64
		took, want time.Duration
	}{
		"machines at rest":         {3, 7, 2 * ms, 6 * ms},
		"busy machines":            {3, 7, 40 * ms, 120 * ms},
		"as long as it can be":     {3, 7, 66 * ms, 198 * ms},
		"never longer than 0.2 s":  {3, 7, time.Minute, 200 * ms},
		"the first chunk":          {3, 0, 40 * ms, 0},
		"as fast as it goes":       {0, 7, 40 * ms, 0},
		"as the usual limits have": {lane.DefaultLimits().SnapshotPause, 7, 10 * ms, 30 * ms},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, given, _ := pausing(c.pause)
			now := given.Add(c.took)
			s.wait(nextChunk(c.offset), now)
			if got := s.waits[0].due.Sub(now); got != c.want {
				t.Errorf("a chunk took %v, and the next one waits %v, want %v", c.took, got, c.want)
			}
		})
	}
}

// TestAChunkIsReadWhenItIsDue and not before, also if it is asked for again; and it doesn't begin to wait anew then.
func TestAChunkIsReadWhenItIsDue(t *testing.T) {
	s, given, reads := pausing(3)
	ahead := given.Add(time.Hour)
	for range 2 {
		s.wait(nextChunk(7), ahead)
		ahead = ahead.Add(time.Hour)
		if next := s.readDue(); *reads != 0 || len(s.waits) != 1 || next <= 0 {
			t.Fatalf("an hour before its time %d chunks are read, %d wait, the next for %v", *reads, len(s.waits), next)
		}
	}
	if want := given.Add(time.Hour + pauseLongest); !s.waits[0].due.Equal(want) {
		t.Errorf("asked for again it is due at %v, was %v", s.waits[0].due, want)
	}
	s.waits[0].due = given
	delete(s.open, receiver{"bank/A", 2}) // there is no store to read
	if s.readDue(); *reads != 1 || len(s.waits) != 0 {
		t.Errorf("at its time %d chunks are read, and %d wait", *reads, len(s.waits))
	}
}
