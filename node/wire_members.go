package node

import (
	"fmt"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
)

// membershipToProto puts what lanes say about the cluster's members into an envelope; nil for everything else.
func membershipToProto(message lane.Message) *peerv1.Envelope {
	switch m := message.(type) {
	case lane.Register:
		return &peerv1.Envelope{Message: &peerv1.Envelope_RegisterNode{RegisterNode: &peerv1.RegisterNode{
			Disk: m.Disk[:], Peer: m.Addresses.Peer, Grpc: m.Addresses.GRPC, Http: m.Addresses.HTTP,
		}}}
	case lane.GroupReport:
		p := &peerv1.GroupReport{Group: string(m.Group), Absent: raft.Numbers(m.Absent), Level: uint32(m.Level), LowSpace: m.LowSpace}
		for _, b := range m.Behind {
			p.Behind = append(p.Behind, &peerv1.Behind{Node: uint64(b.Node), Entries: b.Entries})
		}
		return &peerv1.Envelope{Message: &peerv1.Envelope_GroupReport{GroupReport: p}}
	case lane.WhoIsThere:
		return &peerv1.Envelope{Message: &peerv1.Envelope_WhoIsThere{WhoIsThere: &peerv1.WhoIsThere{Applied: uint64(m.Applied)}}}
	case lane.Introduction:
		p := &peerv1.Introduction{Applied: uint64(m.Applied)}
		for i := range m.Nodes {
			p.Nodes = append(p.Nodes, memberToProto(&lane.MemberStatus{Node: m.Nodes[i]}))
		}
		return &peerv1.Envelope{Message: &peerv1.Envelope_Introduction{Introduction: p}}
	}
	return nil
}

func membershipFromProto(e *peerv1.Envelope) (lane.Message, error) {
	switch m := e.GetMessage().(type) {
	case *peerv1.Envelope_RegisterNode:
		disk, err := diskOf(m.RegisterNode.GetDisk())
		return lane.Register{Disk: disk, Addresses: addressesOf(m.RegisterNode)}, err
	case *peerv1.Envelope_GroupReport:
		report := lane.GroupReport{Group: lane.GroupID(m.GroupReport.GetGroup()), Absent: nodeIDs(m.GroupReport.GetAbsent()), Level: directory.Level(m.GroupReport.GetLevel()), LowSpace: m.GroupReport.GetLowSpace()}
		for _, b := range m.GroupReport.GetBehind() {
			report.Behind = append(report.Behind, lane.Behind{Node: raft.NodeID(b.GetNode()), Entries: b.GetEntries()})
		}
		return report, nil
	case *peerv1.Envelope_WhoIsThere:
		return lane.WhoIsThere{Applied: raft.Index(m.WhoIsThere.GetApplied())}, nil
	case *peerv1.Envelope_Introduction:
		introduction := lane.Introduction{Applied: raft.Index(m.Introduction.GetApplied())}
		for _, p := range m.Introduction.GetNodes() {
			member, err := memberFromProto(p)
			if err != nil {
				return nil, err
			}
			introduction.Nodes = append(introduction.Nodes, member.Node)
		}
		return introduction, nil
	}
	return nil, fmt.Errorf("%w: of no known kind", errMalformed)
}

