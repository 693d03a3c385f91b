package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// nodesMax bounds the nodes that a world begins with, hostsMax all that there ever are.
const (
	nodesMax = 5
	hostsMax = 8
)

// host is one process: it gives a lane hands, as package node does. Its disk outlives its crashes.
type host struct {
	w     *world
	id    raft.NodeID
	rng   *rand.Rand
	clock clock
	disk  *disk

	level     directory.Level // what its build can read
	limits    lane.Limits
	life      uint64     // counts starts: what an earlier life has begun never reaches a later one
	lane      *lane.Lane // nil: the process is down
	inbox     []lane.Event
	spare     []lane.Event
	due       bool          // a step is coming
	stepDue   time.Time     // and one is planned for then
	frozen    time.Duration // the process stands still until then
	thaw      []func()      // what happened meanwhile
	restoring lane.GroupID  // lane.New asks for a group's state and then for its engine
	asked     map[uint64]*question
	forgotten []uint64 // requests that the next step drops
	stepCost  time.Duration
	seen      []lane.Replica       // what judges saw of the lane since its last step; none: nothing yet
	applied   bool                 // this step has applied entries
	file      [strangerID + 1]bool // peers that its configuration names besides the first ones
	told      []directory.Node     // who is there, by its lane
	known     [strangerID + 1]bool // who may speak to it, and be spoken to
	refused   [strangerID + 1]bool // who is turned away for ever
	gone      bool                 // it has learned that it is out of the cluster: its process never runs again

	doStep, doTick, doFinish func() // methods, bound once
}

func newHost(w *world, id raft.NodeID) *host {
	h := &host{w: w, id: id, rng: stream(w.cfg.Seed, streamHosts+uint64(id))}
	h.clock = newClock(h.rng, w.faults)
	h.limits = w.limits
	h.level = w.upgrade.levelOf(h)
	h.disk = newDisk(h, h.rng)
	h.stepCost = time.Duration(10+h.rng.IntN(200)) * time.Microsecond
	h.doStep, h.doTick, h.doFinish = h.step, h.tick, h.disk.finish
	return h
}

// start begins a life with what the disk remembers. As in production, a process on a full or damaged disk doesn't start.
func (h *host) start() {
	limits := h.bounds()
	l, err := lane.New(lane.Config{
		Node: h.id, Seed: h.rng.Uint64(), Directory: h.w.shape.directory, Limits: limits, Level: h.level, Disk: directory.Disk{byte(h.id)}, Addresses: addressesOf(h.id),
		NewEngine: h.newEngine, Restore: h.disk.restore,
	})
	if errors.Is(err, errRotten) || h.w.now < h.disk.full {
		h.w.trace.note(h.w.now, "can't start", h.id, 0, nil, h.life)
		h.w.after(300*time.Millisecond, h.restart)
		return
	}
	if err != nil {
		h.w.fail("a node starts from its own disk", "node %d: %v", h.id, err)
		return
	}
	h.life++
	h.limits = limits
	h.lane, h.inbox, h.due, h.frozen, h.thaw = l, nil, false, 0, nil
	h.seen, h.applied = h.seen[:0], true
	h.told = nil
	h.meet()
	h.asked, h.forgotten = map[uint64]*question{}, nil
	if h.rng.IntN(2) == 0 {
		h.forgetAccounts()
	}
	h.w.trace.note(h.w.now, "starts", h.id, 0, nil, h.life)
	h.w.judge.started(h)
	h.disk.tellSpace()
	h.tickLater()
	h.poke()
}

// bounds are those of the life that begins: the same as ever, or others that a member may have beside its peers.
func (h *host) bounds() lane.Limits {
	if h.life == 0 || !h.w.mischief.dares(rebound, h.rng, h.w.faults.NewBounds) {
		return h.limits
	}
	l := drawLimits(h.w.cfg.Seed + streamBounds + h.life)
	l.TickInterval, l.ElectionTicks, l.HeartbeatTicks = h.limits.TickInterval, h.limits.ElectionTicks, h.limits.HeartbeatTicks
	return l
}

// forgetAccounts makes the banks of this life read accounts from the disk again and again.
func (h *host) forgetAccounts() {
	for _, r := range h.replicas() {
		if r.Ledger != nil {
			r.Ledger.LimitCache(h.rng.IntN(3))
		}
	}
}

func (h *host) newEngine(cfg raft.Config) (replica.Engine, error) {
	engine, err := raft.New(cfg)
	return &watched{Raft: engine, host: h, group: h.restoring}, err
}

