package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/transfer"
)

// startLone runs a cluster of one node with the bank "north", both faces open.
func startLone(t *testing.T) *node.Node {
	t.Helper()
	place := node.NodeConfig{ID: 1}
	for _, address := range []*string{&place.Peer, &place.GRPC, &place.HTTP} {
		var err error
		if *address, err = ports.free(); err != nil {
			t.Fatal(err)
		}
	}
	config := node.Config{Cluster: "lone", Node: 1, DataDir: t.TempDir(), Nodes: []node.NodeConfig{place}, Banks: []node.BankConfig{{ID: "north", Nodes: []uint64{1}}}}
	n, err := node.Start(config, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	face, err := startAPI(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = face.Stop(ctx)
		_ = n.Stop()
	})
	return n
}

var described = regexp.MustCompile(`fqName: "([^"]*)", help: "(.*)", unit: "[^"]*", constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}`)

// metricLines are the rows of the page, from what the collectors say of themselves.
func metricLines(t *testing.T, of []prometheus.Collector) (lines []string) {
	t.Helper()
	for _, c := range of {
		all := make(chan *prometheus.Desc)
		go func() { c.Describe(all); close(all) }() // read to its end below
		for d := range all {
			parts := described.FindStringSubmatch(d.String())
			if parts == nil {
				t.Fatalf("can't read %s", d)
			}
			kind, labels := "gauge", "–"
			switch {
			case strings.HasSuffix(parts[1], "_total"):
				kind = "counter"
			case strings.HasSuffix(parts[1], "_duration_seconds"):
				kind = "histogram"
			}
			if parts[3] != "" {
				labels = "`" + strings.ReplaceAll(parts[3], ",", "`, `") + "`"
			}
			lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s |", parts[1], kind, labels, parts[2]))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestThePageOfMetricsIsWhatIsRegistered: with QUORATE_REWRITE=1 it writes the table anew.
func TestThePageOfMetricsIsWhatIsRegistered(t *testing.T) {
	n := startLone(t)
	want := strings.Join(metricLines(t, newMeters(n, nil).ours), "\n") + "\n"
	const page = "../../docs/metrics.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head := "| metric | kind | labels | says |\n| --- | --- | --- | --- |\n"
	before, rest, found := strings.Cut(string(text), head)
	if !found {
		t.Fatalf("%s has no table of metrics", page)
	}
	got, after, _ := strings.Cut(rest, "\n\n")
	if got += "\n"; got == want {
		return
	}
	if os.Getenv("QUORATE_REWRITE") != "" {
		if err := os.WriteFile(page, []byte(before+head+want+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s has\n%swant\n%s(QUORATE_REWRITE=1 go test ./cmd/quorate -run ThePageOfMetrics writes it)", page, got, want)
}

// TestMetricsAreServed moves money once and reads what the node says of that.
func TestMetricsAreServed(t *testing.T) {
	n := startLone(t)
	config := n.Config()
	self, err := config.Self()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial([]string{self.GRPC})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, account := range []client.Terms{{ID: "@cash", Currency: "EUR", Unlimited: true}, {ID: "alice", Currency: "EUR"}} {
		if _, err := c.OpenAccount(ctx, "north", account); err != nil {
			t.Fatal(err)
		}
	}
	legs := []transfer.Leg{
		{Bank: "north", Account: "@cash", Direction: transfer.Debit, AmountMinor: 7, Currency: "EUR"},
		{Bank: "north", Account: "alice", Direction: transfer.Credit, AmountMinor: 7, Currency: "EUR"},
	}
	if r, err := c.Transfer(ctx, transfer.Transfer{Legs: legs}); err != nil || r.State != transfer.Committed {
		t.Fatal(r, err)
	}
	response, err := http.Get("http://" + self.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	for _, line := range []string{
		`quorate_transfers_total{outcome="committed",reason=""} 1`,
		`quorate_transfer_duration_seconds_count{outcome="committed"} 1`,
		`quorate_requests_total{code="ok",operation="openAccount"} 2`,
		`quorate_raft_is_leader{group="bank/north"} 1`,
		`quorate_raft_leader_changes_total{group="coordinator/0"} `,
		`quorate_bank_up{bank="north"} 1`,
		`quorate_bank_breaker_state{bank="north"} 0`,
		`quorate_node_answers 1`,
		`quorate_bank_violations_total{bank="north"} 0`,
		`quorate_admission_rejected_total{reason="busy"} 0`,
		`quorate_transfers_held 0`,
		`quorate_in_doubt `,
		`quorate_disk_full 0`,
		`quorate_queue_depth{queue="requests"} `,
		`quorate_wal_fsync_duration_seconds_bucket{le="+Inf"} `,
		`quorate_build_info{go="`,
		`go_goroutines `,
	} {
		if !bytes.Contains(text, []byte("\n"+line)) {
			t.Errorf("there is no %s in\n%s", line, text)
		}
	}
}

func TestTheEndOfCertificatesIsPublished(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	authority, err := pki.NewAuthority(now, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	caFile, caKey, err := authority.Write(dir, "ca", false)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := pki.LoadAuthority(caFile, caKey)
	if err != nil {
		t.Fatal(err)
	}
	renew := func(lifetime time.Duration) {
		t.Helper()
		pair, err := signer.NewNode(1, nil, now, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := pair.Write(dir, "node1", true); err != nil {
			t.Fatal(err)
		}
	}
	renew(time.Hour)
	keys, err := pki.Load(pki.Files{CA: caFile, Cert: filepath.Join(dir, "node1.pem"), Key: filepath.Join(dir, "node1.key")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(expiryCollector{keys})
	for _, lifetime := range []time.Duration{time.Hour, 24 * time.Hour} { // the second one without a restart
		renew(lifetime)
		families, err := registry.Gather()
		if err != nil || len(families) != 1 {
			t.Fatal(families, err)
		}
		got := map[string]float64{}
		for _, m := range families[0].GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
		if want := float64(now.Add(lifetime).Unix()); got["node"] != want || got["ca"] != float64(now.Add(48*time.Hour).Unix()) {
			t.Errorf("got %v, want %v for the node", got, want)
		}
	}
}
