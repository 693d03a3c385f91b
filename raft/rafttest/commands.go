package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// Handle plays the commands of one step, one a line, and returns what happened.
func (e *Env) Handle(d *datadriven.TestData) string {
	e.out.Reset()
	first := d.Cmd
	for _, a := range d.CmdArgs {
		first += " " + a.String()
	}
	for _, line := range append([]string{first}, strings.Split(d.Input, "\n")...) {
		if line = strings.TrimSpace(line); line != "" {
			e.play(line)
		}
	}
	if e.out.Len() == 0 {
		return "(nothing to see)\n"
	}
	return e.out.String()
}

func (e *Env) play(line string) {
	c, err := parse(line)
	if err == nil {
		err = e.do(c)
	}
	if err != nil {
		e.say("%s: %v", c.verb, err)
	}
	for _, n := range e.nodes {
		if n.core != nil {
			e.noteRole(n)
		}
	}
	e.judge.look(e)
}

// do is the list of commands.
func (e *Env) do(c command) error {
	switch c.verb {
	case "group":
		return e.group(c)
	case "settle":
		e.settle()
		return nil
	case "live":
		return e.live(c)
	case "hush", "speak":
		e.hushed = c.verb == "hush"
		return nil
	case "heal":
		e.cuts = nil
		return nil
	case "net":
		for i := range e.net {
			e.say("%s", printMessage(&e.net[i], "⇢"))
		}
		return nil
	case "cut", "hold", "release", "lose", "repeat", "reverse", "deliver", "step":
		return e.network(c)
	case "status", "tick":
		return e.each(c)
	}
	n := e.node(c.node())
	if n == nil {
		return fmt.Errorf("no such command or node")
	}
	if n.core == nil && !slices.Contains([]string{"start", "log", "disk", "machine"}, c.verb) {
		return fmt.Errorf("n%d is down", n.id)
	}
	return e.act(n, c)
}

// live lets time pass for all. Heartbeats are not printed: they are what nothing happening looks like.
func (e *Env) live(c command) error {
	e.living = true
	defer func() { e.living = false }()
	for range max(1, c.count(0)) {
		if err := e.each(command{verb: "tick"}); err != nil {
			return err
		}
		e.settle()
	}
	return nil
}

// each does what may be asked of all nodes at once.
func (e *Env) each(c command) error {
	for _, n := range e.nodes {
		if c.arg(0) != "" && c.arg(0) != "all" && c.node() != n.id {
			continue
		}
		switch {
		case c.verb == "status":
			e.printStatus(n)
		case n.core != nil:
			for range max(1, c.count(1)) {
				n.core.Tick()
				e.noteRole(n)
			}
		}
	}
	return nil
}

// act does one node's part.
func (e *Env) act(n *node, c command) error {
	switch c.verb {
	case "log":
		return e.setLog(n, c)
	case "start":
		return e.start(n)
	case "crash":
		n.crash(c.int("keep"))
		return nil
	case "campaign":
		return e.campaign(n)
	case "ready":
		e.ready(n)
		return nil
	case "disk":
		n.slowDisk = c.arg(1) == "slow"
		return nil
	case "machine":
		n.slowMachine = c.arg(1) == "slow"
		return nil
	case "sync":
		e.sync(n, c.countOr(1, len(n.writes)))
		return nil
	case "apply":
		e.apply(n, c.countOr(1, len(n.committed)))
		return nil
	case "propose":
		id, err := n.core.Propose(raft.Term(c.int("term")), []byte(c.arg(1)))
		if err == nil {
			e.say("n%d proposes %s %s", n.id, printID(id), shorten(c.arg(1)))
		}
		return err
	case "read":
		return n.core.ReadIndex(uint64(number(strings.TrimPrefix(c.arg(1), "r"))))
	case "transfer":
		return n.core.TransferLeadership(raft.NodeID(c.int("to")))
	case "change":
		return e.change(n, c)
	case "checkpoint":
		n.checkpoint()
		return nil
	case "compact":
		return n.compact(raft.Index(c.int("to")))
	case "refuse-snapshot":
		n.noSnapshot = true
		return nil
	case "unreachable":
		n.core.ReportUnreachable(raft.NodeID(c.int("peer")))
		return nil
	case "progress":
		e.printProgress(n)
		return nil
	case "entries":
		e.say("n%d's disk has %s", n.id, printEntries(n.disk.Entries))
		return nil
	default:
		return fmt.Errorf("no such command")
	}
}

