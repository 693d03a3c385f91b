package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/raft"
)

// formatVersion is written into every entry and into the state. A reader refuses a newer one.
const formatVersion = 3

// Version 2 knows tokens, and version 3 levels above the first. What has none is written as version 1, and so is read by a program that
// doesn't know them.
const (
	formatPlain  = 1
	formatTokens = 2
)

func versionWith(tokens, levels bool) uint32 {
	switch {
	case levels:
		return formatVersion
	case tokens:
		return formatTokens
	}
	return formatPlain
}

// What can be wrong with bytes.
var (
	ErrDamaged     = errors.New("directory: damaged bytes")
	ErrNewerFormat = errors.New("directory: bytes of a newer format")
)

var deterministic = proto.MarshalOptions{Deterministic: true}

// Encode makes one log entry of facts.
func Encode(facts []Fact) []byte {
	tokens := slices.ContainsFunc(facts, func(f Fact) bool { return f.AddToken != nil || f.RevokeToken != "" })
	levels := slices.ContainsFunc(facts, func(f Fact) bool { return f.Raise != 0 })
	entry := &storev1.DirectoryEntry{Version: versionWith(tokens, levels)}
	for i := range facts {
		entry.Facts = append(entry.Facts, factToProto(&facts[i]))
	}
	return mustMarshal(entry)
}

// Decode reads one log entry.
func Decode(data []byte) ([]Fact, error) {
	entry := &storev1.DirectoryEntry{}
	if err := unmarshal(data, entry, entry.GetVersion); err != nil {
		return nil, err
	}
	facts := make([]Fact, len(entry.Facts))
	for i, f := range entry.Facts {
		var err error
		if facts[i], err = factFromProto(f); err != nil {
			return nil, fmt.Errorf("fact %d: %w", i+1, err)
		}
	}
	return facts, nil
}

func mustMarshal(m proto.Message) []byte {
	data, err := deterministic.Marshal(m)
	if err != nil {
		panic(err) // only strings that aren't UTF-8 could do that, and api lets none in
	}
	return data
}

func unmarshal(data []byte, into proto.Message, version func() uint32) error {
	if err := proto.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch v := version(); {
	case v == 0:
		return fmt.Errorf("%w: no version", ErrDamaged)
	case v > formatVersion:
		return fmt.Errorf("%w: %d, this version reads up to %d", ErrNewerFormat, v, formatVersion)
	}
	return nil
}

func factToProto(f *Fact) *storev1.DirectoryFact {
	switch {
	case f.AddNode != nil:
		a := f.AddNode.Addresses
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_AddNode{AddNode: &storev1.NodeFact{Id: uint64(f.AddNode.ID), Peer: a.Peer, Grpc: a.GRPC, Http: a.HTTP}}}
	case f.Register != nil:
		a := f.Register.Addresses
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_Register{Register: &storev1.NodeFact{Id: uint64(f.Register.ID), Disk: f.Register.Disk[:], Peer: a.Peer, Grpc: a.GRPC, Http: a.HTTP}}}
	case f.Promote != 0:
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_Promote{Promote: uint64(f.Promote)}}
	case f.Remove != 0:
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_Remove{Remove: uint64(f.Remove)}}
	case f.Place != nil:
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_Place{Place: &storev1.PlaceFact{Group: f.Place.Group, Members: raft.Numbers(f.Place.Members)}}}
	case f.AddToken != nil:
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_AddToken{AddToken: tokenToProto(f.AddToken)}}
	case f.Raise != 0:
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_Raise{Raise: uint32(f.Raise)}}
	case f.RevokeToken != "":
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_RevokeToken{RevokeToken: f.RevokeToken}}
	default:
		return &storev1.DirectoryFact{Fact: &storev1.DirectoryFact_Left{Left: &storev1.LeftFact{Group: f.Left.Group, Node: uint64(f.Left.Node)}}}
	}
}

