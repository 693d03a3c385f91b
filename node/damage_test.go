package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// TestADamagedMemberIsRepairedByTheOthers damages the files of one node by hand and starts it under load. It must find the damage, at once or when it
// comes by, lose nothing that was acknowledged, vote in no group before it has got everything from the others, and then be counted on.
func TestADamagedMemberIsRepairedByTheOthers(t *testing.T) {
	for _, damage := range []struct {
		name, engine string
		files        string
		spoil        func(t *testing.T, file string)
	}{
		{"bits of the tables", "quorate", "*.sst", flipBits},
		{"bits of the manifest", "mixed", "MANIFEST-*", flipBits},
		{"tables that are gone", "etcd", "*.sst", func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(damage.name, func(t *testing.T) {
			c := newCluster(t, 3, damage.engine)
			c.limits, c.storage = shortLogs(), storage.Options{MemTableBytes: 128 << 10} // tables within moments
			c.limits.SnapshotChunk = 64 << 10                                            // what is sent grows with the traffic, and tiny pieces might never get to its end
			for i := range c.configs {
				c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1, 2, 3}}, {ID: "B", Nodes: []uint64{1, 2, 3}}, {ID: "C", Nodes: []uint64{1, 2, 3}}}
				c.start(i)
			}
			c.openWorkload()
			tr := c.startTraffic(7, 0, 1)
			dir := c.configs[2].DataDir
			eventually(t, time.Minute, "no tables", func() bool { return len(filesOf(t, dir, "*.sst")) > 1 && tr.count() > 500 })
			c.kill(2)
			for _, file := range filesOf(t, dir, damage.files) {
				damage.spoil(t, file)
			}
			c.start(2)
			eventually(t, 2*time.Minute, "the node isn't repaired", func() bool { return c.repaired(2) })
			if kept := filesOf(t, dir, filepath.Join("damaged-1", damage.files)); len(kept) == 0 && !strings.Contains(damage.name, "gone") {
				t.Error("the damaged files weren't kept")
			}
			tr.stop()
			tr.wait.Wait()
			c.mustSettle(tr, 2)
			// Now nothing goes on without its vote.
			c.kill(0)
			again := c.startTraffic(8, 1, 2)
			eventually(t, time.Minute, "no traffic with the repaired node's vote", func() bool { return again.count() > 200 })
			again.stop()
			again.wait.Wait()
			c.mustSettle(tr, 1)
			c.mustSettle(again, 2)
		})
	}
}

// TestAnOlderCopyIsNeverUsed: a node comes back with a copy of its directory from before entries that it has acknowledged since, as after the rollback of a
// virtual machine, or with a log that its disk has lost. The leader counts on these entries and never sends them again. The node must notice, and can't be repaired under its id: what else
// it has promised since isn't known.
func TestAnOlderCopyIsNeverUsed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine string) {
		c := newCluster(t, 3, engine)
		for i := range c.configs {
			c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1, 2, 3}}, {ID: "B", Nodes: []uint64{1, 2, 3}}, {ID: "C", Nodes: []uint64{1, 2, 3}}}
			c.start(i)
		}
		c.openWorkload()
		tr := c.startTraffic(11, 0, 1)
		more := func() {
			t.Helper()
			sent := tr.count()
			eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > sent+300 })
		}
		more()
		c.kill(2)
		dir, older := c.configs[2].DataDir, t.TempDir()
		if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		had := map[lane.GroupID]raft.Index{} // at most, but for what it may have led and not finished
		for at := range 2 {
			for id, s := range c.groups(at) {
				had[id] = max(had[id], s.Last)
			}
		}
		relied := func() bool { // a leader counts on more
			for at := range 2 {
				for id, s := range c.groups(at) {
					if s.Match[3] > had[id]+20 {
						return true
					}
				}
			}
			return false
		}
		for kept := false; !kept; kept = relied() { // unless that leader has handed over to the node just now
			c.start(2)
			eventually(t, time.Minute, "the node acknowledges nothing", relied)
			c.kill(2)
		}
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(older))); err != nil {
			t.Fatal(err)
		}
		c.start(2)
		select {
		case <-c.nodes[2].Failed():
		case <-time.After(time.Minute):
			t.Fatal("nobody notices what the node lacks")
		}
		if err := c.nodes[2].Err(); !errors.Is(err, storage.ErrOutdated) {
			t.Errorf("it ends because of %v", err)
		}
		_ = c.nodes[2].Stop() // that is why it ended
		c.nodes[2] = nil
		for range 2 {
			if _, err := node.Start(c.configs[2], node.Options{Limits: c.limits}); !errors.Is(err, storage.ErrOutdated) {
				t.Errorf("the next start: %v", err)
			}
		}
		if _, err := storage.SetAside(dir, c.configs[2].Identity(), nil); !errors.Is(err, storage.ErrOutdated) {
			t.Errorf("set aside: %v", err)
		}
		more()
		tr.stop()
		tr.wait.Wait()
		c.mustSettle(tr, 1)
	})
}

