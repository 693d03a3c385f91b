package transport_test

import (
	"testing"
	"testing/synctest"
	"time"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/transport"
)

// TestDeferrableEnvelopesWaitForOthers: they leave in their order with what can't wait, or after their time, and none is kept for longer.
func TestDeferrableEnvelopesWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := transport.NewQueue()
		put := func(deferrable bool, rounds ...uint64) {
			for _, round := range rounds {
				if err := q.Put(beat(1, 2, round), deferrable); err != nil {
					t.Fatal(err)
				}
			}
		}
		leaves := func(when string, rounds ...uint64) {
			t.Helper()
			synctest.Wait()
			envelopes := q.Take()
			if len(envelopes) != len(rounds) || (envelopes != nil) != (len(rounds) > 0) {
				t.Fatalf("%s: %d envelopes leave, want %d (woken: %t)", when, len(envelopes), len(rounds), envelopes != nil)
			}
			for i, want := range rounds {
				if got := envelopes[i].GetRaft().GetRound(); got != want {
					t.Errorf("%s: round %d leaves as number %d, want %d", when, got, i, want)
				}
			}
		}
		for range 2 {
			put(true, 1)
			time.Sleep(transport.DeferMax / 2)
			put(true, 2)
			leaves("too early")
			put(false, 3)
			leaves("with what can't wait", 1, 2, 3)
			time.Sleep(transport.DeferMax * 2)
			leaves("when all has left")

			put(true, 4)
			time.Sleep(transport.DeferMax / 2)
			put(true, 5)
			time.Sleep(transport.DeferMax/2 - 1)
			leaves("just before their time")
			time.Sleep(time.Nanosecond)
			leaves("after the first one's time", 4, 5)

			put(false, 6)
			leaves("at once", 6)

			all := make([]uint64, transport.DeferMost)
			put(true, all[1:]...)
			leaves("one too few")
			put(true, all[0])
			leaves("so many at once", all...)
			time.Sleep(transport.DeferMax * 2)
			leaves("when that has left")
		}
	})
}

// TestALargeBatchFitsWhileLittleIsHeldBack: what a member lacks that has come back may be more than the bound; it has always fitted into an empty queue.
func TestALargeBatchFitsWhileLittleIsHeldBack(t *testing.T) {
	q := transport.NewQueue()
	if err := q.Put(beat(1, 2, 1), true); err != nil {
		t.Fatal(err)
	}
	var large []*peerv1.Envelope
	for range transport.QueueBytesMax>>20 + 1 {
		large = append(large, entry(1, 2, 1<<20)...)
	}
	if err := q.Put(large, false); err != nil {
		t.Fatal(err)
	}
	left := len(q.Take())
	if err := q.Put(large, false); err != nil {
		t.Fatal(err)
	}
	for more := 0; ; left += more {
		if more = len(q.Take()); more == 0 {
			break
		}
	}
	if left != 1+len(large) {
		t.Errorf("%d envelopes left, want %d: one batch above the bound, and no second one", left, 1+len(large))
	}
}

func TestDeferrableEnvelopesArrive(t *testing.T) {
	a, b := pair(t, nil)
	defer a.Stop()
	defer b.Stop()
	for round := range uint64(3) {
		a.SendDeferrable(2, beat(1, 2, round))
		if got := b.receives().envelopes[0].GetRaft().GetRound(); got != round {
			t.Fatalf("round %d, want %d", got, round)
		}
	}
}
