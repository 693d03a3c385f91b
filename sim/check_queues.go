package sim

import "github.com/quorate/quorate/lane"

// queueJudge holds every queue of a lane to its bound, after every step.
type queueJudge struct {
	w       *world
	flights int   // the largest bound on transfers that any node has had: a new leader takes up what the one before has let in
	looksAt *host // … now

	doLook func(name string, group lane.GroupID, kept, most int) // look, bound once
}

func newQueueJudge(w *world) *queueJudge {
	j := &queueJudge{w: w}
	j.doLook = j.look
	return j
}

func (j *queueJudge) started(h *host) {
	j.flights = max(j.flights, h.limits.Driver.HeldMax+2*h.limits.Driver.FlightsMax)
}

func (j *queueJudge) afterStep(h *host) {
	j.looksAt = h
	h.lane.Queues(j.doLook)
}

func (j *queueJudge) look(name string, group lane.GroupID, kept, most int) {
	if kept > most && !(name == lane.Flights && kept <= j.flights) {
		j.w.fail("every queue keeps its bound", "node %d keeps %d %s %s, the bound is %d", j.looksAt.id, kept, name, group, most)
	}
}
