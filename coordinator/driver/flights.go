package driver

import "github.com/quorate/quorate/transfer"

// flights is the transfers on their way in this reign, and a chain of them in the order in which they were begun: what is heard of them comes much in that order.
type flights struct {
	byID map[transfer.ID]*flight
	last *flight // the end of the chain
}

func newFlights() flights { return flights{byID: map[transfer.ID]*flight{}} }

// add takes one more. What is a hold keeps no later ones in memory: it may stay for a month.
func (all *flights) add(f *flight) {
	all.byID[f.transfer.ID] = f
	if last := all.last; last != nil && !last.over && !last.transfer.IsHold() {
		last.next = f
	}
	all.last = f
}

// remove lets go of one, and of the chain behind it.
func (all *flights) remove(f *flight) {
	f.over, f.next = true, nil
	delete(all.byID, f.transfer.ID)
}

// follow finds a flight, or nil, for whoever goes through them much in the order of the chain. next is where he expects it, and then where he will expect another.
func (all *flights) follow(next **flight, id transfer.ID) *flight {
	f := *next
	if f == nil || f.over || f.transfer.ID != id {
		if f = all.byID[id]; f == nil {
			return nil
		}
	}
	*next = f.next
	return f
}
