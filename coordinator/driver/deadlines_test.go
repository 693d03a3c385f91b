package driver

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestDeadlinesComeInOrder: whatever was added, taken out and added again, who is due comes as from a sorted list, each once, and of those that
// wait for nothing no more are kept than of others, and a few.
func TestDeadlinesComeInOrder(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var d deadlines
		var flights, waiting []*flight
		now := begin
		for range 3000 {
			switch rng.IntN(8) {
			case 0, 1, 2: // a new one
				f := &flight{due: now.Add(time.Duration(rng.IntN(40)) * time.Second)}
				f.transfer.ID[0] = byte(rng.IntN(256))
				binary.BigEndian.PutUint32(f.transfer.ID[1:], uint32(len(flights)))
				flights, waiting = append(flights, f), append(waiting, f)
				d.add(f)
			case 3, 4: // one that ends before
				if len(waiting) > 0 {
					i := rng.IntN(len(waiting))
					d.remove(waiting[i])
					waiting = slices.Delete(waiting, i, i+1)
				}
			case 5: // one that waits again, as a hold does, maybe until the same time
				if len(flights) > 0 {
					if f := flights[rng.IntN(len(flights))]; !f.timed {
						if f.due.Before(now) {
							f.due = now
						}
						f.due = f.due.Add(time.Duration(rng.IntN(3)) * time.Second)
						waiting = append(waiting, f)
						d.add(f)
					}
				}
			case 6: // one that waits for nothing ends once more
				if len(flights) > 0 {
					if f := flights[rng.IntN(len(flights))]; !f.timed {
						d.remove(f)
					}
				}
			case 7:
				now = now.Add(time.Duration(rng.IntN(3)) * time.Second)
			}
			slices.SortFunc(waiting, func(a, b *flight) int {
				if c := a.due.Compare(b.due); c != 0 {
					return c
				}
				return bytes.Compare(a.transfer.ID[:], b.transfer.ID[:])
			})
			if want := len(waiting) > 0 && !waiting[0].due.After(now); d.isDue(now) != want {
				t.Fatalf("seed %d: somebody is due: %v, want %v", seed, !want, want)
			}
			if rng.IntN(2) == 0 {
				for f := d.next(now); f != nil; f = d.next(now) {
					if len(waiting) == 0 || f != waiting[0] {
						t.Fatalf("seed %d: %v is due at %v, before its turn", seed, f.transfer.ID, f.due)
					}
					waiting = waiting[1:]
				}
			}
			if kept, most := len(d.heap), 2*len(waiting)+2*overKept; kept > most {
				t.Fatalf("seed %d: %d are kept while %d wait", seed, kept, len(waiting))
			}
		}
		for _, f := range waiting {
			d.remove(f)
		}
		if f := d.next(now.Add(time.Hour)); f != nil {
			t.Fatalf("seed %d: somebody is due after all have ended", seed)
		}
	}
}

// TestDeadlinesOfWhatHasEndedAreLetGo: long before their time comes.
func TestDeadlinesOfWhatHasEndedAreLetGo(t *testing.T) {
	due := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var d deadlines
	stays := &flight{due: due}
	d.add(stays)
	for range 10_000 {
		f := &flight{due: due}
		d.add(f)
		d.remove(f)
		if len(d.heap) > overKept+2 {
			t.Fatalf("%d are kept while one waits", len(d.heap))
		}
	}
	for i := range d.heap[len(d.heap):cap(d.heap)] {
		if left := d.heap[:cap(d.heap)][len(d.heap)+i]; left.flight != nil {
			t.Fatal("the room behind the others holds a flight")
		}
	}
	if d.next(due) != stays || d.next(due) != nil {
		t.Error("who waits isn't the only one that is due")
	}
}
