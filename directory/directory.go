package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
)

// Cluster names the group whose machine the directory is. Every node has a replica of it.
const Cluster = "cluster"

// Bounds of a cluster for now.
const (
	NodesMax    = 7 // that aren't removed
	ReplicasMax = 5 // of a bank
)

// Role is how far a node's life in the cluster has come.
type Role uint8

// The roles, in the order of life.
const (
	Learner Role = iota + 1 // gets the logs of its groups and counts in none
	Member                  // votes
	Leaving                 // is being taken out of its groups
	Removed                 // is out of all of them, for ever
)

func (r Role) String() string {
	names := [...]string{"", "learner", "member", "leaving", "removed"}
	if int(r) >= len(names) {
		return fmt.Sprintf("role %d", uint8(r))
	}
	return names[r]
}

// Disk names a data directory: a number that was drawn when it was created. Zero: not known yet.
type Disk [16]byte

// Addresses are where a node listens, as host:port.
type Addresses struct{ Peer, GRPC, HTTP string }

// Node is one node of the cluster.
type Node struct {
	ID          raft.NodeID
	Addresses   Addresses // empty: not known yet
	Disk        Disk
	Role        Role
	Coordinator bool // holds a replica of every coordinator group, and votes in the cluster's
}

// Group is one Raft group and where its replicas should be. Lists are sorted.
type Group struct {
	ID          string
	Coordinator bool          // is a coordinator shard
	Founding    []raft.NodeID // voted first, and
	Audience    []raft.NodeID // learned first: what an empty replica starts from, before it hears of any change
	Members     []raft.NodeID // should hold a replica
	Leaving     []raft.NodeID // should no longer, and may still be in the group's Raft membership
	Left        []raft.NodeID // are out of it for ever
}

// Founding is what a cluster begins with.
type Founding struct {
	Nodes        []raft.NodeID
	Coordinators []raft.NodeID // of Nodes
	Groups       []Group       // ID, Coordinator and Members; the rest follows
}

// Reader shows the state as of the last durable Checkpoint.
type Reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
}

// Machine is the replicated state of the cluster's group.
type Machine struct {
	nodes   []Node  // by id
	groups  []Group // by id
	tokens  []Token // by name; never changed in place
	applied uint64
	version uint64 // counts the changes since New
	dirty   bool   // changed since the last Checkpoint
}

// New makes the directory of a new cluster, or the one that the reader (nil: there is none) remembers.
func New(f Founding, reader Reader) (*Machine, error) {
	m := &Machine{}
	if reader != nil {
		if found, err := m.load(reader); found || err != nil {
			return m, err
		}
	}
	for _, id := range f.Nodes {
		m.nodes = append(m.nodes, Node{ID: id, Role: Member, Coordinator: slices.Contains(f.Coordinators, id)})
	}
	slices.SortFunc(m.nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	audience := slices.DeleteFunc(sorted(f.Nodes), func(id raft.NodeID) bool { return slices.Contains(f.Coordinators, id) })
	m.groups = append(m.groups, Group{ID: Cluster, Founding: sorted(f.Coordinators), Audience: audience, Members: sorted(f.Nodes)})
	for _, g := range f.Groups {
		m.groups = append(m.groups, Group{ID: g.ID, Coordinator: g.Coordinator, Founding: sorted(g.Members), Members: sorted(g.Members)})
	}
	slices.SortFunc(m.groups, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	return m, nil
}

// Version changes whenever anything else does.
func (m *Machine) Version() uint64 { return m.version }

// Nodes lists every node there ever was, by id. It is shared and must not be changed.
func (m *Machine) Nodes() []Node { return m.nodes }

// Groups lists the groups, by id. It is shared and must not be changed.
func (m *Machine) Groups() []Group { return m.groups }

// Node finds a node; nil if there never was one of that id.
func (m *Machine) Node(id raft.NodeID) *Node {
	for i := range m.nodes {
		if m.nodes[i].ID == id {
			return &m.nodes[i]
		}
	}
	return nil
}

// Group finds a group; nil if there is none.
func (m *Machine) Group(id string) *Group {
	for i := range m.groups {
		if m.groups[i].ID == id {
			return &m.groups[i]
		}
	}
	return nil
}

// Place says who should vote in a group and who should only learn.
func (m *Machine) Place(g *Group) (voters, learners []raft.NodeID) {
	for _, id := range g.Members {
		if m.votes(g, m.Node(id)) {
			voters = append(voters, id)
		} else {
			learners = append(learners, id)
		}
	}
	return voters, learners
}

// votes: in the cluster's own group only coordinators vote, and who leaves does so until it has left all others: it would not hear that it has.
func (m *Machine) votes(g *Group, n *Node) bool {
	if g.ID == Cluster {
		return n.Coordinator && n.Role != Learner
	}
	return n.Role == Member
}
