package progress

// Limits bound what is under way to one peer. Both are above zero.
type Limits struct {
	Messages int
	Bytes    uint64
}

// flight is one append under way: the last index in it and its size.
type flight struct {
	last  Index
	bytes uint64
}

// window is the appends under way to one peer, oldest first, in a ring that grows to its limit and is then reused.
type window struct {
	ring  []flight
	start int
	count int
	bytes uint64
}

// full says whether another append has to wait. One message larger than the byte limit still goes when nothing else is under way.
func (w *window) full(l Limits) bool {
	return w.count >= l.Messages || w.count > 0 && w.bytes >= l.Bytes
}

func (w *window) add(last Index, bytes uint64) {
	if w.count == len(w.ring) {
		w.grow()
	}
	w.ring[(w.start+w.count)%len(w.ring)] = flight{last, bytes}
	w.count++
	w.bytes += bytes
}

func (w *window) grow() {
	bigger := make([]flight, max(8, 2*len(w.ring)))
	for i := range w.count {
		bigger[i] = w.ring[(w.start+i)%len(w.ring)]
	}
	w.ring, w.start = bigger, 0
}

// free forgets all appends up to index: the peer has them.
func (w *window) free(to Index) {
	for w.count > 0 && w.ring[w.start].last <= to {
		w.bytes -= w.ring[w.start].bytes
		w.start = (w.start + 1) % len(w.ring)
		w.count--
	}
}

func (w *window) clear() { w.start, w.count, w.bytes = 0, 0, 0 }
