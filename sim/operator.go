package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// operator is whoever changes the cluster while it runs: adds machines, promotes them, moves banks and leaders, removes machines. It
// starts a machine once the directory has it, and never starts one again that has learned that it is out.
type operator struct {
	w     *world
	rng   *rand.Rand
	asked time.Duration // when something was last asked for
	heard []promise     // changes that were accepted: they stand
}

func newOperator(w *world) *operator { return &operator{w: w, rng: stream(w.cfg.Seed, streamOperator)} }

func (o *operator) begin() {
	if o.w.faults.Operator == 0 || o.w.stranger != nil { // the directory would have a bank move to where nobody holds replicas
		return
	}
	o.startMachines()
	o.w.after(o.pause(), o.act)
}

func (o *operator) pause() time.Duration {
	return time.Duration(o.rng.ExpFloat64() * float64(o.w.faults.Operator))
}

// startMachines starts whoever was let in. It looks every now and then, also when nobody asks for anything any more.
func (o *operator) startMachines() {
	if d := o.w.directory(); d != nil {
		for _, n := range d.Nodes() {
			if int(n.ID) == len(o.w.hosts)+1 && n.Role != directory.Removed {
				h := newHost(o.w, n.ID)
				h.file = o.fileOf(d)
				o.w.hosts = append(o.w.hosts, h)
				o.w.counts.Joined++
				h.start()
			}
		}
	}
	for _, h := range o.w.hosts {
		if h.lane != nil && int(h.id) > o.w.shape.nodes && !h.known[h.id] { // it has no directory yet: its file is kept up to date
			h.file = o.fileOf(o.w.directory())
			h.meet()
		}
	}
	o.turnAway()
	o.w.after(100*time.Millisecond, o.startMachines)
}

// fileOf names the peer that a newcomer's configuration should: one that has come since the beginning, once nobody of the beginning is left to introduce it.
func (o *operator) fileOf(d *directory.Machine) (named [strangerID + 1]bool) {
	left := func(n directory.Node) bool { return int(n.ID) <= o.w.shape.nodes && n.Role != directory.Removed }
	if slices.ContainsFunc(d.Nodes(), left) {
		return named
	}
	if at := slices.IndexFunc(d.Nodes(), func(n directory.Node) bool { return n.Role != directory.Removed }); at >= 0 {
		named[d.Nodes()[at].ID] = true
	}
	return named
}

// turnAway: transports connect to everybody they know, also when there is nothing to say. Who is out hears so from the first that knows it.
func (o *operator) turnAway() {
	for _, h := range o.w.hosts {
		meets := func(other *host) bool {
			return other.lane != nil && !o.w.net.cut[h.id][other.id] && !o.w.net.cut[other.id][h.id] && h.known[other.id] && other.refused[h.id]
		}
		if h.lane != nil && slices.ContainsFunc(o.w.hosts, meets) {
			h.leave()
		}
	}
}

// act asks for one change; what becomes of it is the cluster's matter. It doesn't go on while a replica lacks data: that is what a
// majority has to be left for.
func (o *operator) act() {
	if o.w.calm {
		return
	}
	o.w.after(o.pause(), o.act)
	d := o.w.directory()
	if d == nil || o.w.hushed > 0 || !o.w.mischief.dare(change, true) || o.w.someDiskIsLost() {
		return
	}
	ask, stands := o.wish(d)
	o.asked = o.w.now
	o.w.put(o.w.traffic.anyHost(), 2*time.Second, ask, func(a *lane.Answer) {
		if a != nil && a.Err == nil {
			o.w.counts.Changes++
			if stands != nil {
				o.heard = append(o.heard, stands)
			}
		}
	})
}

// promise says why an accepted change doesn't stand in a directory; "" if it does.
type promise func(d *directory.Machine) string

