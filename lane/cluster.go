package lane

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// clusterHost is this node's replica of the cluster's group: the directory, and while this node leads it, who waits for
// which change and what the leaders of the other groups have told.
type clusterHost struct {
	lane     *Lane
	group    *group
	reader   directory.Reader
	machine  *directory.Machine
	facts    []directory.Fact // wait for the next entry
	waiters  []waiter         // of facts, one each; zero: nobody waits
	proposed []factBatch
	lags     map[lagOf]lag
}

// factBatch remembers who waits for an entry.
type factBatch struct {
	entry   raft.EntryID
	waiters []waiter
}

// lagOf is a node's replica of a group.
type lagOf struct {
	group GroupID
	node  raft.NodeID
}

// lag is how far it was behind its leader.
type lag struct {
	entries uint64
	at      time.Time
}

func (l *Lane) newCluster(g *group, reader Reader) (machineHost, error) {
	l.cluster = &clusterHost{lane: l, group: g, reader: reader}
	return l.cluster, l.cluster.Reload()
}

// Reload begins with the directory that the reader shows.
func (c *clusterHost) Reload() (err error) {
	c.machine, err = directory.New(c.lane.cfg.Directory.founding(), c.reader)
	return err
}

// directoryVersion stands for a state of the directory, as long as this lane lives.
type directoryVersion struct {
	machine *directory.Machine // another one after Reload
	changes uint64
}

func (c *clusterHost) version() directoryVersion {
	return directoryVersion{c.machine, c.machine.Version()}
}

// Apply executes one entry of facts and answers who waits for them.
func (c *clusterHost) Apply(e raft.Entry) error {
	answers, err := c.machine.Apply(uint64(e.Index), e.Data)
	if err != nil {
		return err
	}
	for len(c.proposed) > 0 && c.proposed[0].entry.Index <= e.Index {
		waiting := c.proposed[0]
		c.proposed = c.proposed[1:]
		if waiting.entry != e.ID() {
			c.lose(waiting.waiters)
			continue
		}
		invariant.Holds(len(waiting.waiters) == len(answers), "%d answers for %d facts", len(answers), len(waiting.waiters))
		for i, w := range waiting.waiters {
			c.lane.answer(w, Answer{Err: answers[i]})
		}
	}
	return nil
}

// Hash stands for the directory.
func (c *clusterHost) Hash() uint64 { return c.machine.Hash() }

// Checkpoint returns what has changed.
func (c *clusterHost) Checkpoint() []replica.KV { return c.machine.Checkpoint() }

// Sealed: Checkpoint has returned everything.
func (c *clusterHost) Sealed(int) []replica.KV { return nil }

// Checkpointed needs nothing: all of the directory stays in memory.
func (c *clusterHost) Checkpointed() {}

func (c *clusterHost) lead() { c.lags = map[lagOf]lag{} }

func (c *clusterHost) depose() {
	for _, waiting := range c.proposed {
		c.lose(waiting.waiters)
	}
	c.lose(c.waiters)
	c.facts, c.waiters, c.proposed, c.lags = nil, nil, nil, nil
}

func (c *clusterHost) lose(waiters []waiter) {
	for _, w := range waiters {
		if w != (waiter{}) {
			c.lane.lost(w, c.group.id)
		}
	}
}

func (c *clusterHost) tick() { c.raise() }

// idle is never: the beats of this one group tell its leader which nodes are alive.
func (c *clusterHost) idle() bool { return false }

func (c *clusterHost) isDue() bool { return false }

func (c *clusterHost) afterApply() {}

func (c *clusterHost) nothing() []byte { return directory.Encode(nil) }

func (c *clusterHost) propose() {
	if len(c.facts) == 0 || !c.group.replica.CanPropose() {
		return
	}
	n := min(len(c.facts), c.lane.limits.EntryFactsMax)
	entry, err := c.group.replica.Propose(directory.Encode(c.facts[:n]))
	if err != nil {
		return // the bound on uncommitted bytes, or leadership is going: keep them for the next try
	}
	c.proposed = append(c.proposed, factBatch{entry: entry, waiters: c.waiters[:n:n]})
	c.facts, c.waiters = c.facts[n:], c.waiters[n:]
}

