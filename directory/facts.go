package directory

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// Fact is one change; exactly one field is set.
type Fact struct {
	AddNode  *AddNode
	Register *Register
	Promote  raft.NodeID // a learner votes from now on
	Remove   raft.NodeID // a node leaves all its groups
	Place    *Place
	Left     *Left

	AddToken    *Token
	RevokeToken string // by name

	Raise Level // every node can read what this level brings
}

// AddNode lets a node in, as a learner of the cluster's group and of every coordinator group.
type AddNode struct {
	ID        raft.NodeID
	Addresses Addresses
}

// Register says which disk a node has and where it listens. The first disk of a node is its only one.
type Register struct {
	ID        raft.NodeID
	Disk      Disk
	Addresses Addresses
}

// Place moves a group's replicas to other nodes.
type Place struct {
	Group   string
	Members []raft.NodeID
}

// Left says that a node is not in the Raft membership of a group that it should leave.
type Left struct {
	Group string
	Node  raft.NodeID
}

// Apply executes one committed log entry. The answers are in the order of the facts: nil, or why a fact changed nothing. An error beside
// them means damaged bytes.
func (m *Machine) Apply(index uint64, data []byte) ([]error, error) {
	invariant.Holds(index > m.applied, "entry %d applied after %d", index, m.applied)
	facts, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("directory entry %d: %w", index, err)
	}
	m.applied = index
	answers := make([]error, len(facts))
	for i := range facts {
		if answers[i] = m.Check(&facts[i]); answers[i] == nil {
			m.apply(&facts[i])
			m.version++
			m.dirty = true
		}
	}
	m.check()
	return answers, nil
}

// Check says why a fact would change nothing; nil if it would be applied now.
func (m *Machine) Check(f *Fact) error {
	switch {
	case f.AddNode != nil:
		return m.checkAdd(f.AddNode)
	case f.Register != nil:
		return m.checkRegister(f.Register)
	case f.Promote != 0:
		return m.checkPromote(f.Promote)
	case f.Remove != 0:
		return m.checkRemove(f.Remove)
	case f.Place != nil:
		return m.checkPlace(f.Place)
	case f.AddToken != nil:
		return m.checkToken(f.AddToken)
	case f.Raise != 0:
		return m.checkRaise(f.Raise)
	case f.RevokeToken != "":
		return m.checkRevoke(f.RevokeToken)
	case f.Left != nil:
		return m.checkLeft(f.Left)
	default: // what somebody asks for who names node 0
		return fmt.Errorf("%w: node 0", transfer.ErrUnknownNode)
	}
}

func (m *Machine) apply(f *Fact) {
	switch {
	case f.AddNode != nil:
		m.add(f.AddNode)
	case f.Register != nil:
		n := m.Node(f.Register.ID)
		n.Disk, n.Addresses = f.Register.Disk, f.Register.Addresses
	case f.Promote != 0:
		m.Node(f.Promote).Role = Member
	case f.Remove != 0:
		m.remove(f.Remove)
	case f.Place != nil:
		m.place(m.Group(f.Place.Group), sorted(f.Place.Members))
	case f.AddToken != nil:
		m.addToken(f.AddToken)
	case f.Raise != 0:
		m.level = f.Raise
	case f.RevokeToken != "":
		m.revoke(f.RevokeToken)
	default:
		m.left(f.Left)
	}
}

// refuse is a refusal that names its reason.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", transfer.ErrMembershipRefused, fmt.Sprintf(format, args...))
}

// present finds a node that may still do something.
func (m *Machine) present(id raft.NodeID) (*Node, error) {
	switch n := m.Node(id); {
	case n == nil:
		return nil, fmt.Errorf("%w: node %d", transfer.ErrUnknownNode, id)
	case n.Role == Removed:
		return nil, refuse("node %d was removed, and its id is never used again", id)
	default:
		return n, nil
	}
}

func (m *Machine) checkAdd(f *AddNode) error {
	if f.ID == 0 {
		return refuse("node ids start at 1")
	}
	if n := m.Node(f.ID); n != nil && n.Role == Removed {
		return refuse("node %d was removed, and its id is never used again: choose another", f.ID)
	} else if n != nil && n.Disk == (Disk{}) && n.Addresses != f.Addresses {
		return refuse("node %d is in the cluster already, as a %s that was never heard, at other addresses: if those are wrong, remove it, and add the machine under a new id", f.ID, n.Role)
	} else if n != nil {
		return refuse("node %d is in the cluster already, as a %s", f.ID, n.Role)
	}
	present := 0
	for i := range m.nodes {
		n := &m.nodes[i]
		if n.Role == Removed {
			continue
		}
		present++
		for _, address := range f.Addresses.all() {
			if slices.Contains(n.Addresses.all(), address) {
				return refuse("address %s is node %d's", address, n.ID)
			}
		}
	}
	if present >= NodesMax {
		return refuse("there are %d nodes, and a cluster has at most %d", present, NodesMax)
	}
	return nil
}

