package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// statusTimeout is how long a status waits if nobody says otherwise: a node that runs answers from what it knows.
const statusTimeout = 2 * time.Second

func newStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is",
		Long: `Show how the cluster is, as each of the nodes named by --server sees it: who leads what, what is in doubt, what was
decided, which banks are up, and how long the disk takes. A node counts what it decided itself since it
started. With -o json one node is one object of the HTTP API; several are a list of them. The exit code is 0 as soon as one node
answers; standard error names those that don't.`,
		Example: `  quorate status
  quorate status --server 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 -o json`,
		Args: cobra.NoArgs,
		RunE: runStatus,
	}
}

// view is what one node said, or why it said nothing.
type view struct {
	server string
	status client.Status
	err    error
}

func runStatus(cmd *cobra.Command, _ []string) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	servers, err := serversOf(cmd)
	if err != nil {
		return err
	}
	views, err := askAll(cmd, servers)
	if err != nil {
		return err
	}
	answered := slices.DeleteFunc(slices.Clone(views), func(v view) bool { return v.err != nil })
	if len(answered) == 0 {
		return views[0].err
	}
	for _, v := range views {
		if v.err != nil {
			why := strings.TrimPrefix(v.err.Error(), client.ErrUnreachable.Error()+": ") // others of the cluster do answer
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s doesn't answer: %s\n", v.server, printable(withoutNoise(why)))
		}
	}
	return printViews(p, views, answered)
}

// askAll asks every server by itself, all at the same time.
func askAll(cmd *cobra.Command, servers []string) ([]view, error) {
	views, callers := make([]view, len(servers)), make([]*caller, len(servers))
	for i, server := range servers {
		c, err := dialTo(cmd, []string{server}, statusTimeout)
		if err != nil {
			return nil, err // nobody was asked yet
		}
		views[i].server, callers[i] = server, c
	}
	var asking sync.WaitGroup
	for i := range views {
		asking.Go(func() {
			c := callers[i]
			views[i].status, views[i].err = c.Status(c.ctx)
			c.hangUp()
		})
	}
	asking.Wait()
	return views, nil
}

func printViews(p *printer, all, answered []view) error {
	var objects []statusJSON
	for _, v := range answered {
		objects = append(objects, statusToJSON(&v.status))
	}
	id := func(s statusJSON) string { return fmt.Sprint(s.Node) }
	tables := []table{nodeTable(all), groupTable(answered), bankTable(answered)}
	switch {
	case p.format == "table" && !p.quiet:
		if err := p.line(headline(answered)); err != nil {
			return err
		}
		if err := p.line(""); err != nil {
			return err
		}
		return p.one(nil, "", tables...)
	case len(all) == 1 && p.format == "json":
		return p.one(objects[0], id(objects[0]))
	}
	return printList(p, objects, id, table{})
}

// headline is the cluster in one line, from all that is known.
func headline(answered []view) string {
	inDoubt, down := 0, 0
	for _, v := range answered {
		inDoubt += v.status.InDoubt
	}
	banks := mergedBanks(answered)
	for _, b := range banks {
		if !b.Up {
			down++
		}
	}
	text := fmt.Sprintf("cluster %s: %d in doubt, %d banks up, %d down", answered[0].status.Cluster, inDoubt, len(banks)-down, down)
	var leaderless []string
	for _, g := range mergedGroups(answered) {
		if g.Leader == 0 {
			leaderless = append(leaderless, g.Group)
		}
	}
	if len(leaderless) > 0 {
		text += ", no leader: " + someOf(leaderless)
	}
	return text
}

