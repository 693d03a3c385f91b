package lane_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/etcdraft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// engines are the two that a lane may run on.
var engines = map[string]func(raft.Config) (replica.Engine, error){
	"quorate": func(cfg raft.Config) (replica.Engine, error) { return raft.New(cfg) },
	"etcd":    func(cfg raft.Config) (replica.Engine, error) { return etcdraft.New(cfg) },
}

// world is lanes with a disk that reads and writes at once and a network that carries at once, unless it drops. Its time goes by in ticks.
type world struct {
	t       *testing.T
	now     time.Time
	lanes   map[raft.NodeID]*lane.Lane
	frozen  map[raft.NodeID]bool // stands still, and what is sent to it is lost
	cutOff  raft.NodeID          // goes on, and what it and the others say to each other is lost
	drop    func(to raft.NodeID, m lane.Message) bool
	reports map[raft.NodeID][]lane.Report
	met     map[raft.NodeID][]directory.Node  // whom each was told of last …
	tokens  map[raft.NodeID][]directory.Token // … and which tokens with that
	answers map[uint64]lane.Answer
	request uint64
	start   func(raft.NodeID) // makes one more lane, with an empty disk
	disks   map[raft.NodeID]map[lane.GroupID]*shelf
	stalled raft.NodeID                            // its disk stands still: it confirms nothing
	writing map[raft.NodeID][]lane.GroupWrite      // what the disks haven't confirmed …
	points  map[raft.NodeID][]lane.GroupCheckpoint // … and of checkpoints
	levels  map[raft.NodeID]directory.Level        // what a lane that is made now can read; zero: everything
	older   []replica.KV                           // the checkpoint of a coordinator that starts, at entry 4
	lost    map[lane.GroupID]raft.Term             // what a lane that is made now has lost what it promised in
}