// crash ends a life: memory is gone, and so is what was not synced.
func (h *host) crash(why string) {
	if h.lane == nil {
		return
	}
	h.w.counts.Crashes++
	h.w.trace.note(h.w.now, "crashes "+why, h.id, 0, nil, h.life)
	h.disk.crash()
	h.lane = nil
	for _, q := range h.openQuestions() {
		q.lost()
	}
	h.asked = nil
}

// crashPoint crashes the node at a place that chance would rarely hit.
func (h *host) crashPoint(where string) bool { return h.crashWith(h.w.faults.CrashPoint, where) }

// installCrashPoint is one that is seldom come by, and met the more often.
func (h *host) installCrashPoint(where string) bool {
	if h.w.faults.CrashPoint == 0 {
		return false
	}
	return h.crashWith(0.2, where)
}

func (h *host) crashWith(p float64, where string) bool {
	if !h.w.mischief.dares(crashPoint, h.rng, p) {
		return false
	}
	h.stop(where)
	return true
}

// stop ends a life, and somebody starts the process again after a while.
func (h *host) stop(where string) {
	h.crash(where)
	h.w.after(downtime(h.rng), h.restart)
}

func (h *host) restart() {
	if h.lane == nil && h.w.failure == nil && !h.gone {
		h.clock.skew += around(h.rng, h.w.faults.ClockSkew/4)
		h.start()
	}
}

// leave ends the process for ever: it has learned that it is out of the cluster.
func (h *host) leave() {
	if h.gone {
		return
	}
	h.crash("for ever")
	h.gone = true
	h.w.counts.Left++
}

// meet tells the host's transport who is there: those that its configuration names, and those that its lane knows.
func (h *host) meet() {
	h.known, h.refused = [strangerID + 1]bool{strangerID: h.w.stranger != nil}, [strangerID + 1]bool{}
	for i := range h.w.shape.nodes {
		h.known[i+1] = true
	}
	for id, named := range h.file {
		h.known[id] = h.known[id] || named && raft.NodeID(id) != h.id
	}
	for i := range h.told {
		gone := h.told[i].Role == directory.Removed
		h.known[h.told[i].ID], h.refused[h.told[i].ID] = !gone, gone
	}
}

// freeze lets the process stand still: what arrives waits.
func (h *host) freeze(until time.Duration) {
	if h.lane == nil || until <= h.frozen {
		return
	}
	h.w.trace.note(h.w.now, "freezes", h.id, 0, nil, uint64(until))
	h.frozen = until
	h.later(until, func() {})
}

// later does something in this life; while the process is frozen it waits.
func (h *host) later(at time.Duration, do func()) {
	h.w.queue.add(event{at: max(at, h.w.now), do: do, host: h, life: h.life})
}

// live lets come what was to happen in a life, if that life goes on.
func (h *host) live(life uint64, do func()) {
	if h.life != life || h.lane == nil {
		return
	}
	if h.w.now < h.frozen {
		h.thaw = append(h.thaw, do)
		return
	}
	for waiting := h.thaw; len(waiting) > 0 && h.lane != nil; waiting = waiting[1:] {
		h.thaw = nil
		waiting[0]()
	}
	if h.lane != nil {
		do()
	}
}

// tick steps the lane at least once a TickInterval.
func (h *host) tick() {
	h.poke()
	h.tickLater()
}

func (h *host) tickLater() { h.later(h.w.now+h.clock.takes(h.w.limits.TickInterval), h.doTick) }

// replicas is what the lane holds, as of its last step.
func (h *host) replicas() []lane.Replica {
	if len(h.seen) == 0 {
		h.seen = h.lane.Inspect(h.seen)
	}
	return h.seen
}

// poke has the lane stepped soon: what arrives until then is in the same batch.
func (h *host) poke() {
	if h.due {
		return
	}
	h.due = true
	h.later(h.w.now+h.stepCost, h.doStep)
}

func (h *host) step() {
	h.due = false
	events, forgotten := h.inbox, h.forgotten
	h.forgotten = nil
	h.inbox = h.spare[:0]
	h.w.counts.Steps++
	h.seen = h.seen[:0]
	now := h.clock.at(h.w.now)
	effects := h.lane.Step(now, events)
	clear(events)
	h.spare = events
	if errors.Is(effects.Fatal, errRotten) {
		h.stop("at damaged bytes")
		return
	}
	if effects.Fatal != nil {
		h.w.fail("a node with a sound disk never has to stop", "node %d: %v", h.id, effects.Fatal)
		return
	}
	h.carryOut(&effects)
	h.stepBy(now, effects.Due)
	for _, request := range forgotten {
		delete(h.asked, request)
	}
}

