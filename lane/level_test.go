package lane_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// answerOf waits for an answer, be it an error.
func (w *world) answerOf(request uint64) lane.Answer {
	w.t.Helper()
	for range 200 {
		if a, ok := w.answers[request]; ok {
			return a
		}
		w.run(50 * time.Millisecond)
	}
	w.t.Fatalf("request %d is never answered", request)
	return lane.Answer{}
}

// level is what the directory of a node says that all can read.
func (w *world) level(node raft.NodeID) directory.Level {
	for _, r := range w.lanes[node].Inspect(nil) {
		if r.Directory != nil {
			return r.Directory.Level()
		}
	}
	w.t.Fatalf("node %d has no directory", node)
	return 0
}

// mustRefuse wants a hold refused at every node, because of one node.
func (w *world) mustRefuse(by string, nodes ...raft.NodeID) {
	w.t.Helper()
	for _, id := range nodes {
		for _, ask := range []lane.Ask{lane.Submit{Transfer: w.hold(byte(100+id), time.Hour)}, lane.CaptureTransfer{ID: transfer.ID{9}}, lane.VoidTransfer{ID: transfer.ID{9}}} {
			began := w.now
			err := w.answerOf(w.ask(id, ask)).Err
			if !errors.Is(err, transfer.ErrNotYet) || !strings.Contains(err.Error(), by) {
				w.t.Errorf("node %d answers %T with %v, want not yet, because of %s", id, ask, err, by)
			}
			if waited := w.now.Sub(began); waited > 3*time.Second {
				w.t.Errorf("node %d has %T wait %v for a no", id, ask, waited)
			}
		}
	}
}

// TestNothingNewIsUsedWhileANodeRunsTheVersionBefore, and everything else is.
func TestNothingNewIsUsedWhileANodeRunsTheVersionBefore(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.levels = map[raft.NodeID]directory.Level{3: directory.LevelFirst}
	w.start(3) // in place of the newer one, which has done nothing yet
	w.openAccounts("A", "B", "C")
	w.mustRefuse("node 3", 1, 2, 3)
	if r := w.mustAnswer(w.ask(2, lane.Submit{Transfer: w.payment(1)})).Transfer; r.State != transfer.Committed {
		t.Errorf("a payment is %v %v", r.State, r.Reason)
	}
	for id := raft.NodeID(1); id <= 3; id++ {
		if level := w.level(id); level != directory.LevelFirst {
			t.Errorf("node %d says that level %d is reached", id, level)
		}
	}
}

// TestTheLevelRisesOnceEveryNodeHasSpoken, and never goes back.
func TestTheLevelRisesOnceEveryNodeHasSpoken(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.frozen[3] = true
		w.run(5 * time.Second)
		w.mustRefuse("node 3", 1, 2)
		w.frozen[3] = false
		w.openAccounts("A", "B", "C")
		if r := w.mustAnswer(w.ask(3, lane.Submit{Transfer: w.hold(1, time.Hour)})).Transfer; r.State != transfer.Held {
			t.Errorf("a hold is %v %v", r.State, r.Reason)
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			if level := w.level(id); level != directory.LevelNewest {
				t.Errorf("node %d is at level %d", id, level)
			}
		}
	})
}

// TestAHoldWaitsAMomentForTheLevel: a cluster that has just begun refuses nobody.
func TestAHoldWaitsAMomentForTheLevel(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	early := w.ask(1, lane.VoidTransfer{ID: transfer.ID{9}})
	if err := w.answerOf(early).Err; !errors.Is(err, transfer.ErrTransferNotFound) {
		t.Errorf("it is answered with %v", err)
	}
}

// TestRunsAreStoredOnceEveryNodeCanReadThem: before, a checkpoint has one place, entry or line in a record, for a snapshot takes it to other nodes.
func TestRunsAreStoredOnceEveryNodeCanReadThem(t *testing.T) {
	for _, level := range []directory.Level{directory.LevelRuns - 1, directory.LevelRuns} {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
			w.levels = map[raft.NodeID]directory.Level{3: level}
			w.start(3) // in place of the newer one, which has done nothing yet
			w.openAccounts("A", "B", "C")
			w.run(5 * time.Second)
			if reached := w.level(2); reached != level {
				t.Fatalf("the level is %d", reached)
			}
			var asked []uint64
			for i := range byte(40) { // to the four shards together
				asked = append(asked, w.ask(2, lane.Submit{Transfer: w.payment(i)}))
			}
			for _, request := range asked {
				if r := w.mustAnswer(request).Transfer; r.State != transfer.Committed {
					t.Fatalf("a payment is %v %v", r.State, r.Reason)
				}
			}
			w.run(time.Second)
			for _, at := range []struct {
				node      raft.NodeID
				group     lane.GroupID
				kinds     string // of records that may be runs …
				transfers string // … for each one of these
			}{{1, lane.CoordinatorGroup(0), "pd", "ru"}, {3, lane.CoordinatorGroup(0), "pd", "ru"}, {2, lane.BankGroup("A"), "es", "f"}, {3, lane.BankGroup("B"), "es", "f"}} {
				w.mustAnswer(w.ask(at.node, lane.SaveReplica{Group: at.group}))
				stored := w.disks[at.node][at.group]
				members, records := 2*stored.count(at.transfers), stored.count(at.kinds)
				if members < 8 || records < 2 || level < directory.LevelRuns && records != members || level == directory.LevelRuns && records > members/2 {
					t.Errorf("%s at node %d has %d records of the kinds %s for %d members", at.group, at.node, records, at.kinds, members)
				}
			}
		})
	}
}

// count is how many records of some kinds there are.
func (s *shelf) count(kinds string) (n int) {
	for key := range s.kv {
		if strings.Contains(kinds, key[:1]) {
			n++
		}
	}
	return n
}
