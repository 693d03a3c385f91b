package node_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

var (
	crashPoints = flag.Int("points", crashPointsDefault, "crashes of TestCrashPoints")
	crashSeed   = flag.Uint64("crashseed", 0, "seed of TestCrashPoints; 0: from the clock")
)

// crashesPerWorld is how often a cluster crashes before its replicas are compared and another one begins.
const crashesPerWorld = 10

// crashPatience is how long a wait may take on a machine that does much else.
const crashPatience = time.Minute

// TestCrashPoints crashes nodes of a loaded cluster before writes, syncs and renames of their disks that a seed chooses, also while they
// start, and at times all of them at once. After each crash the nodes come back with what was synced and any part of the rest, and everything is checked:
// each acknowledged transfer with its outcome, all legs or none, no money made or lost, no hold left. At the end of each world the replicas'
// state hashes must be equal.
func TestCrashPoints(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to choose the same points again: go test ./node -run TestCrashPoints -points %d -crashseed %d", *crashPoints, seed)
	for world, left := 0, *crashPoints; left > 0; world, left = world+1, left-crashesPerWorld {
		t.Run(fmt.Sprintf("world=%d", world), func(t *testing.T) {
			t.Parallel() // a world mostly waits for elections
			w := newCrashWorld(t, rand.New(rand.NewPCG(seed, uint64(world))))
			for range min(left, crashesPerWorld) {
				w.crashOnce()
			}
			w.end()
		})
	}
}

// crashWorld is a cluster whose disks crash, and what its clients were told.
type crashWorld struct {
	*cluster
	rng   *rand.Rand
	disks []*crashDisk // of the present lives
	banks []transfer.BankID

	mu    sync.Mutex // guards all below, and nodes and disks while clients run
	told  map[transfer.ID]transfer.State
	asked []transfer.ID
	stop  context.CancelFunc
	wait  sync.WaitGroup

	checked map[transfer.ID]bool // was there after an earlier crash
}

func newCrashWorld(t *testing.T, rng *rand.Rand) *crashWorld {
	t.Helper()
	w := &crashWorld{
		cluster: newCluster(t, 3, []string{"quorate", "quorate", "mixed"}[rng.IntN(3)]), rng: rng, disks: make([]*crashDisk, 3),
		banks: []transfer.BankID{"A", "B", "C", "R"}, told: map[transfer.ID]transfer.State{},
		checked: map[transfer.ID]bool{},
	}
	for i := range w.configs {
		w.configs[i].DataDir = "data"
		w.configs[i].Banks = append(w.configs[i].Banks, node.BankConfig{ID: "R", Nodes: []uint64{1, 2, 3}})
	}
	for i := range w.nodes {
		w.disks[i] = newCrashDisk(vfs.NewCrashableMem(), rng.Uint64())
		w.nodes[i] = w.start(i, w.disks[i])
	}
	cfg := workload.Config{Seed: rng.Uint64(), Banks: w.banks, AccountsPerBank: 5, Currency: "EUR", AmountMaxMinor: 50}
	for _, p := range workload.New(cfg).Places(5_000) {
		w.mustAsk(0, lane.OpenAccount{Bank: p.Bank, Terms: p.Terms})
	}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	t.Cleanup(func() { stop(); w.wait.Wait() })
	for client := range 4 {
		cfg.Seed = rng.Uint64()
		traffic := workload.New(cfg)
		w.wait.Go(func() {
			for turn := client; ctx.Err() == nil; turn++ {
				w.submit(ctx, turn%len(w.nodes), traffic)
			}
		})
	}
	return w
}

// crashLimits let reigns, checkpoints and compactions come and go quickly.
func crashLimits(rng *rand.Rand) lane.Limits {
	l := lane.DefaultLimits()
	l.TickInterval = 25 * time.Millisecond
	l.CheckpointEntries = 5 + rng.IntN(100)
	l.OrphanAfter, l.InquireEvery = 200*time.Millisecond, 50*time.Millisecond
	l.Driver.RetryAfter, l.Driver.RetryAfterMax = 50*time.Millisecond, 200*time.Millisecond
	return l
}

// start gives a node its next life; nil: it crashed on the way.
func (w *crashWorld) start(i int, d *crashDisk) *node.Node {
	w.t.Helper()
	small := 64<<10 + w.rng.IntN(512<<10) // files are flushed and compacted all the time
	n, err := node.Start(w.configs[i], node.Options{
		Limits: crashLimits(w.rng), Storage: storage.Options{FS: d.fs(), MemTableBytes: small, CacheBytes: 1 << 20, FileBytesMin: []int{1, 5_000, 0}[w.rng.IntN(3)]}, Seed: w.rng.Uint64(),
	})
	if err != nil {
		if !d.hasCrashed() {
			w.t.Fatalf("start node %d: %v", i+1, err)
		}
		return nil
	}
	d.belongsTo(n)
	return n
}