func factFromProto(f *storev1.DirectoryFact) (Fact, error) {
	switch f := f.GetFact().(type) {
	case *storev1.DirectoryFact_AddNode:
		return Fact{AddNode: &AddNode{ID: raft.NodeID(f.AddNode.GetId()), Addresses: addressesOf(f.AddNode)}}, nil
	case *storev1.DirectoryFact_Register:
		disk, err := diskOf(f.Register.GetDisk())
		return Fact{Register: &Register{ID: raft.NodeID(f.Register.GetId()), Disk: disk, Addresses: addressesOf(f.Register)}}, err
	case *storev1.DirectoryFact_Promote:
		return Fact{Promote: raft.NodeID(f.Promote)}, notZero(f.Promote)
	case *storev1.DirectoryFact_Remove:
		return Fact{Remove: raft.NodeID(f.Remove)}, notZero(f.Remove)
	case *storev1.DirectoryFact_Place:
		return Fact{Place: &Place{Group: f.Place.GetGroup(), Members: nodeIDs(f.Place.GetMembers())}}, nil
	case *storev1.DirectoryFact_Left:
		return Fact{Left: &Left{Group: f.Left.GetGroup(), Node: raft.NodeID(f.Left.GetNode())}}, nil
	case *storev1.DirectoryFact_AddToken:
		t, err := tokenFromProto(f.AddToken)
		return Fact{AddToken: &t}, err
	case *storev1.DirectoryFact_RevokeToken:
		if f.RevokeToken == "" {
			return Fact{}, fmt.Errorf("%w: a token without a name", ErrDamaged)
		}
		return Fact{RevokeToken: f.RevokeToken}, nil
	case *storev1.DirectoryFact_Raise:
		return Fact{Raise: Level(f.Raise)}, readable(Level(f.Raise))
	}
	return Fact{}, fmt.Errorf("%w: a fact of no known kind", ErrDamaged)
}

func tokenToProto(t *Token) *storev1.Token {
	return &storev1.Token{Name: t.Name, Hash: t.Hash[:], Roles: t.Roles, Banks: t.Banks, Created: t.Created, Expires: t.Expires}
}

func tokenFromProto(p *storev1.Token) (Token, error) {
	t := Token{Name: p.GetName(), Roles: p.GetRoles(), Banks: p.GetBanks(), Created: p.GetCreated(), Expires: p.GetExpires()}
	if copy(t.Hash[:], p.GetHash()) != len(p.GetHash()) || len(p.GetHash()) != len(t.Hash) {
		return t, fmt.Errorf("%w: a token's hash of %d bytes", ErrDamaged, len(p.GetHash()))
	}
	return t, nil
}

func notZero(id uint64) error {
	if id == 0 {
		return fmt.Errorf("%w: node 0", ErrDamaged)
	}
	return nil
}

// located is a message with a node's addresses.
type located interface {
	GetPeer() string
	GetGrpc() string
	GetHttp() string
}

func addressesOf(p located) Addresses {
	return Addresses{Peer: p.GetPeer(), GRPC: p.GetGrpc(), HTTP: p.GetHttp()}
}

func diskOf(b []byte) (disk Disk, err error) {
	if copy(disk[:], b) != len(b) || len(b) != 0 && len(b) != len(disk) {
		return Disk{}, fmt.Errorf("%w: a disk of %d bytes", ErrDamaged, len(b))
	}
	return disk, nil
}

func nodeIDs(numbers []uint64) []raft.NodeID {
	var out []raft.NodeID
	for _, n := range numbers {
		out = append(out, raft.NodeID(n))
	}
	return out
}

// KV is one key of the stored state.
type KV = struct{ Key, Value []byte }

// keyState is the only key: the directory is small and changes rarely.
var keyState = []byte{'d'}

// Checkpoint returns the state, if it has changed since the last one.
func (m *Machine) Checkpoint() []KV {
	if !m.dirty {
		return nil
	}
	m.dirty = false
	return []KV{{Key: keyState, Value: m.encode()}}
}

// Hash stands for the state: replicas that have applied the same entries have the same. It is asked for after every entry, and most change nothing.
func (m *Machine) Hash() uint64 {
	if m.hashed != m.version+1 {
		m.hash, m.hashed = m.hashAnew(), m.version+1
	}
	return m.hash
}

