package node_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// replicatedBanks starts three nodes that hold everything.
func replicatedBanks(t *testing.T, engine string) *cluster {
	t.Helper()
	c := newCluster(t, 3, engine)
	for i := range c.configs {
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Replicas: 3}, {ID: "B", Replicas: 3}, {ID: "C", Replicas: 3}}
		c.start(i)
	}
	return c
}

// mustScan reads what a node has stored of a group.
func (c *cluster) mustScan(i int, group lane.GroupID) (lane.Scanned, raft.Index) {
	c.t.Helper()
	s, index, err := c.nodes[i].ScanReplica(c.t.Context(), group)
	if err != nil {
		c.t.Fatalf("node %d, %s: %v", i+1, group, err)
	}
	return s, index
}

// TestEveryReplicaIsScannedWhileTransfersRush reads what every node has stored, again and again: a sound one is found sound, and what was applied before is in it.
func TestEveryReplicaIsScannedWhileTransfersRush(t *testing.T) {
	c := replicatedBanks(t, "mixed")
	c.openWorkload()
	tr := c.startTraffic(3, 0, 1, 2)
	eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 100 })
	for range 3 {
		for i := range c.nodes {
			for id, status := range c.groups(i) {
				s, index := c.mustScan(i, id)
				if !s.Sound() || s.Records == 0 || index < status.Applied {
					t.Errorf("node %d, %s: up to entry %d, %d were applied before: %+v", i+1, id, index, status.Applied, s)
				}
			}
		}
		before := tr.count()
		eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > before })
	}
	tr.stop()
	tr.wait.Wait()
	c.mustSettle(tr, 0)
	c.mustAgree()
}

// TestAScanFindsWhatNoChecksumDoes exchanges the balances of two accounts on one disk: every record is one that was written, and no total changes.
func TestAScanFindsWhatNoChecksumDoes(t *testing.T) {
	c := replicatedBanks(t, "quorate")
	c.openAccounts(0)
	if r := c.mustAsk(0, lane.Submit{Transfer: payment(newID(t), "A", "B", 100)}).Transfer; r.State != transfer.Committed {
		t.Fatalf("got %v %v", r.State, r.Reason)
	}
	eventually(t, time.Minute, "the transfer is still held", func() bool { return c.mustAsk(0, lane.GetAccount{Bank: "A", ID: "alice"}).Accounts[0].HeldMinor == 0 })
	c.mustAgreeOn("bank/A")
	c.mustScan(1, "bank/A") // now the checkpoint has it
	c.stop(1)
	exchangeAccounts(t, &c.configs[1], "bank/A")
	c.start(1)
	eventually(t, time.Minute, "the node hears nothing of its groups", func() bool { return c.groups(1)["bank/A"].Leader != 0 })
	if s, _ := c.mustScan(1, "bank/A"); s.Sound() || s.Fault != "" || s.Recorded == s.Computed {
		t.Errorf("got %+v", s)
	}
	for _, sound := range []struct {
		at    int
		group lane.GroupID
	}{{0, "bank/A"}, {1, "bank/B"}, {2, "bank/A"}, {1, "coordinator/0"}} {
		if s, _ := c.mustScan(sound.at, sound.group); !s.Sound() {
			t.Errorf("node %d, %s: %+v", sound.at+1, sound.group, s)
		}
	}
}

