package sim

import "github.com/quorate/quorate/lane"

// queueJudge holds every queue of a lane to its bound, after every step.
type queueJudge struct {
	w       *world
	queues  []lane.Queue
	flights int // the largest bound on transfers that any node has had: a new leader takes up what the one before has let in
}

func (j *queueJudge) started(h *host) {
	j.flights = max(j.flights, h.limits.Driver.HeldMax+2*h.limits.Driver.FlightsMax)
}

func (j *queueJudge) afterStep(h *host) {
	j.queues = h.lane.Queues(j.queues[:0])
	for i := range j.queues {
		q := &j.queues[i]
		if q.Kept > q.Most && !(q.Name == lane.Flights && q.Kept <= j.flights) {
			j.w.fail("every queue keeps its bound", "node %d keeps %d %s %s, the bound is %d", h.id, q.Kept, q.Name, q.Group, q.Most)
		}
	}
}