// hashAnew is taken over a text that every version has written the same way: replicas of two versions compare their hashes.
func (m *Machine) hashAnew() uint64 {
	b := make([]byte, 0, 1<<10)
	for i := range m.nodes {
		n := &m.nodes[i]
		b = append(strconv.AppendUint(b, uint64(n.ID), 10), ' ')
		b = append(appendQuoted(b, n.Addresses.all()), ' ')
		b = append(hex.AppendEncode(b, n.Disk[:]), ' ')
		b = append(strconv.AppendUint(b, uint64(n.Role), 10), ' ')
		b = append(strconv.AppendBool(b, n.Coordinator), '\n')
	}
	for i := range m.groups {
		g := &m.groups[i]
		b = append(append(b, g.ID...), ' ')
		b = strconv.AppendBool(b, g.Coordinator)
		for _, nodes := range [][]raft.NodeID{g.Founding, g.Audience, g.Members, g.Leaving, g.Left} {
			b = appendNumbers(append(b, ' '), nodes)
		}
		b = append(b, '\n')
	}
	if m.level > LevelFirst { // others have kept the hash that they had before there were levels
		b = append(strconv.AppendUint(append(b, "level "...), uint64(m.level), 10), '\n')
	}
	for i := range m.tokens {
		t := &m.tokens[i]
		b = fmt.Appendf(b, "%q %x %q %q %d %d\n", t.Name, t.Hash, t.Roles, t.Banks, t.Created, t.Expires)
	}
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// appendQuoted writes texts as fmt's %q does.
func appendQuoted(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, t := range texts {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendQuote(b, t)
	}
	return append(b, ']')
}

// appendNumbers writes nodes as fmt's %v does.
func appendNumbers(b []byte, nodes []raft.NodeID) []byte {
	b = append(b, '[')
	for i, n := range nodes {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return append(b, ']')
}

func (m *Machine) encode() []byte {
	state := &storev1.DirectoryState{Version: versionWith(len(m.tokens) > 0, m.level > LevelFirst)}
	if m.level > LevelFirst {
		state.Level = uint32(m.level)
	}
	for i := range m.tokens {
		state.Tokens = append(state.Tokens, tokenToProto(&m.tokens[i]))
	}
	for i := range m.nodes {
		n := &m.nodes[i]
		p := &storev1.DirectoryNode{Id: uint64(n.ID), Peer: n.Addresses.Peer, Grpc: n.Addresses.GRPC, Http: n.Addresses.HTTP, Role: uint32(n.Role), Coordinator: n.Coordinator}
		if n.Disk != (Disk{}) {
			p.Disk = n.Disk[:]
		}
		state.Nodes = append(state.Nodes, p)
	}
	for i := range m.groups {
		g := &m.groups[i]
		state.Groups = append(state.Groups, &storev1.DirectoryGroup{
			Id: g.ID, Coordinator: g.Coordinator, Founding: raft.Numbers(g.Founding), Audience: raft.Numbers(g.Audience),
			Members: raft.Numbers(g.Members), Leaving: raft.Numbers(g.Leaving), Left: raft.Numbers(g.Left),
		})
	}
	return mustMarshal(state)
}

// load brings the state back.
func (m *Machine) load(reader Reader) (found bool, err error) {
	data, found, err := reader.Get(keyState)
	if err != nil || !found {
		return false, err
	}
	state := &storev1.DirectoryState{}
	if err := unmarshal(data, state, state.GetVersion); err != nil {
		return false, err
	}
	if state.Level != 0 {
		if m.level = Level(state.Level); readable(m.level) != nil {
			return false, readable(m.level)
		}
	}
	for _, p := range state.Nodes {
		n := Node{ID: raft.NodeID(p.GetId()), Addresses: addressesOf(p), Role: Role(p.GetRole()), Coordinator: p.GetCoordinator()}
		if n.Disk, err = diskOf(p.GetDisk()); err != nil {
			return false, err
		}
		if n.ID == 0 || n.Role < Learner || n.Role > Removed {
			return false, fmt.Errorf("%w: node %d in role %d", ErrDamaged, n.ID, p.GetRole())
		}
		m.nodes = append(m.nodes, n)
	}
	for _, p := range state.Groups {
		m.groups = append(m.groups, Group{
			ID: p.GetId(), Coordinator: p.GetCoordinator(), Founding: nodeIDs(p.GetFounding()), Audience: nodeIDs(p.GetAudience()),
			Members: nodeIDs(p.GetMembers()), Leaving: nodeIDs(p.GetLeaving()), Left: nodeIDs(p.GetLeft()),
		})
	}
	for _, p := range state.Tokens {
		t, err := tokenFromProto(p)
		if err != nil {
			return false, err
		}
		m.tokens = append(m.tokens, t)
	}
	if fault := m.fault(); fault != "" {
		return false, fmt.Errorf("%w: %s", ErrDamaged, fault)
	}
	return true, nil
}