// exchangeAccounts gives each of a bank's first two accounts the record of the other.
func exchangeAccounts(t *testing.T, config *node.Config, group string) {
	t.Helper()
	store, err := storage.Open(config.DataDir, storage.Identity{Cluster: config.Cluster, Node: raft.NodeID(config.Node)}, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.View(group)
	if err != nil {
		t.Fatal(err)
	}
	var accounts []storage.KV
	err = view.Scan([]byte{'a'}, func(key, value []byte) bool {
		accounts = append(accounts, storage.KV{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		return len(accounts) < 2
	})
	if err != nil || len(accounts) < 2 || accounts[1].Key[0] != 'a' || bytes.Equal(accounts[0].Value, accounts[1].Value) {
		t.Fatalf("accounts %v, %v", accounts, err)
	}
	accounts[0].Value, accounts[1].Value = accounts[1].Value, accounts[0].Value
	err = store.Commit([]storage.GroupUpdate{{Group: group, State: accounts, Applied: view.Last().Index}})
	if err := errors.Join(err, view.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAScanThatCantBe(t *testing.T) {
	c := startCluster(t, 3, "quorate") // bank B is on node 2 alone
	c.openAccounts(0)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, test := range map[string]struct {
		ctx   context.Context
		group lane.GroupID
		want  *transfer.Error
		says  string
	}{
		"of a replica that is elsewhere":    {t.Context(), "bank/B", transfer.ErrNotFound, "node 1 has no replica of bank/B"},
		"of a bank that nobody knows":       {t.Context(), "bank/Z", transfer.ErrUnknownBank, "Z"},
		"of a group that is but its log":    {t.Context(), lane.ClusterGroup, transfer.ErrInvalidRequest, "neither a coordinator nor a bank"},
		"when nobody waits for it any more": {ended, "bank/A", transfer.ErrStopping, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.nodes[0].ScanReplica(test.ctx, test.group)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if s, _ := c.mustScan(0, "bank/A"); !s.Sound() {
		t.Errorf("afterwards: %+v", s)
	}
}

// mustAgree compares the replicas of every group, and what each node that is up has stored of its own.
func (c *cluster) mustAgree() {
	c.t.Helper()
	all := map[lane.GroupID]bool{lane.ClusterGroup: true}
	for i, n := range c.nodes {
		if n == nil {
			continue
		}
		for id := range c.groups(i) {
			all[id] = true
			if s, index := c.mustScan(i, id); !s.Sound() {
				c.t.Errorf("node %d, %s: up to entry %d: %+v", i+1, id, index, s)
			}
		}
	}
	for id := range all {
		c.mustAgreeOn(id)
	}
}

// mustAgreeOn compares the state hashes of a group's replicas as of the newest entry of the first.
func (c *cluster) mustAgreeOn(id lane.GroupID) {
	c.t.Helper()
	var first lane.StateHash
	for i, n := range c.nodes {
		if n == nil {
			continue
		}
		a := c.ask(i, lane.HashReplica{Group: id, Index: first.Index})
		switch {
		case errors.Is(a.Err, transfer.ErrNotFound):
		case a.Err != nil:
			c.t.Fatalf("node %d, %s: %v", i+1, id, a.Err)
		case first == (lane.StateHash{}):
			first = a.Hash
		case a.Hash != first:
			c.t.Errorf("node %d, %s: after entry %d it has %016x, another had %016x after entry %d", i+1, id, a.Hash.Index, a.Hash.Hash, first.Hash, first.Index)
		}
	}
}

// Checkpoints take no rests while a scan or a backup waits for one, and do again when it has it.
func TestScansAndBackupsHurryTheirCheckpoints(t *testing.T) {
	c, disk := startAlone(t)
	for what, ask := range map[string]func() error{
		"scan": func() error {
			_, _, err := c.nodes[0].ScanReplica(t.Context(), "bank/A")
			return err
		},
		"cut": func() error {
			view, err := c.nodes[0].Cut(t.Context(), "bank/A", 0)
			if err != nil {
				return err
			}
			return view.Close()
		},
	} {
		t.Run(what, func(t *testing.T) {
			c.submitMany(1, disk) // what isn't in the last checkpoint
			disk.still.Lock()
			moveAgain := sync.OnceFunc(disk.still.Unlock)
			defer moveAgain() // or a node that failed the test could never be stopped
			made := make(chan error, 1)
			go func() { made <- ask() }()
			eventually(t, time.Minute, "no checkpoint is made in haste", func() bool { return c.nodes[0].Hurrying() == 1 })
			moveAgain()
			if err := <-made; err != nil {
				t.Error(err)
			}
			if n := c.nodes[0].Hurrying(); n != 0 {
				t.Errorf("%d still wait", n)
			}
		})
	}
}
