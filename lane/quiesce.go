package lane

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// A group that has had nothing to do for a while is quiesced: its members stop counting ticks, so that its leader beats no more and its followers wait
// for no beat. Hundreds of idle groups then cost a node next to nothing. The idea is CockroachDB's ("quiescence" of ranges), and TiKV's
// ("hibernate region").
//
// It can't hurt safety: who doesn't tick is merely slow, and Raft promises nothing about speed. What it could hurt is that a dead leader is noticed. So:
//   - A leader quiesces a group only if all members were heard lately and have the same log, all of it committed and applied. It tells them with
//     its next Pulse. A member that doesn't hear of it times out, asks for votes, and so wakes the others; they know their leader, and refuse.
//   - As long as a node has quiesced a group, each member hears a Pulse from it with every heartbeat interval, one for all groups. A member that hears
//     none for an election timeout wakes what that node led, and what follows is an ordinary election. A node that comes back
//     from a crash within that time has quiesced nothing; it takes longer than that for a group to be quiesced again.
//   - A learner asks for no votes. One that knows no leader calls the members once per election timeout.
//   - Whatever is said in a group or asked of it wakes this node's replica. A leader that wakes beats, and that wakes the others. A member whose
//     leader turns out not to lead any more wakes, too.
//
// A read is still confirmed by a majority, and a leader that hears none after it woke steps down, as always.

// quiesceTicksLeast keeps the time until a group is quiesced above that within which a silent node is noticed.
func (l *Lane) quiesceTicksLeast() int { return 2 * l.limits.ElectionTicks }

// Pulse says that a node's lane is alive, for the groups that it leads and that are quiesced. Quiesced are those that it quiesces now.
type Pulse struct {
	Quiesced []Quiesced
}

// Quiesced is a group of which every member has the log up to Last in Term.
type Quiesced struct {
	Group GroupID
	Term  raft.Term
	Last  raft.Index
}

func (Pulse) isMessage() {}

// quiesce ends a step in which time has passed: what is idle goes to rest, and who relies on this node hears from it.
func (l *Lane) quiesce(ticks int) {
	pulses := map[raft.NodeID]*Pulse{}
	beat := l.ticks/l.limits.HeartbeatTicks != (l.ticks-ticks)/l.limits.HeartbeatTicks
	var to []raft.NodeID
	for _, g := range l.order {
		now := !g.quiesced && l.isIdle(g, ticks)
		if !now && !(beat && g.quiesced && g.leading) {
			continue
		}
		g.quiesced = true
		members := g.replica.Engine().Members()
		for _, m := range members.Members() {
			if m == l.node {
				continue
			}
			p := pulses[m]
			if p == nil {
				p = &Pulse{}
				pulses[m], to = p, append(to, m)
			}
			if now {
				p.Quiesced = append(p.Quiesced, Quiesced{Group: g.id, Term: g.term, Last: g.replica.Applied()})
			}
		}
	}
	slices.Sort(to)
	for _, m := range to {
		l.send(m, *pulses[m])
	}
}

// isIdle says whether a group that this node leads has done nothing for long enough, and whether nothing is left to do.
func (l *Lane) isIdle(g *group, ticks int) bool {
	if applied := g.replica.Applied(); !g.leading || applied != g.stillAt || len(g.asked)+len(g.reading) > 0 || !g.host.idle() {
		g.stillAt, g.stillTicks = applied, 0
		return false
	}
	if g.stillTicks += ticks; g.stillTicks < max(l.limits.QuiesceTicks, l.quiesceTicksLeast()) {
		return false
	}
	return !l.lowSpace && l.isSteered(g) && !l.shouldPass(g) && g.replica.Idle() && l.allHaveAll(g)
}

// allHaveAll says whether every member was heard lately and has the whole log, and all of it is applied here.
func (l *Lane) allHaveAll(g *group) bool {
	s := g.replica.Engine().Status()
	if s.TransferTo != 0 || s.Applied != s.Last || s.Durable != s.Last {
		return false
	}
	members := g.replica.Engine().Members()
	return !slices.ContainsFunc(members.Members(), func(m raft.NodeID) bool {
		return m != l.node && (s.Match[m] != s.Last || !l.heardLately(&s, m))
	})
}

// receivePulse puts to rest what the sender leads, if this node's replica agrees that there is nothing left to do.
func (l *Lane) receivePulse(from raft.NodeID, m Pulse) {
	l.pulsed[from] = l.ticks
	for _, q := range m.Quiesced {
		g := l.groups[q.Group]
		if g == nil || g.leading || !g.replica.Idle() || g.replica.Applied() != q.Last {
			continue
		}
		if s := g.replica.Engine().Status(); s.Leader == from && s.Term == q.Term && s.Last == q.Last {
			g.quiesced = true
		}
	}
}

// wakeOrphans wakes the groups whose leader's node has fallen silent.
func (l *Lane) wakeOrphans() {
	for _, g := range l.order {
		if g.quiesced && !g.leading && l.ticks-l.pulsed[g.replica.Engine().Leader()] > l.limits.ElectionTicks {
			l.touch(g)
		}
	}
}
