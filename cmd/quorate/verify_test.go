package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// verified runs `cluster verify` and reads what it printed.
func verified(t *testing.T, wantCode int, args ...string) verification {
	t.Helper()
	var out, said bytes.Buffer
	code := runMain(newRoot(), append([]string{"cluster", "verify", "-o", "json"}, args...), &out, &said)
	var v verification
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || code != wantCode {
		t.Fatalf("exit code %d, want %d; %v\n%s\n%s", code, wantCode, err, out.String(), said.String())
	}
	return v
}

// TestAClusterUnderLoadIsConsistent verifies again and again while transfers rush through.
func TestAClusterUnderLoadIsConsistent(t *testing.T) {
	c := layOut(t, "busy")
	c.start()
	c.openAccounts()
	b := c.load()
	b.waitFor(t, 500)
	compared, onItsWay := 0, 0
	for i := range 6 {
		args := []string{"--server", c.servers()}
		if i%2 == 1 {
			args = append(args, "--scan")
		}
		v := verified(t, 0, args...)
		if !v.Consistent || !v.Complete || len(v.Groups) != 6 || len(v.Totals) != 1 || v.Totals[0].TotalMinor != 0 {
			t.Fatalf("got %+v", v)
		}
		if v.Totals[0].OnItsWay != 0 {
			onItsWay++
		}
		for _, g := range v.Groups {
			for _, r := range g.Replicas {
				if r.Result == "same" && r.Hash != "" && r.Index == g.Index && (i%2 == 0 || !hasState(g.Group) || r.Scan.sound()) {
					compared++
				}
			}
		}
		b.waitFor(t, 100) // the cluster goes on
	}
	if compared != 6*6*3 {
		t.Errorf("%d of %d replicas were compared", compared, 6*6*3)
	}
	t.Logf("money was on its way in %d of 6 looks, %d transfers", onItsWay, b.count())
	b.stop()
	b.wait.Wait()
	if out := mustRun(t, "cluster", "verify", "--server", c.servers()); !strings.HasPrefix(out, "cluster busy: consistent, 18 replicas of 6 groups\n") {
		t.Errorf("said %s", out)
	}
}

// onOneNode has bank west live on node 3 alone, so that a test can write into its log.
func onOneNode(t *testing.T) *servedCluster {
	t.Helper()
	c := layOut(t, "planted")
	for i := range c.configs {
		c.configs[i].Banks[2].Nodes = []uint64{3}
	}
	c.start()
	c.openAccounts()
	return c
}

