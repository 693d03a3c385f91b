package driver

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/transfer"
)

func idOf(n int) transfer.ID { return transfer.ID{1, 15: byte(n)} }

// TestFollowingFindsWhatTheMapHas, in whatever order flights begin, end, begin again and are asked for.
func TestFollowingFindsWhatTheMapHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, plain := newFlights(), map[transfer.ID]*flight{}
		var next [2]*flight
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			id := idOf(rapid.IntRange(0, 7).Draw(t, "id"))
			switch f := plain[id]; rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if f == nil {
					f = &flight{transfer: transfer.Transfer{ID: id}}
					if rapid.Bool().Draw(t, "hold") {
						f.transfer.HoldUntil = time.Unix(1, 0)
					}
					all.add(f)
					plain[id] = f
				}
			case 1:
				if f != nil {
					all.remove(f)
					delete(plain, id)
				}
			default:
				if got := all.follow(&next[rapid.IntRange(0, 1).Draw(t, "who")], id); got != f {
					t.Fatalf("%v, want %v", got, f)
				}
			}
		}
	})
}

// TestFlightsThatStayKeepNoOthersInMemory: a hold may stay for a month, and any transfer for as long as a bank is down.
func TestFlightsThatStayKeepNoOthersInMemory(t *testing.T) {
	for until, most := range map[time.Time]int{{}: 2, time.Unix(1, 0): 1} { // the end of the chain, and behind what is no hold the next one
		for _, together := range []bool{false, true} {
			all := newFlights()
			stays := &flight{transfer: transfer.Transfer{ID: idOf(0), HoldUntil: until}}
			all.add(stays)
			var passing []weak.Pointer[flight]
			for n := 1; n <= 10; n++ {
				f := &flight{transfer: transfer.Transfer{ID: idOf(n)}}
				all.add(f)
				passing = append(passing, weak.Make(f))
				if !together {
					all.remove(f)
				}
			}
			for n := 1; n <= 10 && together; n++ {
				all.remove(all.byID[idOf(n)])
			}
			runtime.GC()
			kept := 0
			for _, p := range passing {
				if p.Value() != nil {
					kept++
				}
			}
			if kept > most {
				t.Errorf("hold until %v, removed together: %t: %d flights that have ended are in memory, want %d at most", until, together, kept, most)
			}
			runtime.KeepAlive(stays)
			runtime.KeepAlive(&all)
		}
	}
}
