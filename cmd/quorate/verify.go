package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func newClusterVerify() *cobra.Command {
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Check that a running cluster is consistent",
		Long: `Check a running cluster, under load or not, and change nothing. The state hashes of all replicas of each group are compared at
one log entry. All banks are looked at as of one moment: the money of each currency must add up to zero, every transfer that is
committed must be held or committed at each of its banks, and every hold must have a transfer. With --scan each node also reads all that it
has stored, and adds it up anew: what lies on the disk and wasn't touched since counts only then.

--server must name every node. --timeout, 30s if it isn't given, is for replicas to reach that entry. A replica that can't be asked is shown as missing; then the exit code is 7. If anything differs it is 9.`,
		Example: `  quorate cluster verify --server 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003
  quorate cluster verify --scan -o json --server 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003`,
		Args: cobra.NoArgs,
		RunE: runClusterVerify,
	}
	verify.Flags().Bool("scan", false, "also read all stored state; takes as long as the disks need")
	return verify
}

// verifyTimeout is how long replicas may take to reach the entry at which they are compared, and the banks to agree on a moment, if nobody says otherwise.
const verifyTimeout = 30 * time.Second

// verification is what the command prints with -o json.
type verification struct {
	Cluster     string           `json:"cluster"`
	Consistent  bool             `json:"consistent"` // nothing was found
	Complete    bool             `json:"complete"`   // everything could be compared
	Groups      []*verifiedGroup `json:"groups"`
	Totals      []currencyTotal  `json:"totals"`
	Findings    []finding        `json:"findings"`
	NotCompared []string         `json:"not_compared"`

	notCompared []error // the same
}

func runClusterVerify(cmd *cobra.Command, _ []string) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	servers, timeout, secure, err := wayTo(cmd, verifyTimeout)
	if err != nil {
		return err
	}
	scan, err := cmd.Flags().GetBool("scan")
	if err != nil {
		return err
	}
	nodes, err := dialAll(servers, secure)
	if err != nil {
		return misconfigured(err)
	}
	defer nodes.hangUp()
	say := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	v, err := nodes.verify(cmd.Context(), timeout, scan, say)
	if err != nil {
		return err
	}
	if err := printVerification(p, v); err != nil {
		return err
	}
	return v.err()
}

// verify does everything there is to do with what the named nodes can say.
func (nodes backupNodes) verify(ctx context.Context, timeout time.Duration, scan bool, say func(string)) (*verification, error) {
	views, unreachable := nodes.views(ctx)
	v := &verification{Totals: []currencyTotal{}, Findings: []finding{}, NotCompared: []string{}}
	if err := v.setCluster(views); err != nil {
		return nil, err
	}
	if v.Cluster == "" {
		return nil, nobodyAnswers(unreachable)
	}
	v.Groups = groupsOf(nodes, views)
	say(fmt.Sprintf("comparing %d replicas of %d groups", v.countReplicas(""), len(v.Groups)))
	within, cancel := context.WithTimeout(ctx, timeout)
	compareAll(within, v.Groups)
	cancel()
	if scan {
		say("reading all that is stored")
		v.lacks(scanAll(ctx, v.Groups, say)...)
	}
	for _, g := range v.Groups {
		found, notCompared := g.findings()
		v.Findings = append(v.Findings, found...)
		v.lacks(notCompared...)
	}
	say("comparing coordinators and banks")
	seen, err := nodes.lookWithin(ctx, timeout, say)
	if err != nil {
		v.lacks(fmt.Errorf("coordinators and banks: %w", err))
	}
	v.Totals, v.Findings = append(v.Totals, seen.totals...), append(v.Findings, seen.findings...)
	v.Consistent, v.Complete = len(v.Findings) == 0, len(v.NotCompared) == 0
	return v, ctx.Err()
}

// lacks notes what couldn't be compared, and why.
func (v *verification) lacks(why ...error) {
	for _, err := range why {
		v.NotCompared = append(v.NotCompared, err.Error())
	}
	v.notCompared = append(v.notCompared, why...)
}

// setCluster takes the cluster's name from the views, and refuses nodes of two.
func (v *verification) setCluster(views []*quoratev1.Status) error {
	for _, view := range views {
		if view == nil {
			continue
		}
		if v.Cluster != "" && view.GetCluster() != v.Cluster {
			return usagef("--server names nodes of two clusters, %s and %s. try: the nodes of one", v.Cluster, view.GetCluster())
		}
		v.Cluster = view.GetCluster()
	}
	return nil
}