// stepBy has the lane stepped when something is due. It is now by the host's own clock.
func (h *host) stepBy(now, due time.Time) {
	if due.IsZero() || due.Equal(h.stepDue) {
		return
	}
	h.stepDue = due
	h.later(h.w.now+h.clock.takes(max(0, due.Sub(now))), h.poke)
}

// carryOut does what the step wants done, in the order of package node.
func (h *host) carryOut(e *lane.Effects) {
	h.w.judge.afterStep(h)
	if e.Nodes != nil {
		h.told = slices.Clone(e.Nodes)
		h.meet()
	}
	if h.crashPoint("before the effects of a step") {
		return
	}
	h.w.net.send(h.id, e.Send)
	if h.crashPoint("after the messages of a step, before its writes") {
		return
	}
	h.disk.write(e.Writes)
	h.disk.keep(e.Checkpoints)
	h.disk.readSnapshots(e.Reads)
	for _, a := range e.Answers { // copies: they are heard after the next step, which overwrites the slice
		h.answered(&a)
	}
	for _, r := range e.Reports {
		h.report(r)
	}
	if h.gone {
		return
	}
	h.crashPoint("after a step")
}

func (h *host) answered(a *lane.Answered) {
	q := h.asked[a.Request]
	if q == nil {
		invariant.Fail("node %d answers request %d, which nobody has asked or which was answered before", h.id, a.Request)
	}
	delete(h.asked, a.Request)
	if h.w.cfg.plant == otherEnd && a.Answer.Transfer.State == transfer.Committed && h.rng.IntN(20) == 0 {
		a.Answer.Transfer.State = transfer.Aborted
	}
	h.w.trace.note(h.w.now, "answers", h.id, 0, &a.Answer, mix(digestOfAnswer(&a.Answer), a.Request))
	q.answered(&a.Answer)
}

// report: nobody lies in this world, so but for a damaged piece of a snapshot, a message that is refused, or a bank that can't obey, is a fault of ours.
func (h *host) report(r lane.Report) {
	switch r := r.(type) {
	case lane.BankViolated:
		h.w.fail("banks can do what was decided", "bank %s can't %s transfer %s", r.Violation.Bank, r.Violation.Op, r.Violation.ID)
	case lane.MessageRefused:
		if h.w.counts.ChunksRefused < h.w.net.damaged && (errors.Is(r.Err, replica.ErrDamagedChunk) || errors.Is(r.Err, replica.ErrNewerChunk)) {
			h.w.counts.ChunksRefused++
			h.w.trace.note(h.w.now, "refuses a chunk", h.id, r.From, r, hashString(r.Err.Error()))
			return
		}
		h.w.fail("no message of an honest peer is refused", "node %d refuses one of node %d for %s: %v", h.id, r.From, r.Group, r.Err)
	case lane.SnapshotBegun:
		h.w.counts.SnapshotsBegun++
		h.w.trace.note(h.w.now, "begins a snapshot", h.id, r.Member, r, hashString(string(r.Group)))
	case lane.SnapshotInstalled:
		h.w.counts.SnapshotsInstalled++
		h.w.trace.note(h.w.now, "installs a snapshot", h.id, 0, r, uint64(r.Applied))
	case lane.SnapshotUnreadable: // a view that a restart or a newer snapshot has closed
		h.w.trace.note(h.w.now, "can't read a snapshot", h.id, r.Member, r, hashString(r.Err.Error()))
	case lane.ReplicaIncomplete:
		h.w.trace.note(h.w.now, "is incomplete", h.id, 0, r, uint64(r.Until))
	case lane.ReplicaRepaired:
		h.w.counts.Repaired++
		h.w.trace.note(h.w.now, "is repaired", h.id, 0, r, hashString(string(r.Group)))
	case lane.ReplicaRetired:
		h.w.trace.note(h.w.now, "retires", h.id, 0, r, hashString(string(r.Group)))
	case lane.MembershipProposed:
		h.w.trace.note(h.w.now, "changes members", h.id, 0, r, hashString(string(r.Group)))
	case lane.LeaderChanged:
		h.w.counts.Elections++
		h.w.trace.note(h.w.now, "sees a leader", h.id, 0, r, uint64(r.Term)<<8^uint64(r.Leader))
	}
}
