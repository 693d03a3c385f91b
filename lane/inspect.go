package lane

import (
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// Replica is one replica of the lane as a judge sees it: everything is shared with the lane, to be read between two
// Steps and never changed. One of Coordinator, Ledger and Directory is set, the others are nil.
type Replica struct {
	Group       GroupID
	Bank        transfer.BankID // "": it is none
	Leading     bool            // leads, and is ready to answer
	Applied     raft.Index
	Engine      replica.Engine
	Coordinator *coordinator.Machine
	Ledger      *ledger.Ledger
	Directory   *directory.Machine
}

// StateHash stands for what the machine holds: replicas that applied the same entries have the same.
func (r *Replica) StateHash() uint64 {
	switch {
	case r.Ledger != nil:
		return r.Ledger.Hash()
	case r.Directory != nil:
		return r.Directory.Hash()
	}
	return r.Coordinator.Hash()
}

// Inspect appends every replica of the lane to into, in the order of their coming. It is for simulators and tests.
func (l *Lane) Inspect(into []Replica) []Replica {
	for _, g := range l.order {
		r := Replica{Group: g.id, Leading: g.leading, Applied: g.replica.Applied(), Engine: g.replica.Engine()}
		switch host := g.host.(type) {
		case *coordinatorHost:
			r.Coordinator = host.machine
		case *clusterHost:
			r.Directory = host.machine
		case *bankHost:
			r.Bank, r.Ledger = host.bank, host.ledger
		}
		into = append(into, r)
	}
	return into
}

// Flights names the queue of what a coordinator drives. A new leader takes up all that the one before has let in, also if that had a larger bound. What is in
// flight may become a hold when there are as many holds as new ones are let in with, and then others may be in flight.
const Flights = "transfers in flight"

// Queues shows every place of the lane where something may gather, with how much does and its bound; the group is "" for one of the whole lane. Most
// of what gathers elsewhere belongs to one of these, and is bounded by a number for each: the waiters of a transfer, its questions to banks, the
// facts about it. It is for simulators and tests.
func (l *Lane) Queues(show func(name string, group GroupID, kept, most int)) {
	limits := &l.limits
	show("requests of clients", "", len(l.gateway.open), limits.AsksMax)
	for _, g := range l.order {
		show("reads", g.id, g.reads, limits.ReadsMax)
		switch host := g.host.(type) {
		case *coordinatorHost:
			kept, outstanding := host.driver.Load()
			show(Flights, g.id, kept, limits.Driver.HeldMax+2*limits.Driver.FlightsMax)
			show("lists that wait for numbers", g.id, len(host.unlisted), limits.ReadsMax)
			show("requests to a bank", g.id, outstanding, limits.Driver.BankOutstandingMax)
		case *bankHost:
			show("commands", g.id, len(host.commands), limits.BankQueueMax)
			show("commits held back", g.id, len(host.held.waiting), limits.BankQueueMax)
		case *clusterHost:
			show("changes of the cluster", g.id, len(host.facts), limits.AsksMax)
		}
	}
}

// CoordinatorOf names the group that decides about a transfer.
func (l *Lane) CoordinatorOf(id transfer.ID) GroupID { return l.coordinatorOf(id) }