// add has a fact proposed, unless it is refused as things are.
func (c *clusterHost) add(f directory.Fact, w waiter) {
	err := c.machine.Check(&f)
	if err == nil && len(c.facts) >= c.lane.limits.AsksMax {
		err = fmt.Errorf("%w: %d changes of the cluster wait", transfer.ErrBusy, len(c.facts))
	}
	if err != nil {
		c.lane.answer(w, Answer{Err: err})
		return
	}
	c.facts, c.waiters = append(c.facts, f), append(c.waiters, w)
	c.lane.touch(c.group)
}

// serve checks what only a leader can know before it proposes.
func (c *clusterHost) serve(w waiter, ask Ask) {
	var err error
	var f directory.Fact
	switch a := ask.(type) {
	case ListMembers, ListTokens:
		c.lane.read(c.group, w, ask)
		return
	case AddToken, RevokeToken:
		c.serveToken(w, ask)
		return
	case AddMember:
		f.AddNode = &directory.AddNode{ID: a.Node, Addresses: a.Addresses}
	case PromoteMember:
		f.Promote = a.Node
		err = c.mayPromote(a.Node)
	case RemoveMember:
		f.Remove = a.Node
		err = c.mayRemove(a.Node)
	case PlaceGroup:
		f.Place = &directory.Place{Group: string(a.Group), Members: a.Members}
		err = c.mayPlace(a)
	default:
		err = fmt.Errorf("%w: the cluster's group doesn't answer %T", transfer.ErrInvalidRequest, ask)
	}
	if broken := c.machine.Check(&f); broken != nil && !errors.Is(err, transfer.ErrInvalidRequest) {
		err = broken // the plainer reason
	}
	if err != nil {
		c.lane.answer(w, Answer{Err: err})
		return
	}
	c.add(f, w)
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", transfer.ErrMembershipRefused, fmt.Sprintf(format, args...))
}

// mayPromote wants a learner to have caught up in every group that it will vote in.
func (c *clusterHost) mayPromote(node raft.NodeID) error {
	for i := range c.machine.Groups() {
		g := &c.machine.Groups()[i]
		if !slices.Contains(g.Members, node) {
			continue
		}
		behind, known := c.lagOf(GroupID(g.ID), node)
		switch {
		case !known:
			return refuse("node %d has not begun to follow %s yet: start it, or give it a moment", node, g.ID)
		case behind > c.lane.limits.CaughtUpEntries:
			return refuse("node %d is %d entries behind in %s: let it catch up first", node, behind, g.ID)
		}
	}
	return nil
}

// lagOf says how far a replica was behind a moment ago.
func (c *clusterHost) lagOf(id GroupID, node raft.NodeID) (entries uint64, known bool) {
	l, told := c.lags[lagOf{id, node}]
	return l.entries, told && c.lane.now.Sub(l.at) < reportsCount*c.lane.limits.ReportEvery && c.lane.alive(node)
}

// mayRemove wants every group that the node leaves to have a majority that answers, before and after, and whoever takes its replica of a bank to answer.
func (c *clusterHost) mayRemove(node raft.NodeID) error {
	for i := range c.machine.Groups() {
		g := &c.machine.Groups()[i]
		if !slices.Contains(g.Members, node) {
			continue
		}
		voters, _ := c.machine.Place(g)
		stay := slices.DeleteFunc(slices.Clone(voters), func(id raft.NodeID) bool { return id == node })
		if silent := c.noMajority(stay); silent != nil {
			return wouldStandStill(g.ID, stay, silent)
		}
		if err := c.mayMove(g, voters); err != nil {
			return err
		}
	}
	for _, h := range c.machine.Heirs(node) {
		if !c.lane.alive(h.Node) {
			return refuse("node %d doesn't answer, and %s would go there: place that first, or remove node %d", h.Node, h.Group, h.Node)
		}
	}
	return nil
}

// mayPlace wants the newcomers to answer, and a majority of those who are to hold the group, and of those who hold it now.
func (c *clusterHost) mayPlace(a PlaceGroup) error {
	g := c.machine.Group(string(a.Group))
	if g == nil {
		return nil // Check says so
	}
	for _, id := range a.Members {
		if !slices.Contains(g.Members, id) && !c.lane.alive(id) {
			return refuse("node %d doesn't answer", id)
		}
	}
	if silent := c.noMajority(a.Members); silent != nil {
		return wouldStandStill(g.ID, a.Members, silent)
	}
	return c.mayMove(g, g.Members)
}

