package lane

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// group is this node's replica of one group, and what the node does with it.
type group struct {
	id      GroupID
	replica *replica.Replica
	host    machineHost
	touched bool
	delayed bool // in lane.delayed
	retired bool // it was ended

	incomplete bool // it lost what it had acknowledged, and doesn't vote yet

	leading bool      // this node leads, and its state is as new as any answer already given
	term    raft.Term // of the reign, while leading
	leader  raft.NodeID
	seen    raft.Term // term of the last LeaderChanged

	spreadFrom time.Time  // since when the preferred member could lead, or when it was last asked to; while this node leads
	quiesced   bool       // nothing to do: it isn't ticked (quiesce.go)
	stillAt    raft.Index // while this node leads: what was applied …
	stillTicks int        // … when it last had something to do, and for how long it hasn't had any since

	successors []raft.NodeID // members to offer the group to for want of space
	offered    time.Time     // when that began

	readID  uint64
	reads   int                   // that wait, asked and under way
	cuts    []openCut             // wait for a checkpoint
	hashed  []openHash            // wait for an entry to be applied
	asked   []openRead            // wait for the next ReadIndex
	reading map[uint64][]openRead // ReadIndex under way

	steered    steered
	outlived   outlived
	handovers  []handover
	toldBehind time.Time // when the cluster's leader was last told who is behind
	toldAbsent time.Time // … and who is out
}

// openRead is a read that waits until the state is known to be new enough.
type openRead struct {
	waiter waiter
	ask    Ask
}

// machineHost is what a group is for: a coordinator shard, a bank or the cluster's members.
type machineHost interface {
	replica.Machine
	lead()           // this node leads now and has applied everything of earlier reigns
	depose()         // this node leads no more
	tick()           // time has passed
	idle() bool      // nothing is under way, and nothing waits
	isDue() bool     // time has come for something, be it at rest
	nothing() []byte // an entry that changes nothing
	propose()        // put what has gathered into the log, if there is room
	afterApply()     // carry on what applied entries have made possible
	serve(w waiter, ask Ask)
	answerRead(w waiter, ask Ask) // the state is new enough
}

// addCluster makes the replica of the group that knows all others. A node that isn't in the directory yet has one too: it learns from it that it is.
func (l *Lane) addCluster() error {
	g, state, reader, err := l.newGroup(ClusterGroup)
	if err != nil {
		return err
	}
	if g.host, err = l.newCluster(g, reader); err != nil {
		return fmt.Errorf("restore group %s: %w", g.id, err)
	}
	return l.begin(g, firstState(l.cluster.machine.Group(string(g.id)), state))
}

// addGroup makes this node's replica of a group.
func (l *Lane) addGroup(place *directory.Group) error {
	g, state, reader, err := l.newGroup(GroupID(place.ID))
	switch {
	case errors.Is(err, ErrRetired):
		l.retired[GroupID(place.ID)] = true
		return nil
	case err != nil:
		return err
	case place.Coordinator:
		g.host, err = l.newCoordinator(g, l.cfg, reader)
	default:
		g.host, err = l.newBank(g, BankOf(g.id), reader)
	}
	if err != nil {
		return fmt.Errorf("restore group %s: %w", g.id, err)
	}
	return l.begin(g, firstState(place, state))
}

func (l *Lane) newGroup(id GroupID) (*group, raft.State, Reader, error) {
	state, reader, err := l.cfg.Restore(id)
	if err != nil {
		return nil, raft.State{}, nil, fmt.Errorf("restore group %s: %w", id, err)
	}
	return &group{id: id, reading: map[uint64][]openRead{}}, state, reader, nil
}