// life is the present life of a node, which may be over.
func (w *crashWorld) life(i int) (*node.Node, *crashDisk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i], w.disks[i]
}

// living is the present life of a node, or of another one if it is over.
func (w *crashWorld) living(i int) (n *node.Node, d *crashDisk) {
	for next := range w.configs {
		if n, d = w.life((i + next) % len(w.configs)); !d.hasCrashed() {
			break
		}
	}
	return n, d
}

// submit asks for a batch of transfers through one node. What the node said after its crash was never heard.
func (w *crashWorld) submit(ctx context.Context, through int, g *workload.Generator) {
	n, disk := w.living(through)
	if disk.hasCrashed() { // and so have all
		select {
		case <-disk.replaced:
		case <-ctx.Done():
		}
		return
	}
	asks := make([]lane.Ask, 8)
	batch := make([]transfer.Transfer, len(asks))
	for i := range asks {
		batch[i] = g.Next()
		batch[i].Deadline = time.Now().Add(500 * time.Millisecond)
		asks[i] = lane.Submit{Transfer: &batch[i]}
	}
	waiting, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answers := n.Do(waiting, asks...)
	crashed := disk.hasCrashed()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, a := range answers {
		w.asked = append(w.asked, batch[i].ID)
		if !crashed && a.Err == nil {
			w.told[batch[i].ID] = a.Transfer.State
		}
	}
}

func (w *crashWorld) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

func (w *crashWorld) mustGoOn(by int, when string) {
	w.t.Helper()
	before := w.count()
	eventually(w.t, crashPatience, "no transfers "+when, func() bool {
		for i, n := range w.nodes {
			if err := n.Err(); err != nil && !w.disks[i].hasCrashed() {
				w.t.Fatalf("node %d failed and its disk is sound: %v", i+1, err)
			}
		}
		return w.count() >= before+by
	})
}

// crashOnce crashes a node, or all, at a chosen change of one disk, brings everybody back and checks.
func (w *crashWorld) crashOnce() {
	w.t.Helper()
	w.mustGoOn(50, "before the crash")
	victim := w.rng.IntN(len(w.nodes))
	victims := []int{victim}
	if w.rng.IntN(4) == 0 {
		victims = []int{0, 1, 2}
	}
	w.arm(victim, victims, int64(1+w.rng.IntN(400)))
	waiting, cancel := context.WithTimeout(w.t.Context(), crashPatience)
	defer cancel()
	select {
	case <-w.disks[victim].done:
	case <-waiting.Done():
		w.t.Fatalf("node %d has written nothing for long enough to crash", victim+1)
	}
	if len(victims) == 1 && w.rng.IntN(2) == 0 {
		w.mustGoOn(30, "while one node is down")
	}
	for _, i := range victims {
		w.bury(i, w.nodes[i], w.disks[i])
	}
	for _, i := range victims {
		w.revive(i)
	}
	w.mustGoOn(30, "after the crash")
	w.check()
}

func (w *crashWorld) arm(victim int, victims []int, changes int64) {
	disks := slices.Clone(w.disks)
	w.disks[victim].strike = func() {
		for _, i := range victims {
			disks[i].crash()
		}
	}
	w.disks[victim].left.Store(changes)
}

// bury ends what is left of a crashed life; n is nil if it crashed before it had begun.
func (w *crashWorld) bury(i int, n *node.Node, d *crashDisk) {
	w.t.Helper()
	<-d.done
	w.t.Logf("node %d crashed %s", i+1, d.at)
	if n == nil {
		return
	}
	if err := n.Kill(); err != nil && !errors.Is(err, storage.ErrFatal) { // errors are all that a disk gives that crashes during a start
		w.t.Fatalf("bury node %d: %v", i+1, err)
	}
}

// revive starts a node on what survived; at times it crashes again before it is up.
func (w *crashWorld) revive(i int) {
	w.t.Helper()
	last := w.disks[i]
	for deaths := 0; ; deaths++ {
		w.mustBeSound(i, last.survived)
		next := newCrashDisk(last.survived, w.rng.Uint64())
		armed := deaths < 3 && w.rng.IntN(4) == 0
		if armed {
			next.strike = next.crash
			next.left.Store(int64(1 + w.rng.IntN(60)))
		}
		n := w.start(i, next)
		if n != nil && (!armed || next.disarm()) {
			w.mu.Lock()
			close(w.disks[i].replaced)
			w.nodes[i], w.disks[i] = n, next
			w.mu.Unlock()
			return
		}
		w.bury(i, n, next)
		last = next
	}
}