// countReplicas counts those with a result; "": all.
func (v *verification) countReplicas(result string) (n int) {
	for _, g := range v.Groups {
		for i := range g.Replicas {
			if result == "" || g.Replicas[i].Result == result {
				n++
			}
		}
	}
	return n
}

// inconsistentError says that something was found: a promise of Quorate is broken.
type inconsistentError struct{ text string }

func (e *inconsistentError) Error() string { return e.text }

// err is what the command ends with.
func (v *verification) err() error {
	switch {
	case !v.Consistent:
		first := v.Findings[0].Detail
		if v.Findings[0].Transfer != "" {
			first = "transfer " + v.Findings[0].Transfer + ": " + first
		}
		return &adviceError{
			&inconsistentError{fmt.Sprintf("the cluster is not consistent: %d found, the first: %s", len(v.Findings), first)},
			`"When verify finds something" in docs/operations.md`,
		}
	case !v.Complete:
		for _, err := range v.notCompared {
			if errors.Is(err, transfer.ErrForbidden) { // not a node that is down, for which to wait
				return fmt.Errorf("not everything could be compared: %w", err)
			}
		}
		return &adviceError{
			&toldError{client.ErrUnreachable, "not everything could be compared: " + v.NotCompared[0]}, // some have answered
			"the same again when all nodes are up, with all of them named by --server",
		}
	}
	return nil
}

// headline is the result in one line.
func (v *verification) headline() string {
	switch {
	case !v.Consistent:
		return fmt.Sprintf("cluster %s: NOT CONSISTENT, %d found", v.Cluster, len(v.Findings))
	case !v.Complete:
		return fmt.Sprintf("cluster %s: nothing found, but not everything could be compared", v.Cluster)
	}
	return fmt.Sprintf("cluster %s: consistent, %d replicas of %d groups", v.Cluster, v.countReplicas("same"), len(v.Groups))
}

func printVerification(p *printer, v *verification) error {
	if p.format == "table" && !p.quiet {
		if err := p.line(v.headline() + "\n"); err != nil {
			return err
		}
	}
	tables := []table{v.replicaTable(), v.totalTable()}
	if len(v.Findings) > 0 {
		tables = append(tables, v.findingTable())
	}
	if len(v.NotCompared) > 0 {
		t := table{header: []string{"NOT COMPARED"}}
		for _, text := range v.NotCompared {
			t.rows = append(t.rows, []string{text})
		}
		tables = append(tables, t)
	}
	return p.one(v, v.Cluster, tables...)
}

func (v *verification) replicaTable() table {
	t := table{header: []string{"GROUP", "NODE", "ENTRY", "STATE HASH", "RESULT"}}
	scanned := v.scanned()
	if scanned {
		t.header = append(t.header, "STORED RECORDS", "SCAN")
	}
	for _, g := range v.Groups {
		for i := range g.Replicas {
			r := &g.Replicas[i]
			row := []string{g.Group, fmt.Sprint(r.Node), fmt.Sprint(r.Index), orDash(r.Hash), r.Result}
			if scanned {
				row = append(row, r.Scan.cells()...)
			}
			t.rows = append(t.rows, row)
		}
	}
	return t
}

// scanned says whether any replica was.
func (v *verification) scanned() bool {
	for _, g := range v.Groups {
		if slices.ContainsFunc(g.Replicas, func(r verifiedReplica) bool { return r.Scan != nil }) {
			return true
		}
	}
	return false
}

func (s *storedScan) cells() []string {
	switch {
	case s == nil:
		return []string{"-", "-"}
	case s.sound():
		return []string{fmt.Sprint(s.Records), "sound"}
	}
	return []string{fmt.Sprint(s.Records), "differs"}
}

func (v *verification) totalTable() table {
	t := table{header: []string{"CURRENCY", "POSTED", "ON ITS WAY", "TOTAL"}}
	for _, c := range v.Totals {
		row := []string{c.Currency}
		for _, minor := range []int64{c.PostedMinor, c.OnItsWay, c.TotalMinor} {
			row = append(row, transfer.FormatMinor(minor, transfer.Currency(c.Currency)))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (v *verification) findingTable() table {
	t := table{header: []string{"FOUND", "GROUP", "NODE", "TRANSFER", "WHAT"}}
	for _, f := range v.Findings {
		t.rows = append(t.rows, []string{f.Kind, orDash(f.Group), nodeOrDash(f.Node), orDash(f.Transfer), f.Detail})
	}
	return t
}