func (a *Addresses) all() []string {
	return slices.DeleteFunc([]string{a.Peer, a.GRPC, a.HTTP}, func(s string) bool { return s == "" })
}

func (m *Machine) add(f *AddNode) {
	m.nodes = append(m.nodes, Node{ID: f.ID, Addresses: f.Addresses, Role: Learner, Coordinator: true})
	slices.SortFunc(m.nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	for i := range m.groups {
		if g := &m.groups[i]; g.Coordinator || g.ID == Cluster {
			g.Members = sorted(append(slices.Clone(g.Members), f.ID))
		}
	}
}

func (m *Machine) checkRegister(f *Register) error {
	n, err := m.present(f.ID)
	switch {
	case err != nil:
		return err
	case f.Disk == Disk{}:
		return refuse("node %d registers no disk", f.ID)
	case n.Disk != Disk{} && n.Disk != f.Disk:
		return refuse("node %d has another disk than before: what it promised is gone with that; remove the node, and add the machine under a new id", f.ID)
	}
	return nil
}

func (m *Machine) checkPromote(id raft.NodeID) error {
	n, err := m.present(id)
	switch {
	case err != nil:
		return err
	case n.Role != Learner:
		return refuse("node %d is no learner but a %s", id, n.Role)
	case n.Disk == Disk{}:
		return refuse("node %d has never been heard: start it first; if it runs, it isn't where it was added: remove it, and add the machine under a new id", id)
	}
	return nil
}

func (m *Machine) checkRemove(id raft.NodeID) error {
	n, err := m.present(id)
	if err != nil {
		return err
	}
	if n.Role == Leaving {
		return refuse("node %d is leaving already", id)
	}
	for i := range m.groups {
		g := &m.groups[i]
		if !slices.Contains(g.Members, id) {
			continue
		}
		if !g.Coordinator && g.ID != Cluster && len(g.Members) == 1 {
			return refuse("%s lives on node %d alone, and would be gone with it: move it first", g.ID, id)
		}
		voters, _ := m.Place(g)
		if len(voters) == 1 && voters[0] == id {
			return refuse("node %d is the last voter of %s", id, g.ID)
		}
	}
	return nil
}

// remove takes a node out of all groups. The banks that it held go to another member, if there is one without them. The cluster's own group comes last, see left.
func (m *Machine) remove(id raft.NodeID) {
	heirs := m.Heirs(id)
	m.Node(id).Role = Leaving
	for i := range m.groups {
		g := &m.groups[i]
		if g.ID == Cluster || !slices.Contains(g.Members, id) {
			continue
		}
		next := slices.DeleteFunc(slices.Clone(g.Members), func(m raft.NodeID) bool { return m == id })
		if len(heirs) > 0 && heirs[0].Group == g.ID {
			next = sorted(append(next, heirs[0].Node))
			heirs = heirs[1:]
		}
		m.place(g, next)
	}
	m.leaveCluster(id)
}

// Heir is a member that takes over a bank's replica.
type Heir struct {
	Group string
	Node  raft.NodeID
}

// Heirs says who takes over the replicas of banks that a node has, in the order of the groups, if it is removed now: of each the member without one that has fewest
// groups. A bank whose members are all that there are has none.
func (m *Machine) Heirs(of raft.NodeID) (heirs []Heir) {
	takes := map[raft.NodeID]int{} // so many of these already
	for i := range m.groups {
		g := &m.groups[i]
		if g.ID == Cluster || g.Coordinator || !slices.Contains(g.Members, of) {
			continue
		}
		heir, fewest := raft.NodeID(0), 0
		for j := range m.nodes {
			n := &m.nodes[j]
			if n.Role != Member || n.ID == of || g.knows(n.ID) {
				continue
			}
			if has := m.groupsOf(n.ID) + takes[n.ID]; heir == 0 || has < fewest {
				heir, fewest = n.ID, has
			}
		}
		if heir != 0 {
			heirs = append(heirs, Heir{g.ID, heir})
			takes[heir]++
		}
	}
	return heirs
}

func (m *Machine) groupsOf(id raft.NodeID) (count int) {
	for i := range m.groups {
		if slices.Contains(m.groups[i].Members, id) {
			count++
		}
	}
	return count
}

// knows says whether a node holds a replica, or has held one.
func (g *Group) knows(id raft.NodeID) bool {
	return slices.Contains(g.Members, id) || slices.Contains(g.Leaving, id) || slices.Contains(g.Left, id)
}

func (m *Machine) checkPlace(f *Place) error {
	g := m.Group(f.Group)
	switch {
	case g == nil:
		return fmt.Errorf("%w: %s", transfer.ErrUnknownGroup, f.Group)
	case g.Coordinator || g.ID == Cluster:
		return refuse("%s lives on every coordinator node: add or remove nodes instead", g.ID)
	case len(f.Members) == 0 || len(f.Members) > ReplicasMax:
		return refuse("a bank has 1 to %d replicas, not %d", ReplicasMax, len(f.Members))
	}
	next := sorted(f.Members)
	if len(next) != len(f.Members) {
		return refuse("a node is named twice")
	}
	if slices.Equal(next, g.Members) {
		return refuse("%s lives there already", g.ID)
	}
	for _, id := range next {
		n, err := m.present(id)
		switch {
		case err != nil:
			return err
		case n.Role != Member:
			return refuse("node %d is no member but a %s: promote it first", id, n.Role)
		case slices.Contains(g.Leaving, id) || slices.Contains(g.Left, id):
			return refuse("node %d has left %s before, and never takes part in it again: choose another, or add the machine under a new id", id, g.ID)
		}
	}
	return nil
}

func (m *Machine) place(g *Group, next []raft.NodeID) {
	for _, id := range g.Members {
		if !slices.Contains(next, id) {
			g.Leaving = sorted(append(slices.Clone(g.Leaving), id))
		}
	}
	g.Members = next
}

func (m *Machine) checkLeft(f *Left) error {
	if g := m.Group(f.Group); g == nil || !slices.Contains(g.Leaving, f.Node) {
		return refuse("node %d is not about to leave %s", f.Node, f.Group)
	}
	return nil
}

func (m *Machine) left(f *Left) {
	g := m.Group(f.Group)
	g.Leaving = slices.DeleteFunc(slices.Clone(g.Leaving), func(id raft.NodeID) bool { return id == f.Node })
	g.Left = sorted(append(slices.Clone(g.Left), f.Node))
	m.leaveCluster(f.Node)
}

// leaveCluster takes a node that leaves out of the cluster's group as soon as it is out of all others, and then for good.
func (m *Machine) leaveCluster(id raft.NodeID) {
	n := m.Node(id)
	if n.Role != Leaving {
		return
	}
	for i := range m.groups {
		if g := &m.groups[i]; slices.Contains(g.Leaving, id) {
			return
		}
	}
	if g := m.Group(Cluster); slices.Contains(g.Members, id) {
		m.place(g, slices.DeleteFunc(slices.Clone(g.Members), func(m raft.NodeID) bool { return m == id }))
		return
	}
	n.Role = Removed
}

// sorted is a sorted copy without repetitions.
func sorted(ids []raft.NodeID) []raft.NodeID {
	out := slices.Clone(ids)
	slices.Sort(out)
	return slices.Compact(out)
}

// check holds the invariants.
func (m *Machine) check() {
	fault := m.fault()
	invariant.Holds(fault == "", "%s", fault)
}

// fault says which invariant doesn't hold; empty: all do. Stored bytes may say anything.
func (m *Machine) fault() string {
	switch {
	case !ascending(m.nodes, func(n *Node) raft.NodeID { return n.ID }):
		return "the nodes aren't sorted"
	case !ascending(m.groups, func(g *Group) string { return g.ID }):
		return "the groups aren't sorted"
	case !ascending(m.tokens, func(t *Token) string { return t.Name }):
		return "the tokens aren't sorted"
	case m.Group(Cluster) == nil:
		return "there is no group " + Cluster
	}
	for i := range m.groups {
		if fault := m.faultOf(&m.groups[i]); fault != "" {
			return fmt.Sprintf("group %s %s", m.groups[i].ID, fault)
		}
	}
	return ""
}

func (m *Machine) faultOf(g *Group) string {
	if len(g.Members) == 0 {
		return "lives nowhere"
	}
	all := slices.Concat(g.Members, g.Leaving, g.Left)
	if len(sorted(all)) != len(all) {
		return fmt.Sprintf("has members %v, leaving %v, left %v", g.Members, g.Leaving, g.Left)
	}
	for _, list := range [][]raft.NodeID{g.Members, g.Leaving, g.Left} {
		if !slices.IsSorted(list) {
			return fmt.Sprintf("lists nodes as %v", list)
		}
	}
	for _, id := range all {
		n := m.Node(id)
		if n == nil || n.Role == Removed && slices.Contains(g.Members, id) {
			return fmt.Sprintf("names node %d, which isn't there", id)
		}
	}
	return ""
}

func ascending[T any, K cmp.Ordered](list []T, key func(*T) K) bool {
	for i := 1; i < len(list); i++ {
		if key(&list[i-1]) >= key(&list[i]) {
			return false
		}
	}
	return true
}