// mustBeSound reads all that survived of a disk.
func (w *crashWorld) mustBeSound(i int, survived *vfs.MemFS) {
	w.t.Helper()
	d, err := storage.Inspect("data", storage.Options{FS: survived})
	if err != nil {
		w.t.Fatalf("node %d, after the crash: %v", i+1, err)
	}
	for _, g := range d.Groups {
		if g.Damage != nil {
			w.t.Fatalf("node %d, after the crash: %v", i+1, g.Damage)
		}
	}
}

// check looks for every transfer that was acknowledged since the last check.
func (w *crashWorld) check() {
	w.t.Helper()
	w.mu.Lock()
	want := map[transfer.ID]transfer.State{}
	for id, state := range w.told {
		if !w.checked[id] {
			want[id] = state
		}
	}
	w.mu.Unlock()
	w.mustFind(want)
	for id := range want {
		w.checked[id] = true
	}
}

func (w *crashWorld) mustFind(want map[transfer.ID]transfer.State) {
	w.t.Helper()
	at := w.rng.IntN(len(w.nodes))
	for ids := range slices.Chunk(slices.Collect(maps.Keys(want)), 1000) {
		asks := make([]lane.Ask, len(ids))
		for i, id := range ids {
			asks[i] = lane.GetTransfer{ID: id}
		}
		waiting, cancel := context.WithTimeout(w.t.Context(), crashPatience)
		for i, a := range w.nodes[at].Do(waiting, asks...) {
			if a.Err != nil || a.Transfer.State != want[ids[i]] {
				w.t.Fatalf("transfer %s: told %s before the crash, and now %s, %v", ids[i], want[ids[i]], a.Transfer.State, a.Err)
			}
		}
		cancel()
	}
}

// end stops the clients, waits until everything is settled, and checks all there is.
func (w *crashWorld) end() {
	w.t.Helper()
	w.stop()
	w.wait.Wait()
	eventually(w.t, crashPatience, "holds are left", func() bool {
		for _, b := range w.banks {
			if a := w.ask(0, lane.AuditBank{Bank: b}); a.Err != nil || a.Audit.OpenHolds > 0 {
				return false
			}
		}
		return true
	})
	w.mustFind(w.told)
	w.mustBalance()
	w.mustAgree()
	w.t.Logf("%d transfers, %d with an outcome that a client heard", len(w.asked), len(w.told))
}

// mustBalance reads every journal from its beginning: all legs or none, as the clients were told, and no money made or lost.
func (w *crashWorld) mustBalance() {
	w.t.Helper()
	var sum int64
	applied := map[transfer.ID]int{}
	for _, b := range w.banks {
		for _, total := range w.mustAsk(1, lane.AuditBank{Bank: b}).Audit.Totals {
			sum += total.PostedMinor
		}
		for after := uint64(0); ; {
			entries := w.mustAsk(2, lane.ListEntries{Bank: b, AfterSeq: after, Limit: 1000}).Entries
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				applied[e.Transfer]++
			}
			after = entries[len(entries)-1].Seq
		}
	}
	if sum != 0 {
		w.t.Fatalf("money was made or lost: the banks hold %d in sum", sum)
	}
	for _, id := range w.asked {
		want, told := w.told[id]
		switch n := applied[id]; {
		case n != 0 && n != 2:
			w.t.Fatalf("transfer %s has %d of its 2 entries", id, n)
		case told && (n == 2) != (want == transfer.Committed):
			w.t.Fatalf("transfer %s was told to be %s and has %d entries", id, want, n)
		}
		delete(applied, id)
	}
	if len(applied) > 0 {
		w.t.Fatalf("%d transfers are in the journals that nobody asked for", len(applied))
	}
}

// mustAgree stops the nodes when all have applied the same, and compares their replicas.
func (w *crashWorld) mustAgree() {
	w.t.Helper()
	eventually(w.t, crashPatience, "replicas don't catch up", func() bool {
		applied := map[lane.GroupID]uint64{}
		for i := range w.nodes {
			for _, g := range w.ask(i, lane.GetStatus{}).Status.Groups {
				if have, ok := applied[g.Group]; ok && have != uint64(g.Raft.Applied) || g.Raft.Applied != g.Raft.Last {
					return false
				}
				applied[g.Group] = uint64(g.Raft.Applied)
			}
		}
		return true
	})
	hashes := map[lane.GroupID]uint64{}
	for i, n := range w.nodes {
		if err := n.Stop(); err != nil {
			w.t.Fatal(err)
		}
		w.nodes[i] = nil
		for _, r := range n.Inspect() {
			if hash, ok := hashes[r.Group]; ok && hash != r.StateHash() {
				w.t.Fatalf("group %s: node %d has hash %x after entry %d, another has %x", r.Group, i+1, r.StateHash(), r.Applied, hash)
			}
			hashes[r.Group] = r.StateHash()
		}
	}
}