func nodeTable(all []view) table {
	t := table{header: []string{"NODE", "SERVER", "LEADS", "IN FLIGHT", "IN DOUBT", "COMMITTED", "ABORTED", "SYNC P99", "DISK", "UP SINCE", "VERSION"}}
	for _, v := range all {
		s := &v.status
		if v.err != nil {
			t.rows = append(t.rows, []string{"-", v.server, "no answer", "-", "-", "-", "-", "-", "-", "-", "-"})
			continue
		}
		leads := 0
		for _, g := range s.Groups {
			if g.Leader == s.Node {
				leads++
			}
		}
		t.rows = append(t.rows, []string{
			fmt.Sprint(s.Node), v.server, fmt.Sprintf("%d of %d", leads, len(s.Groups)), fmt.Sprint(s.InFlight), fmt.Sprint(s.InDoubt),
			fmt.Sprint(s.Committed), fmt.Sprint(s.Aborted), s.LastSyncP99.Round(10 * time.Microsecond).String(), diskText(s), timeText(s.Started), s.Version,
		})
	}
	return t
}

// diskText says whether the disk has room.
func diskText(s *client.Status) string {
	if s.DiskFull {
		return "full"
	}
	return "ok"
}

func groupTable(answered []view) table {
	t := table{header: []string{"GROUP", "LEADER", "TERM", "COMMIT", "MEMBERS"}}
	for _, g := range mergedGroups(answered) {
		t.rows = append(t.rows, []string{g.Group, nodeOrDash(g.Leader), fmt.Sprint(g.Term), fmt.Sprint(g.Commit), joinNumbers(g.Members)})
	}
	return t
}

func bankTable(answered []view) table { return tableOfBanks(mergedBanks(answered)) }

func tableOfBanks(banks []client.BankStatus) table {
	t := table{header: []string{"BANK", "STATE", "BREAKER", "LEADER", "NODES"}}
	for _, b := range banks {
		state := "down"
		if b.Up {
			state = "up"
		}
		t.rows = append(t.rows, []string{string(b.ID), state, orDash(b.Breaker), nodeOrDash(b.Leader), joinNumbers(b.Nodes)})
	}
	return t
}

// mergedGroups has each group once, as the node sees it that has heard of the latest term.
func mergedGroups(answered []view) []client.GroupStatus {
	var groups []client.GroupStatus
	for _, v := range answered {
		for _, g := range v.status.Groups {
			i := slices.IndexFunc(groups, func(known client.GroupStatus) bool { return known.Group == g.Group })
			switch {
			case i < 0:
				groups = append(groups, g)
			case g.Term > groups[i].Term, g.Term == groups[i].Term && groups[i].Leader == 0:
				groups[i] = g
			case g.Term == groups[i].Term:
				groups[i].Commit = max(groups[i].Commit, g.Commit)
			}
		}
	}
	slices.SortFunc(groups, func(a, b client.GroupStatus) int { return strings.Compare(a.Group, b.Group) })
	return groups
}

// mergedBanks has each bank once. It is down, and its breaker open, if one of the nodes says so: that one coordinates transfers and gets no answer.
func mergedBanks(answered []view) []client.BankStatus {
	byID := map[transfer.BankID]client.BankStatus{}
	var order []transfer.BankID
	for _, v := range answered {
		for _, b := range v.status.Banks {
			known, met := byID[b.ID]
			if !met {
				order = append(order, b.ID)
				byID[b.ID] = b
				continue
			}
			known.Up = known.Up && b.Up
			if b.Breaker == "open" || (b.Breaker == "half_open" && known.Breaker != "open") {
				known.Breaker = b.Breaker
			}
			if slices.Contains(b.Nodes, v.status.Node) && b.Leader != 0 {
				known.Leader = b.Leader // a node without a replica only guesses
			}
			byID[b.ID] = known
		}
	}
	var banks []client.BankStatus
	for _, id := range order {
		banks = append(banks, byID[id])
	}
	return banks
}

func nodeOrDash(id uint64) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprint(id)
}

// joinNumbers writes ids as people read them: "1, 2, 3".
func joinNumbers(ids []uint64) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprint(id)
	}
	return strings.Join(words, ", ")
}