// mayMove refuses to change a group of which too few answer to agree on that. Until a move has ended, those who leave may be all who vote: then another place must be
// possible although nobody answers where it was going.
func (c *clusterHost) mayMove(g *directory.Group, voters []raft.NodeID) error {
	silent := c.noMajority(voters)
	if silent == nil || len(g.Leaving) > 0 && c.noMajority(g.Leaving) == nil {
		return nil
	}
	return refuse("%s lives on nodes %v, of which %v don't answer: it has no majority to agree on a change", g.ID, voters, silent)
}

func wouldStandStill(group string, voters, silent []raft.NodeID) error {
	return refuse("%s would live on nodes %v, of which %v don't answer: it would have no majority", group, voters, silent)
}

// noMajority returns those who don't answer, if they are too many.
func (c *clusterHost) noMajority(voters []raft.NodeID) (silent []raft.NodeID) {
	for _, v := range voters {
		if !c.lane.alive(v) {
			silent = append(silent, v)
		}
	}
	if 2*len(silent) < len(voters) {
		return nil
	}
	return silent
}

// answerRead lists the nodes, or the tokens.
func (c *clusterHost) answerRead(w waiter, ask Ask) {
	if _, tokens := ask.(ListTokens); tokens {
		c.lane.answer(w, Answer{Tokens: c.machine.Tokens()})
		return
	}
	_, ok := ask.(ListMembers)
	invariant.Holds(ok, "the cluster's group reads members only, not %T", ask)
	var answer Answer
	for _, n := range c.machine.Nodes() {
		m := MemberStatus{Node: n, Alive: c.lane.alive(n.ID)}
		for _, g := range c.machine.Groups() {
			if slices.Contains(g.Members, n.ID) || slices.Contains(g.Leaving, n.ID) {
				m.Groups = append(m.Groups, GroupID(g.ID))
			}
			if behind, known := c.lagOf(GroupID(g.ID), n.ID); known {
				m.Behind = max(m.Behind, behind)
			}
		}
		answer.Members = append(answer.Members, m)
	}
	c.lane.answer(w, answer)
}

// receiveRegister takes what a node says about itself.
func (l *Lane) receiveRegister(from raft.NodeID, m Register) {
	if l.cluster.group.leading {
		l.cluster.add(directory.Fact{Register: &directory.Register{ID: from, Disk: m.Disk, Addresses: m.Addresses}}, waiter{})
	}
}

// receiveGroupReport takes what the leader of a group says about members on their way in or out, or what a node says of itself.
func (l *Lane) receiveGroupReport(from raft.NodeID, m GroupReport) {
	if m.Level > 0 {
		l.told[from] = told{m.Level, m.LowSpace, l.now}
		if m.LowSpace {
			l.lowElsewhere = l.now.Add(reportsCount * l.limits.ReportEvery)
		}
	}
	c := l.cluster
	if !c.group.leading {
		return
	}
	for _, b := range m.Behind {
		c.lags[lagOf{m.Group, b.Node}] = lag{b.Entries, l.now}
	}
	for _, node := range m.Absent {
		c.add(directory.Fact{Left: &directory.Left{Group: string(m.Group), Node: node}}, waiter{})
	}
}

// register tells the cluster's leader about this node, until the directory has it.
func (l *Lane) register() {
	self := l.cluster.machine.Node(l.node)
	if l.cfg.Disk == (directory.Disk{}) || self == nil || (self.Disk == l.cfg.Disk && self.Addresses == l.cfg.Addresses) {
		return
	}
	if leader := l.leaderOf(ClusterGroup); leader != 0 {
		l.send(leader, Register{Disk: l.cfg.Disk, Addresses: l.cfg.Addresses})
	}
}

// alive says whether a node was heard within an election timeout.
func (l *Lane) alive(node raft.NodeID) bool {
	heard, ever := l.heard[node]
	return node == l.node || ever && l.now.Sub(heard) < time.Duration(l.limits.ElectionTicks)*l.limits.TickInterval
}