// wish draws a change that makes sense, mostly.
func (o *operator) wish(d *directory.Machine) (lane.Ask, promise) {
	members, learners := o.withRole(d, directory.Member), o.withRole(d, directory.Learner)
	anyone := raft.NodeID(1 + o.rng.IntN(hostsMax))
	switch dice := o.rng.IntN(10); {
	case dice < 2 && len(o.w.hosts) < hostsMax:
		id := raft.NodeID(len(o.w.hosts) + 1)
		return lane.AddMember{Node: id, Addresses: addressesOf(id)}, o.isAtLeast(id, directory.Learner)
	case dice < 4 && len(learners) > 0:
		id := learners[o.rng.IntN(len(learners))]
		return lane.PromoteMember{Node: id}, o.isAtLeast(id, directory.Member)
	case dice < 6 && (len(members) > 3 || o.rng.IntN(8) == 0):
		id := anyone
		if o.rng.IntN(8) > 0 {
			id = members[o.rng.IntN(len(members))]
		}
		return lane.RemoveMember{Node: id}, o.isAtLeast(id, directory.Leaving)
	case dice < 9:
		b := o.w.shape.banks[o.rng.IntN(len(o.w.shape.banks))]
		var to []raft.NodeID
		for _, i := range o.rng.Perm(len(members))[:min(len(members), 1+2*o.rng.IntN(2))] {
			to = append(to, members[i])
		}
		return lane.PlaceGroup{Group: lane.BankGroup(b), Members: to}, nil
	default:
		g := d.Groups()[o.rng.IntN(len(d.Groups()))]
		return lane.TransferLeader{Group: lane.GroupID(g.ID), To: anyone}, nil
	}
}

func (o *operator) withRole(d *directory.Machine, role directory.Role) (ids []raft.NodeID) {
	for _, n := range d.Nodes() {
		if n.Role == role {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

func (o *operator) isAtLeast(id raft.NodeID, role directory.Role) promise {
	return func(d *directory.Machine) string {
		if n := d.Node(id); n == nil || n.Role < role {
			return fmt.Sprintf("node %d was to be a %s, and now there is %+v", id, role, n)
		}
		return ""
	}
}

// addressesOf are where a machine listens. Nobody needs them in this world, but the directory compares them.
func addressesOf(id raft.NodeID) directory.Addresses {
	return directory.Addresses{Peer: fmt.Sprintf("n%d:1", id), GRPC: fmt.Sprintf("n%d:2", id), HTTP: fmt.Sprintf("n%d:3", id)}
}

// directory is the newest one that a live node has; nil: no node lives.
func (w *world) directory() *directory.Machine {
	if r, ok := w.judge.best(lane.ClusterGroup); ok {
		return r.Directory
	}
	return nil
}

func (w *world) someDiskIsLost() bool {
	return slices.ContainsFunc(w.hosts, func(h *host) bool {
		return !h.gone && slices.ContainsFunc(h.disk.order, func(s *stored) bool { return s.incomplete() })
	})
}

// places says where the voters of each group are that isn't about to change.
func (w *world) places() map[lane.GroupID][]raft.NodeID {
	places := map[lane.GroupID][]raft.NodeID{}
	if w.faults.Operator > 0 && w.now-w.operator.asked < 3*time.Second {
		return places
	}
	for _, h := range w.hosts {
		if h.lane == nil {
			continue
		}
		for _, r := range h.replicas() {
			if r.Leading && w.unsteered(&r) == "" {
				members := r.Engine.Members()
				places[r.Group] = slices.Clone(members.Voters)
			}
		}
	}
	return places
}

// unsteered says in what the membership of a group that is led differs from what the directory wants; "" if it doesn't.
func (w *world) unsteered(r *lane.Replica) string {
	d := w.directory()
	g := d.Group(string(r.Group))
	voters, learners := d.Place(g)
	is := r.Engine.Members()
	if is.Joint() || len(g.Leaving) > 0 || !slices.Equal(is.Voters, voters) || !slices.Equal(is.Learners, learners) {
		return fmt.Sprintf("%s should have the voters %v, the learners %v, and nobody who leaves; it has %v leaving, and %+v", r.Group, voters, learners, g.Leaving, is)
	}
	return ""
}