// TestDamageFoundWhileANodeStarts: the store is in use by then and can't be moved aside in the same process. The node ends because of the damage, and the next
// start has it repaired.
func TestDamageFoundWhileANodeStarts(t *testing.T) {
	c := newCluster(t, 3, "quorate")
	config := c.configs[2]
	config.DataDir = "data"
	config.Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1, 2, 3}}}
	fs := vfs.NewCrashableMem()
	store, err := storage.Open(config.DataDir, config.Identity(), storage.Options{FS: fs, MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for g := range 8 {
		for i := range raft.Index(30) {
			update := storage.GroupUpdate{Group: fmt.Sprint(g), HardState: &raft.HardState{Term: 1}, Entries: []raft.Entry{{Index: i + 1, Term: 1, Data: make([]byte, 2000)}}}
			if err := store.Commit([]storage.GroupUpdate{update}); err != nil {
				t.Fatal(err)
			}
		}
	}
	written := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := written.List(config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, name := range names {
		clone := written.CrashClone(vfs.CrashCloneCfg{})
		b, err := clone.UnsafeGetFileDataBuffer(clone.PathJoin(config.DataDir, name))
		if err != nil || filepath.Ext(name) != ".sst" || len(b) < 200 {
			continue
		}
		b[len(b)-100] ^= 4 // in what says where everything is
		n, err := node.Start(config, node.Options{Storage: storage.Options{FS: clone}})
		if err == nil {
			_ = n.Stop() // found later, or by the look before
			continue
		}
		if !errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrInUse) {
			t.Fatalf("%s: it ends because of %v", name, err)
		}
		late++
		again := clone.CrashClone(vfs.CrashCloneCfg{}) // as in another process
		n, err = node.Start(config, node.Options{Storage: storage.Options{FS: again}})
		if err != nil {
			t.Fatalf("%s: the next start: %v", name, err)
		}
		if _, err := again.Stat(again.PathJoin(config.DataDir, "damaged-1")); err != nil {
			t.Errorf("%s: the next start didn't set the store aside: %v", name, err)
		}
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
	if late == 0 {
		t.Error("no damage was found while the node started: this proves nothing")
	}
}

// repaired starts a node again if it has found damage, as whoever watches over it does, and says whether it is whole after damage.
func (c *cluster) repaired(i int) bool {
	c.t.Helper()
	select {
	case <-c.nodes[i].Failed():
		c.t.Logf("it ends: %.300s", c.nodes[i].Err())
		_ = c.nodes[i].Stop() // that is why it ended
		c.start(i)
	default:
	}
	if len(filesOf(c.t, c.configs[i].DataDir, "damaged-1")) == 0 {
		return false
	}
	for _, s := range c.groups(i) {
		if s.Incomplete || s.Leader == 0 {
			return false
		}
	}
	return true
}

func filesOf(t testing.TB, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// flipBits turns one bit in each 300 bytes of a file, but for its end, where a crash may have cut it off.
func flipBits(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 40; i < len(b)*3/4; i += 300 {
		b[i] ^= 4
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestADamagedNodeWithTheOnlyCopyRefusesToStart, and starts if that bank has moved to others since the cluster began.
func TestADamagedNodeWithTheOnlyCopyRefusesToStart(t *testing.T) {
	for name, moved := range map[string]bool{"it has the bank": false, "the bank has moved": true} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, 3, "quorate") // bank C begins on node 3 alone
			c.openWorkload()
			if moved {
				c.accepted(0, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{1, 2}})
				eventually(t, 30*time.Second, "node 3 keeps its replica, on its disk too", func() bool {
					retired, err := storage.RetiredIn(c.configs[2].DataDir, nil)
					return err == nil && retired["bank/C"]
				})
			}
			c.kill(2)
			for _, file := range filesOf(t, c.configs[2].DataDir, "MANIFEST-*") {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			if !moved {
				if _, err := node.Start(c.configs[2], node.Options{}); err == nil || !strings.Contains(err.Error(), "bank/C is on fewer than three nodes") {
					t.Fatalf("got %v", err)
				}
				return
			}
			c.start(2)
			eventually(t, time.Minute, "the node isn't repaired", func() bool { return c.repaired(2) })
			tr := c.startTraffic(11, 0, 2)
			c.goesOn(tr)
			tr.stop()
			tr.wait.Wait()
			c.mustSettle(tr, 2)
		})
	}
}