func shorten(s string) string {
	if len(s) > 20 {
		return fmt.Sprintf("%s… (%d bytes)", s[:8], len(s))
	}
	return s
}

func (e *Env) group(c command) error {
	e.base = raft.Config{
		ElectionTicks: c.int("election"), HeartbeatTicks: c.int("heartbeat"), LeaseTicks: c.int("lease"), DiskStallTicks: c.int("stall"),
		MaxAppendBytes: uint64(c.int("append")), MaxInflightMessages: c.int("inflight"), MaxInflightBytes: uint64(c.int("inflight-bytes")),
		MaxUncommittedBytes: uint64(c.int("uncommitted")),
	}
	e.voters, e.nodes, e.net, e.cuts, e.holds, e.judge = nil, nil, nil, nil, nil, newJudge()
	if n := c.int("chunk"); n > 0 {
		e.chunk = n
	}
	for _, w := range c.words {
		e.voters = append(e.voters, raft.NodeID(number(w)))
	}
	all := slices.Clone(e.voters)
	for _, w := range c.list("spare") {
		all = append(all, raft.NodeID(number(w)))
	}
	for _, id := range all {
		n := &node{id: id}
		e.nodes = append(e.nodes, n)
		if err := e.start(n); err != nil {
			return err
		}
	}
	return nil
}

// setLog writes a past onto a node's disk and starts it from there.
func (e *Env) setLog(n *node, c command) error {
	d := raft.State{Compacted: parseID(c.value("compacted"))}
	for _, w := range c.list("terms") {
		index := d.Compacted.Index + raft.Index(len(d.Entries)) + 1
		d.Entries = append(d.Entries, raft.Entry{Index: index, Term: raft.Term(number(w)), Data: []byte{byte('a' + (index-1)%26)}})
		d.HardState.Term = raft.Term(number(w))
	}
	d.Applied = d.Compacted.Index
	d.HardState.Term = max(d.HardState.Term, raft.Term(c.int("term")))
	d.HardState.Vote = raft.NodeID(c.int("vote"))
	d.HardState.Commit = raft.Index(c.int("commit"))
	d.HardState.Accepted = raft.Term(c.int("accepted"))
	n.disk, n.saved = d, machine{applied: d.Compacted}
	return e.start(n)
}

// campaign lets time pass until the node asks for votes.
func (e *Env) campaign(n *node) error {
	before := n.core.Status()
	for range 4 * max(10, e.base.ElectionTicks) {
		n.core.Tick()
		if r := n.core.Role(); r == raft.PreCandidate || r == raft.Candidate {
			e.noteRole(n)
			return nil
		}
	}
	return fmt.Errorf("n%d@%d doesn't campaign", n.id, before.Term)
}

func (e *Env) change(n *node, c command) error {
	var changes []membership.Change
	for _, verb := range []struct {
		name string
		kind membership.ChangeKind
	}{{"add", membership.AddVoter}, {"learn", membership.AddLearner}, {"remove", membership.Remove}} {
		for _, w := range c.list(verb.name) {
			changes = append(changes, membership.Change{Kind: verb.kind, Node: raft.NodeID(number(w))})
		}
	}
	id, err := n.core.ProposeMembership(changes...)
	if err == nil {
		e.say("n%d proposes %s %s", n.id, printID(id), printChanges(membership.EncodeChanges(changes)))
	}
	return err
}
