package sim

import (
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// world is everything there is. One goroutine moves it from event to event.
type world struct {
	cfg    Config
	faults *Faults
	shape  shape
	limits lane.Limits

	now      time.Duration // since epoch, by a clock that nobody in the world can see
	queue    queue
	net      *network
	hosts    []*host
	nemesis  *nemesis
	traffic  *traffic
	operator *operator
	upgrade  *upgrade
	stranger *stranger // nil: there is none
	judge    *judge
	trace    trace
	counts   Counts
	calm     bool    // faults have ended
	hushed   int     // quiet phases under way
	stormy   *Faults // what goes wrong after them
	judging  bool    // judges read the disks
	mischief mischief
	failure  *Failure
}

// Counts is what a run has seen.
type Counts struct {
	Simulated  time.Duration
	Steps      uint64
	Messages   uint64
	Duplicated uint64
	Damaged    uint64
	Elections  uint64 // views of a changed leader, over all nodes
	Crashes    uint64
	Strikes    uint64 // faults that the nemesis brought
	Faults     uint64 // all single faults, those of messages and clients included
	Asked      uint64
	Committed  uint64 // transfers that ended so
	Aborted    uint64
	Unknown    uint64 // answers that were no outcome
	Captured   uint64 // captures that were answered with one

	DisksLost          uint64 // of one group each
	Repaired           uint64 // they vote again
	Changes            uint64 // of the cluster, that were accepted
	Joined             uint64 // machines that were let in
	Upgraded           uint64 // nodes
	Early              uint64 // requests that were refused because of a node that wasn't yet
	Left               uint64 // machines that were removed and know it
	Moods              uint64 // batches that the foreign bank did not just answer
	SnapshotsBegun     uint64
	SnapshotsCut       uint64 // crashes of a node that had a part of a snapshot
	SnapshotsInstalled uint64
	ChunksRefused      uint64 // that were damaged on their way
}

// Add adds what another run has seen.
func (c *Counts) Add(o *Counts) {
	c.Simulated += o.Simulated
	c.Steps += o.Steps
	c.Messages += o.Messages
	c.Duplicated += o.Duplicated
	c.Damaged += o.Damaged
	c.Elections += o.Elections
	c.Crashes += o.Crashes
	c.Strikes += o.Strikes
	c.Faults += o.Faults
	c.Asked += o.Asked
	c.Committed += o.Committed
	c.Aborted += o.Aborted
	c.Unknown += o.Unknown
	c.Captured += o.Captured
	c.SnapshotsBegun += o.SnapshotsBegun
	c.SnapshotsCut += o.SnapshotsCut
	c.SnapshotsInstalled += o.SnapshotsInstalled
	c.ChunksRefused += o.ChunksRefused
	c.DisksLost += o.DisksLost
	c.Repaired += o.Repaired
	c.Changes += o.Changes
	c.Joined += o.Joined
	c.Left += o.Left
	c.Upgraded += o.Upgraded
	c.Early += o.Early
	c.Moods += o.Moods
}

// Result is how a run ended. Trace is equal for equal seeds at the same commit.
type Result struct {
	Seed    uint64
	Trace   uint64
	Failure *Failure // nil: every promise held
	Counts

	faults   *Faults // what could go wrong
	happened []fault // what went wrong
}

// Failure is a broken promise.
type Failure struct {
	Seed      uint64
	At        time.Duration
	Invariant string   // the promise
	Detail    string   // the numbers
	Stack     string   // where the code found it, if it wasn't a judge who did
	Last      []string // events, oldest first
}

// What the code itself finds. Many faults are found so, and the detail says which.
const (
	codeHolds     = "an invariant in the code holds"
	nothingPanics = "nothing panics"
)

// ids and numbers differ from run to run.
var particulars = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+`)

// isAs says whether two runs have failed in the same way: another invariant in the code is another promise.
func (f *Failure) isAs(other *Failure) bool {
	if f.Invariant != other.Invariant {
		return false
	}
	if f.Invariant != codeHolds && f.Invariant != nothingPanics {
		return true
	}
	return particulars.ReplaceAllString(f.Detail, "N") == particulars.ReplaceAllString(other.Detail, "N")
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %#x at %v: %s: %s", f.Seed, f.At, f.Invariant, f.Detail)
}

// GCPercent is what a process that runs many worlds should set the garbage collector to: a world is a few megabytes and makes much garbage.
const GCPercent = 1600

// Run lives one world from its beginning to its first broken promise, or to its end.
func Run(cfg Config) Result {
	w := newWorld(cfg)
	faults := w.faults
	w.guard(w.run)
	w.counts.Simulated = w.now
	w.counts.Faults = uint64(len(w.mischief.happened))
	return Result{Seed: cfg.Seed, Trace: w.trace.hash, Failure: w.failure, Counts: w.counts, faults: faults, happened: w.mischief.happened}
}

func newWorld(cfg Config) *world {
	cfg.Duration = cfg.duration()
	w := &world{cfg: cfg, faults: cfg.Faults, shape: drawShape(&cfg), limits: drawLimits(cfg.Seed)}
	if w.faults == nil {
		w.faults = DrawFaults(cfg.Seed)
	}
	if cfg.scheduled {
		w.mischief.only = map[fault]bool{}
		for _, f := range cfg.only {
			w.mischief.only[f] = true
		}
	}
	if w.faults.Foreign > 0 {
		w.shape.addForeign()
		w.stranger = newStranger(w)
	}
	w.trace.watch = cfg.Watch
	w.net = newNetwork(w)
	w.judge = newJudge(w)
	w.nemesis = newNemesis(w)
	w.traffic = newTraffic(w)
	w.operator = newOperator(w)
	w.upgrade = newUpgrade(w)
	for i := range w.shape.nodes {
		w.hosts = append(w.hosts, newHost(w, raft.NodeID(i+1)))
	}
	return w
}

// guard turns a broken invariant of any room, or a panic, into the failure of the run.
func (w *world) guard(run func()) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		first := w.failure == nil
		var broken invariant.Broken
		if err, ok := value.(error); ok && errors.As(err, &broken) {
			w.fail(codeHolds, "%s", broken.Message)
		} else {
			w.fail(nothingPanics, "%v", value)
		}
		if first {
			w.failure.Stack = string(debug.Stack())
		}
	}()
	run()
}

// run is the life of the world: opening accounts, then traffic and faults, then calm.
func (w *world) run() {
	for _, h := range w.hosts {
		h.start()
	}
	w.traffic.begin()
	w.nemesis.begin()
	w.operator.begin()
	w.upgrade.begin()
	w.until(w.cfg.Duration, nil)
	w.nemesis.end()
	w.traffic.end()
	w.until(w.cfg.Duration+settleWithin+w.clocksApart(), w.judge.settled)
	if w.failure == nil {
		w.judge.end()
	}
}

// clocksApart is how far the slowest clock is behind the fastest: what lasts until a time that one node has named may last so much longer for another.
func (w *world) clocksApart() time.Duration {
	first, last := w.hosts[0].clock.at(w.now), w.hosts[0].clock.at(w.now)
	for _, h := range w.hosts {
		switch at := h.clock.at(w.now); {
		case at.Before(first):
			first = at
		case at.After(last):
			last = at
		}
	}
	return last.Sub(first)
}

// until lives on to a moment, or to the first failure, or until done says so: it is asked now and then.
func (w *world) until(end time.Duration, done func() bool) {
	for w.failure == nil {
		if len(w.queue.events) == 0 || w.queue.events[0].at > end {
			w.now = end
			return
		}
		e, _ := w.queue.next()
		w.now = e.at
		if e.host != nil {
			e.host.live(e.life, e.do)
		} else {
			e.do()
		}
		if w.judge.due() {
			w.judge.look()
			if done != nil && done() {
				return
			}
		}
	}
}

func (w *world) at(when time.Duration, do func()) { w.queue.add(event{at: max(when, w.now), do: do}) }

func (w *world) after(d time.Duration, do func()) { w.at(w.now+d, do) }

func (w *world) host(id raft.NodeID) *host { return w.hosts[id-1] }

// fail ends the run. The first failure stands.
func (w *world) fail(promise, format string, args ...any) {
	if w.failure != nil {
		return
	}
	w.failure = &Failure{
		Seed: w.cfg.Seed, At: w.now, Invariant: promise, Detail: fmt.Sprintf(format, args...), Last: w.trace.lines(),
	}
}