func newWorld(t *testing.T, engine string, d lane.Directory, limits lane.Limits, first ...func(*world)) *world {
	t.Helper()
	w := &world{
		t: t, now: start, lanes: map[raft.NodeID]*lane.Lane{}, frozen: map[raft.NodeID]bool{},
		reports: map[raft.NodeID][]lane.Report{}, met: map[raft.NodeID][]directory.Node{}, tokens: map[raft.NodeID][]directory.Token{}, answers: map[uint64]lane.Answer{}, disks: map[raft.NodeID]map[lane.GroupID]*shelf{},
		writing: map[raft.NodeID][]lane.GroupWrite{}, points: map[raft.NodeID][]lane.GroupCheckpoint{},
	}
	w.start = func(id raft.NodeID) {
		disk := map[lane.GroupID]*shelf{}
		w.disks[id] = disk
		l, err := lane.New(lane.Config{
			Node: id, Seed: uint64(id), Directory: d, Disk: directory.Disk{byte(id)}, Limits: limits, Level: w.levels[id], NewEngine: engines[engine],
			Restore: func(g lane.GroupID) (raft.State, lane.Reader, error) {
				disk[g] = newShelf()
				if w.older != nil && g == lane.CoordinatorGroup(0) {
					keep(disk[g].kv, w.older)
					return raft.State{HardState: raft.HardState{Term: 1}, Compacted: raft.EntryID{Index: 4, Term: 1}, Applied: 4}, disk[g], nil
				}
				if lost := w.lost[g]; lost > 0 {
					return raft.State{HardState: raft.HardState{Term: lost + 1}, Lost: lost}, disk[g], nil
				}
				return raft.State{}, disk[g], nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.lanes[id] = l
	}
	for _, prepare := range first {
		prepare(w)
	}
	for _, id := range d.Coordinators[0] {
		w.start(id)
	}
	return w
}

// run lets time go by.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(lane.DefaultLimits().TickInterval)
		for _, id := range w.nodes() {
			w.step(id)
		}
	}
}

func (w *world) nodes() []raft.NodeID {
	ids := make([]raft.NodeID, 0, len(w.lanes))
	for id := range w.lanes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// step gives a lane events and carries out what comes of them, until the whole world is still.
func (w *world) step(node raft.NodeID, events ...lane.Event) {
	w.t.Helper()
	type arrival struct {
		at     raft.NodeID
		events []lane.Event
	}
	send := func(queue []arrival, from raft.NodeID, s lane.Send) []arrival {
		if (w.drop != nil && w.drop(s.To, s.Message)) || (from != s.To && (from == w.cutOff || s.To == w.cutOff)) {
			return queue
		}
		return append(queue, arrival{s.To, []lane.Event{lane.Received{From: from, Message: s.Message}}})
	}
	queue := []arrival{{node, events}}
	for ; len(queue) > 0; queue = queue[1:] {
		at := queue[0].at
		if w.frozen[at] || w.lanes[at] == nil { // the latter: nobody is there yet
			continue
		}
		effects := w.lanes[at].Step(w.now, queue[0].events)
		if effects.Fatal != nil {
			w.t.Fatalf("node %d: %v", at, effects.Fatal)
		}
		for _, s := range effects.Send {
			queue = send(queue, at, s)
		}
		for _, r := range effects.Reads {
			queue = append(queue, arrival{at, []lane.Event{w.disks[at][r.Group].read(r)}})
		}
		writes := append(w.writing[at], effects.Writes...)
		points := append(w.points[at], effects.Checkpoints...)
		w.writing[at], w.points[at] = nil, nil
		if at == w.stalled {
			w.writing[at], writes = writes, nil
			w.points[at], points = points, nil
		}
		for _, write := range writes {
			w.disks[at][write.Group].write(&write.Write)
			queue = append(queue, arrival{at, []lane.Event{lane.Persisted{Group: write.Group, Seq: write.Write.Seq}}})
			for _, s := range write.Durable {
				queue = send(queue, at, s)
			}
		}
		for i := range points {
			w.disks[at][points[i].Group].keep(&points[i].Checkpoint)
			queue = append(queue, arrival{at, []lane.Event{lane.CheckpointWritten{Group: points[i].Group, Applied: points[i].Checkpoint.Applied}}})
		}
		for _, a := range effects.Answers {
			w.answers[a.Request] = a.Answer
		}
		w.reports[at] = append(w.reports[at], effects.Reports...)
		if effects.Nodes != nil {
			w.met[at], w.tokens[at] = effects.Nodes, effects.Tokens
		}
	}
}

// ask puts a question to a node and returns what it will be answered as.
func (w *world) ask(node raft.NodeID, ask lane.Ask) (request uint64) {
	w.t.Helper()
	w.request++
	w.step(node, lane.Asked{Request: w.request, Until: w.now.Add(10 * time.Second), Ask: ask})
	return w.request
}

// mustAnswer waits for an answer, and takes none for an error.
func (w *world) mustAnswer(request uint64) lane.Answer {
	w.t.Helper()
	for range 1000 {
		if a, ok := w.answers[request]; ok {
			if a.Err != nil {
				w.t.Fatalf("request %d: %v", request, a.Err)
			}
			return a
		}
		w.run(50 * time.Millisecond)
	}
	w.t.Fatalf("request %d is never answered", request)
	return lane.Answer{}
}

func (w *world) openAccounts(banks ...transfer.BankID) {
	w.t.Helper()
	for _, b := range banks {
		for _, id := range []transfer.AccountID{"x", "y"} {
			w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: b, Terms: bank.Terms{ID: id, Currency: "EUR", OverdraftMinor: 1000}}))
		}
	}
}

// reign is who leads a group, and in which term.
type reign struct {
	leader raft.NodeID
	term   raft.Term
}

// reigns asks the leaders that aren't frozen.
func (w *world) reigns() map[lane.GroupID]reign {
	is := map[lane.GroupID]reign{}
	for _, id := range w.nodes() {
		for _, r := range w.lanes[id].Inspect(nil) {
			if r.Leading && !w.frozen[id] {
				is[r.Group] = reign{id, r.Engine.Term()}
			}
		}
	}
	return is
}

// engineOf is a group's engine on a node.
func (w *world) engineOf(node raft.NodeID, group lane.GroupID) replica.Engine {
	w.t.Helper()
	for _, r := range w.lanes[node].Inspect(nil) {
		if r.Group == group {
			return r.Engine
		}
	}
	w.t.Fatalf("node %d has no replica of %s", node, group)
	return nil
}

// offers counts how often groups were offered to each node.
func (w *world) offers() map[raft.NodeID]int {
	count := map[raft.NodeID]int{}
	for _, reports := range w.reports {
		for _, r := range reports {
			if o, ok := r.(lane.LeadershipOffered); ok && o.Group != lane.ClusterGroup {
				count[o.To]++
			}
		}
	}
	return count
}
