package sim

import (
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// orderJudge holds the replicas of a group to one order of decisions: whoever follows it at any node, and goes on at another, misses nothing and
// hears nothing twice.
type orderJudge struct {
	w      *world
	orders map[lane.GroupID]*numbers
}

// numbers is what the first replica said of each number.
type numbers struct {
	said []outcomeAt
	of   map[transfer.ID]uint64
}

type outcomeAt struct {
	id    transfer.ID
	state transfer.State
}

func newOrderJudge(w *world) *orderJudge {
	return &orderJudge{w: w, orders: map[lane.GroupID]*numbers{}}
}

// afterStep reads what the coordinators of a node have decided since they were last looked at; of a life that begins, everything.
func (j *orderJudge) afterStep(h *host) {
	replicas := h.replicas()
	for i := range replicas {
		r := &replicas[i]
		if r.Coordinator == nil {
			continue
		}
		engine := r.Engine.(*watched)
		if engine.read == r.Coordinator.LastDecision() {
			continue
		}
		page, err := r.Coordinator.DecidedAfter(&coordinator.Filter{}, engine.read, 1<<20, 1<<20)
		if err != nil {
			j.w.fail("decisions can be followed", "node %d, %s after %d: %v", h.id, r.Group, engine.read, err)
			return
		}
		for i := range page.Decided {
			j.hear(h, r.Group, &page.Decided[i])
		}
		engine.read = page.Last
	}
}

func (j *orderJudge) hear(h *host, group lane.GroupID, d *coordinator.Numbered) {
	order := j.orders[group]
	if order == nil {
		order = &numbers{of: map[transfer.ID]uint64{}}
		j.orders[group] = order
	}
	now := outcomeAt{d.Record.Transfer.ID, d.Record.State}
	switch before, twice := order.of[now.id]; {
	case d.Number == uint64(len(order.said))+1 && !twice:
		order.said, order.of[now.id] = append(order.said, now), d.Number
	case d.Number > uint64(len(order.said)) || order.said[d.Number-1] != now || before != d.Number:
		j.w.fail("there is one order of decisions", "node %d, %s: decision %d is %+v; %d are known, and this transfer is number %d", h.id, group, d.Number, now, len(order.said), before)
	}
}