// askToProto puts an operator's request into a Forward; false if it is none.
func askToProto(p *peerv1.Forward, ask lane.Ask) bool {
	switch a := ask.(type) {
	case lane.ListMembers:
		p.Ask = &peerv1.Forward_ListMembers{ListMembers: &peerv1.Empty{}}
	case lane.AddMember:
		p.Ask = &peerv1.Forward_AddMember{AddMember: &peerv1.ClusterNode{Id: uint64(a.Node), Peer: a.Addresses.Peer, Grpc: a.Addresses.GRPC, Http: a.Addresses.HTTP}}
	case lane.PromoteMember:
		p.Ask = &peerv1.Forward_PromoteMember{PromoteMember: uint64(a.Node)}
	case lane.RemoveMember:
		p.Ask = &peerv1.Forward_RemoveMember{RemoveMember: uint64(a.Node)}
	case lane.PlaceGroup:
		p.Ask = &peerv1.Forward_PlaceGroup{PlaceGroup: &peerv1.Placement{Group: string(a.Group), Members: raft.Numbers(a.Members)}}
	case lane.TransferLeader:
		p.Ask = &peerv1.Forward_TransferLeader{TransferLeader: uint64(a.To)}
	case lane.ListTokens:
		p.Ask = &peerv1.Forward_ListTokens{ListTokens: &peerv1.Empty{}}
	case lane.AddToken:
		p.Ask = &peerv1.Forward_AddToken{AddToken: tokenToProto(&a.Token)}
	case lane.RevokeToken:
		p.Ask = &peerv1.Forward_RevokeToken{RevokeToken: a.Name}
	default:
		return false
	}
	return true
}

// askFromProto reads an operator's request; nil if it is none.
func askFromProto(p *peerv1.Forward) lane.Ask {
	switch a := p.GetAsk().(type) {
	case *peerv1.Forward_ListMembers:
		return lane.ListMembers{}
	case *peerv1.Forward_AddMember:
		return lane.AddMember{Node: raft.NodeID(a.AddMember.GetId()), Addresses: addressesOf(a.AddMember)}
	case *peerv1.Forward_PromoteMember:
		return lane.PromoteMember{Node: raft.NodeID(a.PromoteMember)}
	case *peerv1.Forward_RemoveMember:
		return lane.RemoveMember{Node: raft.NodeID(a.RemoveMember)}
	case *peerv1.Forward_PlaceGroup:
		return lane.PlaceGroup{Group: lane.GroupID(a.PlaceGroup.GetGroup()), Members: nodeIDs(a.PlaceGroup.GetMembers())}
	case *peerv1.Forward_TransferLeader:
		return lane.TransferLeader{Group: lane.GroupID(p.GetGroup()), To: raft.NodeID(a.TransferLeader)}
	case *peerv1.Forward_ListTokens:
		return lane.ListTokens{}
	case *peerv1.Forward_AddToken:
		return lane.AddToken{Token: tokenFromProto(a.AddToken)}
	case *peerv1.Forward_RevokeToken:
		return lane.RevokeToken{Name: a.RevokeToken}
	}
	return nil
}

func memberToProto(m *lane.MemberStatus) *peerv1.ClusterNode {
	n := &m.Node
	p := &peerv1.ClusterNode{
		Id: uint64(n.ID), Peer: n.Addresses.Peer, Grpc: n.Addresses.GRPC, Http: n.Addresses.HTTP, Disk: n.Disk[:],
		Role: uint32(n.Role), Coordinator: n.Coordinator, Alive: m.Alive, Behind: m.Behind,
	}
	for _, g := range m.Groups {
		p.Groups = append(p.Groups, string(g))
	}
	return p
}

func memberFromProto(p *peerv1.ClusterNode) (lane.MemberStatus, error) {
	disk, err := diskOf(p.GetDisk())
	m := lane.MemberStatus{
		Node: directory.Node{
			ID: raft.NodeID(p.GetId()), Addresses: addressesOf(p), Disk: disk, Role: directory.Role(p.GetRole()), Coordinator: p.GetCoordinator(),
		},
		Alive: p.GetAlive(), Behind: p.GetBehind(),
	}
	for _, g := range p.GetGroups() {
		m.Groups = append(m.Groups, lane.GroupID(g))
	}
	return m, err
}

// located is a message with a node's addresses.
type located interface {
	GetPeer() string
	GetGrpc() string
	GetHttp() string
}

func addressesOf(p located) directory.Addresses {
	return directory.Addresses{Peer: p.GetPeer(), GRPC: p.GetGrpc(), HTTP: p.GetHttp()}
}

func diskOf(b []byte) (directory.Disk, error) {
	if len(b) != len(directory.Disk{}) {
		return directory.Disk{}, fmt.Errorf("%w: a disk of %d bytes", errMalformed, len(b))
	}
	return directory.Disk(b), nil
}
