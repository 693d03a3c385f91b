package sim

import "time"

// event is something that will happen: ties in time are broken by the order in which events were made. What a process does
// happens in that life of it only.
type event struct {
	at   time.Duration
	seq  uint64
	do   func()
	host *host // nil: nobody's
	life uint64
}

// queue is a binary heap of events.
type queue struct {
	events []event
	seq    uint64
}

func (e *event) before(f *event) bool {
	if e.at != f.at {
		return e.at < f.at
	}
	return e.seq < f.seq
}

func (q *queue) add(e event) {
	q.seq++
	q.events = append(q.events, event{})
	h := q.events
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= e.at { // of two at the same time, the new one is the later
			break
		}
		h[i] = h[parent]
		i = parent
	}
	e.seq = q.seq
	h[i] = e
}

// next takes out the earliest event; ok is false if there is none.
func (q *queue) next() (first event, ok bool) {
	h := q.events
	if len(h) == 0 {
		return event{}, false
	}
	first = h[0]
	last := len(h) - 1
	moved := h[last]
	h[last] = event{}
	h = h[:last]
	q.events = h
	if last == 0 {
		return first, true
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h[child+1].before(&h[child]) {
			child++
		}
		if moved.before(&h[child]) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = moved
	return first, true
}