// begin starts the replica's engine.
func (l *Lane) begin(g *group, state raft.State) error {
	engine, err := l.cfg.NewEngine(raft.Config{
		ID:                  l.node,
		Seed:                groupSeed(l.cfg.Seed, g.id, l.node),
		ElectionTicks:       l.limits.ElectionTicks,
		HeartbeatTicks:      l.limits.HeartbeatTicks,
		MaxAppendBytes:      l.limits.AppendBytesMax,
		MaxInflightMessages: l.limits.InflightMessagesMax,
		MaxInflightBytes:    l.limits.InflightBytesMax,
		MaxUncommittedBytes: l.limits.UncommittedBytesMax,
		State:               state,
	})
	if err != nil {
		return fmt.Errorf("start group %s: %w", g.id, err)
	}
	if g.incomplete = engine.Incomplete(); g.incomplete {
		l.report(ReplicaIncomplete{Group: g.id, Until: state.Lost})
	}
	appliedTerm, logBytes := logUpTo(&state)
	checkpointEntries := l.limits.CheckpointEntries
	if g.id == ClusterGroup {
		checkpointEntries = 1 // what it says of the disks has to be known before the first peer is heard, after a restart of all nodes, too
	}
	g.replica = replica.New(replica.Config{
		Engine:            engine,
		Machine:           g.host,
		Applied:           state.Applied,
		AppliedTerm:       appliedTerm,
		LogBytes:          logBytes,
		CheckpointBytes:   l.limits.CheckpointBytes,
		CheckpointAhead:   l.limits.CheckpointAhead,
		CheckpointEntries: checkpointEntries,
		CheckpointStep:    l.limits.CheckpointStep,
		LogBytesMax:       uint64(l.limits.LogBytesMax),
		CatchupBytesMax:   uint64(l.limits.CatchupBytesMax),
	})
	l.groups[g.id] = g
	l.order = append(l.order, g)
	l.touch(g)
	return nil
}

// logUpTo says what the log holds before and at the applied index: the term there, and how many bytes. Both are zero if the log begins after it.
func logUpTo(state *raft.State) (term raft.Term, bytes uint64) {
	applied := state.Entries[:state.Applied-state.Compacted.Index]
	for i := range applied {
		term = applied[i].Term
		bytes += uint64(len(applied[i].Data))
	}
	return term, bytes
}

// groupSeed gives every replica of every group election timeouts of its own.
func groupSeed(seed uint64, id GroupID, node raft.NodeID) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", seed, id, node)
	return h.Sum64()
}

// run moves one group: leadership, proposals, reads, and whatever its engine has ready.
func (l *Lane) run(g *group) {
	l.watchLeadership(g)
	if g.leading {
		g.host.propose()
		l.startReads(g)
	}
	out, err := g.replica.Drain()
	if err != nil {
		l.fail(fmt.Errorf("group %s: %w", g.id, err))
		return
	}
	l.carryOut(g, out)
	l.watchRepair(g)
	l.watchLeadership(g)
	for _, id := range out.Reads {
		l.finishReads(g, id)
	}
	for _, id := range out.ReadsLost {
		l.loseReads(g, id)
	}
	g.host.afterApply()
	l.finishCuts(g)
	l.finishHashes(g)
}

func (l *Lane) carryOut(g *group, out *replica.Output) {
	for i := range out.Messages {
		m := &out.Messages[i]
		l.send(m.To, RaftMessage{Group: g.id, Message: *m})
	}
	for _, o := range out.Offers {
		l.readSnapshot(g, o)
	}
	if at := out.Checkpoint.Applied; at != 0 {
		l.effects.Checkpoints = append(l.effects.Checkpoints, GroupCheckpoint{Group: g.id, Checkpoint: out.Checkpoint})
		l.report(CheckpointBegun{Group: g.id, Applied: at, Keys: out.Checkpoint.Records()})
	}
	if g.replica.Gathering() {
		l.postpone(g, l.now)
	}
	if out.Write.Seq == 0 {
		return
	}
	l.effects.Writes = append(l.effects.Writes, GroupWrite{Group: g.id, Write: out.Write})
	write := &l.effects.Writes[len(l.effects.Writes)-1]
	if len(out.Durable) > 0 {
		write.Durable = make([]Send, 0, len(out.Durable))
	}
	for i := range out.Durable {
		m := &out.Durable[i]
		if mutant.On(mutant.ReleaseEarly) {
			l.send(m.To, RaftMessage{Group: g.id, Message: *m})
			continue
		}
		write.Durable = append(write.Durable, Send{To: m.To, Message: RaftMessage{Group: g.id, Message: *m}})
	}
}

// watchRepair tells when a replica is whole again.
func (l *Lane) watchRepair(g *group) {
	if g.incomplete && !g.replica.Engine().Incomplete() {
		g.incomplete = false
		l.report(ReplicaRepaired{Group: g.id})
	}
}

