package node_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/node"
)

// TestReplicatedBanksSurviveAnyNode keeps every bank on all three nodes: with one node gone, every account can still pay.
func TestReplicatedBanksSurviveAnyNode(t *testing.T) { onEachEngine(t, mustSurviveANode) }

func mustSurviveANode(t *testing.T, engine string) {
	t.Helper()
	c := newCluster(t, 3, engine)
	for i := range c.configs {
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Replicas: 3}, {ID: "B", Nodes: []uint64{1, 2, 3}}, {ID: "C", Replicas: 3}}
		c.start(i)
	}
	c.openWorkload()
	tr := c.startTraffic(77, 1, 2)
	eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 500 })
	if err := c.nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	c.nodes[0] = nil
	killed, before := time.Now(), tr.count()
	eventually(t, time.Minute, "the others don't go on", func() bool { return tr.count() > before+200 })
	t.Logf("200 more transfers %v after the kill", time.Since(killed))
	c.start(0)
	tr.stop()
	tr.wait.Wait()
	c.mustSettle(tr, 1)
}