// plant adds an entry of commands to bank west's log, behind everybody's back, while its node is down.
func (c *servedCluster) plant(commands ...ledger.Command) {
	c.t.Helper()
	config := &c.configs[2]
	store, err := storage.Open(config.DataDir, storage.Identity{Cluster: config.Cluster, Node: 3}, storage.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	state, err := store.Load("bank/west")
	if err != nil {
		c.t.Fatal(err)
	}
	last := state.Entries[len(state.Entries)-1]
	state.HardState.Commit = last.Index + 1
	err = store.Commit([]storage.GroupUpdate{{
		Group: "bank/west", HardState: &state.HardState,
		Entries: []raft.Entry{{Index: last.Index + 1, Term: state.HardState.Term, Data: ledger.Encode(time.Now(), commands)}},
	}})
	if err = errors.Join(err, store.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// pay is a transfer between two shops.
func pay(from, to transfer.BankID) *transfer.Transfer {
	places := map[transfer.BankID]transfer.AccountID{}
	for _, p := range shopsWorkload(0).Places(1_000_000) {
		places[p.Bank] = p.Terms.ID
	}
	return &transfer.Transfer{ID: transfer.ID(uuid.Must(uuid.NewV7())), Deadline: time.Now().Add(time.Minute), Legs: []transfer.Leg{
		{Bank: from, Account: places[from], Direction: transfer.Debit, AmountMinor: 7, Currency: "EUR"},
		{Bank: to, Account: places[to], Direction: transfer.Credit, AmountMinor: 7, Currency: "EUR"},
	}}
}

func (v *verification) kinds() string {
	var kinds []string
	for _, f := range v.Findings {
		kinds = append(kinds, f.Kind)
	}
	return strings.Join(kinds, " ")
}

// TestAPlantedLostHoldIsFound has a bank give back what it holds for a transfer that is committed.
func TestAPlantedLostHoldIsFound(t *testing.T) {
	c := onOneNode(t)
	c.holdCommits("west", time.Minute/3)
	tr := pay("east", "west")
	if r := c.ask(lane.Submit{Transfer: tr}).Transfer; r.State != transfer.Committed {
		t.Fatalf("got %+v", r)
	}
	err := poll(func() error { // only what the log holds can be missed
		if r := c.ask(lane.GetTransfer{ID: tr.ID, Stale: true}).Transfer; r.State != transfer.Committed {
			return fmt.Errorf("applied: %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.stop()
	c.plant(ledger.Command{Request: &bank.Request{Op: bank.Rollback, ID: tr.ID}})
	c.start()
	c.ask(lane.AuditBank{Bank: "west"})
	v := verified(t, api.ExitBroken, "--server", c.servers())
	if v.Consistent || v.kinds() != "lost_hold total" || v.Findings[0].Transfer != tr.ID.String() || v.Findings[0].Group != "bank/west" || v.Totals[0].TotalMinor != -7 {
		t.Errorf("found %+v, totals %+v", v.Findings, v.Totals)
	}
}

// holdCommits has a bank keep its commits until its node stops.
func (c *servedCluster) holdCommits(at transfer.BankID, d time.Duration) {
	c.t.Helper()
	if err := poll(func() error { return c.nodes[2].HoldCommits(c.t.Context(), at, 1, d) }); err != nil {
		c.t.Fatal(err)
	}
}

// TestPlantedMoneyIsFound has a bank pay out what nobody has paid in.
func TestPlantedMoneyIsFound(t *testing.T) {
	c := onOneNode(t)
	credit := pay("east", "west").Legs[1:]
	id := transfer.ID{1, 2, 3}
	c.stop()
	c.plant(
		ledger.Command{Request: &bank.Request{Op: bank.Prepare, ID: id, Legs: credit}},
		ledger.Command{Request: &bank.Request{Op: bank.Commit, ID: id}},
	)
	c.start()
	v := verified(t, api.ExitBroken, "--server", c.servers())
	if v.kinds() != "total" || !strings.Contains(v.Findings[0].Detail, "0.07 EUR") {
		t.Errorf("found %+v, totals %+v", v.Findings, v.Totals)
	}
}

// TestAHoldWhoseStagingWasLostIsNoFault plants a hold that no coordinator knows: its bank asks what became of it, and gives it back.
func TestAHoldWhoseStagingWasLostIsNoFault(t *testing.T) {
	c := onOneNode(t)
	tr := pay("east", "west")
	c.stop()
	c.plant(ledger.Command{Request: &bank.Request{Op: bank.Prepare, ID: tr.ID, Fingerprint: tr.Fingerprint(), Legs: tr.Legs[1:]}})
	c.start()
	if a := c.ask(lane.AuditBank{Bank: "west"}).Audit; a.OpenHolds > 1 {
		t.Fatalf("bank west: %+v", a)
	}
	if v := verified(t, api.ExitOK, "--server", c.servers()); !v.Consistent {
		t.Errorf("found %+v", v.Findings)
	}
	if a := c.ask(lane.AuditBank{Bank: "west"}).Audit; a.OpenHolds != 0 {
		t.Errorf("bank west still has %d holds", a.OpenHolds)
	}
}

// TestAReplicaThatWentApartIsNamed changes one balance on one node's disk: a scan finds it, and so does the comparison once that account has been used.
func TestAReplicaThatWentApartIsNamed(t *testing.T) {
	c := layOut(t, "apart")
	c.start()
	c.openAccounts()
	tr := pay("east", "west")
	if r := c.ask(lane.Submit{Transfer: tr}).Transfer; r.State != transfer.Committed {
		t.Fatalf("got %+v", r)
	}
	err := poll(func() error { // what both banks have done is to be in their checkpoints
		if r := c.ask(lane.GetTransfer{ID: tr.ID}).Transfer; !r.Settled {
			return fmt.Errorf("not settled: %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := verified(t, api.ExitOK, "--scan", "--server", c.servers()); v.kinds() != "" { // all checkpoints are on the disks
		t.Fatalf("found %+v", v.Findings)
	}
	c.stop()
	if err := miscount(c.configs[2].DataDir, "bank/east", string(tr.Legs[0].Account)); err != nil {
		t.Fatal(err)
	}
	c.start()
	v := verified(t, api.ExitBroken, "--scan", "--server", c.servers())
	if v.kinds() != "stored_state" || v.Findings[0].Group != "bank/east" || v.Findings[0].Node != 3 {
		t.Fatalf("found %+v", v.Findings)
	}
	if r := c.ask(lane.Submit{Transfer: pay("east", "west")}).Transfer; r.State != transfer.Committed {
		t.Fatalf("got %+v", r)
	}
	v = verified(t, api.ExitBroken, "--server", c.servers())
	if len(v.Findings) != 1 || v.Findings[0].Kind != "state_hash" || v.Findings[0].Group != "bank/east" || v.Findings[0].Node != 3 || v.Findings[0].Index == 0 {
		t.Fatalf("found %+v", v.Findings)
	}
	for _, g := range v.Groups {
		for i, r := range g.Replicas {
			if want := g.Group == "bank/east" && i == 2; (r.Result == "differs") != want || len(r.Hash) != 16 {
				t.Errorf("%s at node %d: %+v", g.Group, r.Node, r)
			}
		}
	}
}

// TestANodeThatDoesntAnswerIsSaidSo stops one of three nodes: what the others have is compared.
func TestANodeThatDoesntAnswerIsSaidSo(t *testing.T) {
	c := layOut(t, "two")
	c.start()
	c.openAccounts()
	if err := c.faces[2].Stop(ctxFor(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	c.nodes, c.faces = c.nodes[:2], c.faces[:2]
	c.ask(lane.AuditBank{Bank: "west"})
	v := verified(t, 7, "--server", c.servers())
	if !v.Consistent || v.Complete || len(v.NotCompared) != len(v.Groups) || !strings.Contains(v.NotCompared[0], "bank/east: node 3 doesn't answer") || len(v.Totals) != 1 {
		t.Errorf("got %+v", v)
	}
}

// TestWhoMayNotCompareIsToldSo: to wait for a node helps only where none forbids it.
func TestWhoMayNotCompareIsToldSo(t *testing.T) {
	down := errors.New("bank/east: node 3 doesn't answer")
	forbidden := fmt.Errorf("bank/east: node 2: %w", &toldError{transfer.ErrForbidden, "role reader may not"})
	worded := errors.New("bank/east: node 1: " + transfer.ErrForbidden.Meaning)
	for name, c := range map[string]struct {
		lacks []error
		want  int
	}{
		"a node is down":             {[]error{down}, 7},
		"one of two forbids it":      {[]error{down, forbidden}, 6},
		"the same words from others": {[]error{worded}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			v := &verification{Consistent: true}
			v.lacks(c.lacks...)
			if got := exitCode(t.Context(), &ranError{v.err()}); got != c.want {
				t.Errorf("exit code %d, want %d: %v", got, c.want, v.err())
			}
		})
	}
}