// callLeader has the members hear of a replica that knows no leader and asks for no votes, since it is incomplete or learns: a leader of an earlier
// term steps down, and one that rests wakes. What was committed before a learner's start it can't know otherwise, and that may be that it votes now.
// One that has lost its data knows only the members that the group began with, of whom none may be left: those that the directory names hear it, too.
func (l *Lane) callLeader(g *group) {
	engine := g.replica.Engine()
	if engine.Leader() != 0 || engine.Term() == 0 { // the latter: it has never heard that there is one
		return
	}
	members := engine.Members()
	if !g.incomplete && !members.IsLearner(l.node) {
		return
	}
	place := l.cluster.machine.Group(string(g.id))
	called := slices.Concat(members.Members(), place.Members, place.Leaving)
	slices.Sort(called)
	for _, m := range slices.Compact(called) {
		if m != l.node {
			l.send(m, RaftMessage{Group: g.id, Message: raft.Message{Kind: raft.AppendReply, From: l.node, To: m, Term: engine.Term(), Reject: true}})
		}
	}
}

// endReign has whoever waits for this node as the group's leader ask the next one.
func (l *Lane) endReign(g *group) {
	g.leading = false
	g.host.depose()
	l.loseAllReads(g)
	l.loseCuts(g)
	l.loseHandovers(g)
}

// watchLeadership tells the host of the machine, the waiting clients and the operator who leads.
func (l *Lane) watchLeadership(g *group) {
	engine := g.replica.Engine()
	ready, term := engine.LeaderReady() || mutant.On(mutant.LeadTooSoon) && engine.Role() == raft.Leader, engine.Term()
	if g.leading && (!ready || term != g.term) {
		l.endReign(g)
	}
	if !g.leading && ready {
		g.leading, g.term = true, term
		g.host.lead()
		l.onLeaderMoved(g.id)
		l.touch(g)
	}
	if leader := engine.Leader(); leader != g.leader || (leader != 0 && term != g.seen) {
		g.leader, g.seen = leader, term
		l.report(LeaderChanged{Group: g.id, Term: term, Leader: leader})
		if leader != 0 && leader != l.node {
			l.onLeaderMoved(g.id)
		}
	}
}

// onLeaderMoved repeats at the new leader what the old one owes.
func (l *Lane) onLeaderMoved(id GroupID) {
	l.gateway.leaderMoved(l, id)
	for _, shard := range l.shards {
		if g := l.groups[shard]; g != nil && g.leading {
			g.host.(*coordinatorHost).bankMoved(id)
			l.touch(g)
		}
	}
}

// read has an ask answered as soon as the group's state is known to be new enough.
func (l *Lane) read(g *group, w waiter, ask Ask) {
	if g.reads >= l.limits.ReadsMax && !mutant.On(mutant.ReadsWithoutBound) {
		l.answer(w, Answer{Err: fmt.Errorf("%w: %d reads wait at the leader of %s", transfer.ErrBusy, g.reads, g.id)})
		return
	}
	g.reads++
	g.asked = append(g.asked, openRead{waiter: w, ask: ask})
	l.touch(g)
}

// startReads asks the engine once for all reads that came in since the last time.
func (l *Lane) startReads(g *group) {
	if len(g.asked) == 0 {
		return
	}
	g.readID++
	reads := g.asked
	g.asked = nil
	g.reading[g.readID] = reads
	if err := g.replica.Engine().ReadIndex(g.readID); err != nil {
		l.loseReads(g, g.readID)
	}
}

func (g *group) takeReads(id uint64) []openRead {
	reads := g.reading[id]
	delete(g.reading, id)
	g.reads -= len(reads)
	return reads
}

func (l *Lane) finishReads(g *group, id uint64) {
	reads := g.takeReads(id)
	for _, r := range reads {
		if !g.leading {
			l.lost(r.waiter, g.id)
			continue
		}
		switch ask := r.ask.(type) {
		case Cut:
			l.beginCut(g, r.waiter, ask)
		case Examine:
			l.examine(g, r.waiter, ask)
		case confirmAbsent:
			l.absenceConfirmed(g)
		default:
			g.host.answerRead(r.waiter, r.ask)
		}
	}
}

func (l *Lane) loseReads(g *group, id uint64) {
	for _, r := range g.takeReads(id) {
		l.lost(r.waiter, g.id)
	}
}

func (l *Lane) loseAllReads(g *group) {
	for _, id := range slices.Sorted(maps.Keys(g.reading)) {
		l.loseReads(g, id)
	}
	reads := g.asked
	g.asked, g.reads = nil, 0
	for _, r := range reads {
		l.lost(r.waiter, g.id)
	}
}
