package client

import (
	"context"

	"google.golang.org/grpc"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// Member is one node of the cluster.
type Member struct {
	Node             uint64
	Role             string // learner, member, leaving, removed
	Alive            bool   // was heard within an election timeout
	Behind           uint64 // the entries that it lacks, in the group where it lacks most; of who votes 0 unless it lacks more than 64, for under load everybody lacks some
	Peer, GRPC, HTTP string // host:port; empty: not known yet
	Groups           []string
}

// Members lists every node that there ever was, by id.
func (c *Client) Members(ctx context.Context) (members []Member, err error) {
	err = c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.cluster.ListMembers(ctx, &adminv1.ListMembersRequest{}, options...)
		members = nil
		for _, m := range answer.GetMembers() {
			members = append(members, Member{
				Node: m.GetNode(), Role: m.GetRole(), Alive: m.GetAlive(), Behind: m.GetBehind(),
				Peer: m.GetPeer(), GRPC: m.GetGrpc(), HTTP: m.GetHttp(), Groups: m.GetGroups(),
			})
		}
		return err
	})
	return members, err
}

// What changes the cluster is transfer.ErrOutcomeUnknown if an answer was lost: Members and Status say what is so, and it may be asked for again.

// AddMember lets a node in, as a learner: it gets the data of its groups and counts in none. Its addresses are host:port.
func (c *Client) AddMember(ctx context.Context, id uint64, peer, grpcAddress, http string) error {
	return c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		_, err := n.cluster.AddMember(ctx, &adminv1.AddMemberRequest{Node: id, Peer: peer, Grpc: grpcAddress, Http: http}, options...)
		return err
	})
}

// PromoteMember lets a learner vote that has caught up.
func (c *Client) PromoteMember(ctx context.Context, id uint64) error {
	return c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		_, err := n.cluster.PromoteMember(ctx, &adminv1.PromoteMemberRequest{Node: id}, options...)
		return err
	})
}

// RemoveMember takes a node, dead or alive, out of all its groups, for ever. It returns when that is accepted; Members says how far it is.
func (c *Client) RemoveMember(ctx context.Context, id uint64) error {
	return c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		_, err := n.cluster.RemoveMember(ctx, &adminv1.RemoveMemberRequest{Node: id}, options...)
		return err
	})
}

// PlaceBank moves a bank's replicas to other members. It returns when that is accepted; Status says how far it is.
func (c *Client) PlaceBank(ctx context.Context, bank transfer.BankID, nodes ...uint64) error {
	return c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		_, err := n.cluster.PlaceBank(ctx, &adminv1.PlaceBankRequest{Bank: string(bank), Nodes: nodes}, options...)
		return err
	})
}

// TransferLeader has another voter lead a group ("coordinator/0", "bank/HOME", "cluster"), and returns when it does.
func (c *Client) TransferLeader(ctx context.Context, group string, to uint64) error {
	return c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		_, err := n.cluster.TransferLeader(ctx, &adminv1.TransferLeaderRequest{Group: group, Node: to}, options...)
		return err
	})
}
