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

// CoordinatorOf names the group that decides about a transfer.
func (l *Lane) CoordinatorOf(id transfer.ID) GroupID { return l.coordinatorOf(id) }
