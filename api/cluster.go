package api

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// Member is one node of the cluster, as the leader of its group sees it.
type Member struct {
	Node             uint64
	Role             string // learner, member, leaving, removed
	Alive            bool   // was heard within an election timeout
	Behind           uint64 // entries; of a voter zero unless it lacks many
	Peer, GRPC, HTTP string // host:port; empty: not known yet
	Groups           []string
}

// ClusterChange is one change of the cluster; exactly one field is set.
type ClusterChange struct {
	Add      *NewMember
	Promote  uint64
	Remove   uint64
	Place    *BankPlacement
	Transfer *LeaderTransfer
}

// NewMember is a node that is to be let in.
type NewMember struct {
	Node             uint64
	Peer, GRPC, HTTP string
}

// BankPlacement says which nodes should hold a bank.
type BankPlacement struct {
	Bank  transfer.BankID
	Nodes []uint64
}

// LeaderTransfer says who should lead a group.
type LeaderTransfer struct {
	Group string
	Node  uint64
}

func (d *desk) members(ctx context.Context) ([]Member, error) {
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.Members(ctx)
}

func (d *desk) changeCluster(ctx context.Context, c ClusterChange) error {
	if c.Add != nil {
		if err := c.Add.check(); err != nil {
			return err
		}
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.ChangeCluster(ctx, c)
}

// check refuses addresses that nobody could ever be reached at: every node would try. An empty one isn't known yet.
func (m *NewMember) check() error {
	for _, a := range []struct{ name, address string }{{"peer", m.Peer}, {"grpc", m.GRPC}, {"http", m.HTTP}} {
		host, port, err := net.SplitHostPort(a.address)
		number, bad := strconv.ParseUint(port, 10, 16)
		if a.address != "" && (err != nil || bad != nil || number == 0 || host == "" || len(host) > hostBytesMax || !isPrintable(host) || strings.ContainsAny(host, "/?#@\\%")) {
			return fmt.Errorf("%w: %s: %q is not host:port", transfer.ErrInvalidRequest, a.name, clip(a.address))
		}
	}
	return nil
}

// hostBytesMax is what DNS allows.
const hostBytesMax = 253

type clusterService struct {
	adminv1.UnimplementedClusterServiceServer
	desk *desk
}

func (s *clusterService) ListMembers(ctx context.Context, _ *adminv1.ListMembersRequest) (*adminv1.ListMembersResponse, error) {
	members, err := s.desk.members(ctx)
	if err != nil {
		return nil, err
	}
	out := &adminv1.ListMembersResponse{}
	for i := range members {
		m := &members[i]
		out.Members = append(out.Members, &adminv1.Member{
			Node: m.Node, Role: m.Role, Alive: m.Alive, Behind: m.Behind, Peer: m.Peer, Grpc: m.GRPC, Http: m.HTTP, Groups: m.Groups,
		})
	}
	return out, nil
}

func (s *clusterService) AddMember(ctx context.Context, r *adminv1.AddMemberRequest) (*adminv1.AddMemberResponse, error) {
	add := &NewMember{Node: r.GetNode(), Peer: r.GetPeer(), GRPC: r.GetGrpc(), HTTP: r.GetHttp()}
	return &adminv1.AddMemberResponse{}, s.desk.changeCluster(ctx, ClusterChange{Add: add})
}

func (s *clusterService) PromoteMember(ctx context.Context, r *adminv1.PromoteMemberRequest) (*adminv1.PromoteMemberResponse, error) {
	return &adminv1.PromoteMemberResponse{}, s.desk.changeCluster(ctx, ClusterChange{Promote: r.GetNode()})
}

func (s *clusterService) RemoveMember(ctx context.Context, r *adminv1.RemoveMemberRequest) (*adminv1.RemoveMemberResponse, error) {
	return &adminv1.RemoveMemberResponse{}, s.desk.changeCluster(ctx, ClusterChange{Remove: r.GetNode()})
}

func (s *clusterService) PlaceBank(ctx context.Context, r *adminv1.PlaceBankRequest) (*adminv1.PlaceBankResponse, error) {
	place := &BankPlacement{Bank: transfer.BankID(r.GetBank()), Nodes: r.GetNodes()}
	return &adminv1.PlaceBankResponse{}, s.desk.changeCluster(ctx, ClusterChange{Place: place})
}

func (s *clusterService) TransferLeader(ctx context.Context, r *adminv1.TransferLeaderRequest) (*adminv1.TransferLeaderResponse, error) {
	to := &LeaderTransfer{Group: r.GetGroup(), Node: r.GetNode()}
	return &adminv1.TransferLeaderResponse{}, s.desk.changeCluster(ctx, ClusterChange{Transfer: to})
}

// memberJSON is a Member over HTTP.
type memberJSON struct {
	Node   uint64   `json:"node"`
	Role   string   `json:"role" doc:"learner, member, leaving or removed."`
	Alive  bool     `json:"alive" doc:"It was heard within an election timeout."`
	Behind uint64   `json:"behind" doc:"The entries that it lacks, in the group where it lacks most. Of a member that votes, and of one that doesn't answer, 0 unless it lacks more than 64: under load everybody lacks some."`
	Peer   string   `json:"peer" doc:"host:port; empty: not known yet."`
	GRPC   string   `json:"grpc"`
	HTTP   string   `json:"http"`
	Groups []string `json:"groups" nullable:"false"`
}

type memberListJSON struct {
	Data []memberJSON `json:"data" nullable:"false"`
}

type newMemberJSON struct {
	Node uint64 `json:"node"`
	Peer string `json:"peer"`
	GRPC string `json:"grpc"`
	HTTP string `json:"http"`
}

type nodeJSON struct {
	Node uint64 `json:"node"`
}

type placementJSON struct {
	Bank  string   `json:"bank"`
	Nodes []uint64 `json:"nodes" nullable:"false"`
}

type leaderJSON struct {
	Group string `json:"group" doc:"coordinator/0, bank/HOME, cluster"`
	Node  uint64 `json:"node"`
}

func (w *web) listMembers(ctx context.Context, _ *none) (*body[memberListJSON], error) {
	members, err := w.desk.members(ctx)
	if err != nil {
		return nil, err
	}
	out := memberListJSON{Data: []memberJSON{}}
	for i := range members {
		m := &members[i]
		out.Data = append(out.Data, memberJSON{
			Node: m.Node, Role: m.Role, Alive: m.Alive, Behind: m.Behind, Peer: m.Peer, GRPC: m.GRPC, HTTP: m.HTTP, Groups: append([]string{}, m.Groups...),
		})
	}
	return &body[memberListJSON]{out}, nil
}

func (w *web) addMember(ctx context.Context, in *body[newMemberJSON]) (*none, error) {
	b := &in.Body
	return nil, w.desk.changeCluster(ctx, ClusterChange{Add: &NewMember{Node: b.Node, Peer: b.Peer, GRPC: b.GRPC, HTTP: b.HTTP}})
}

func (w *web) promoteMember(ctx context.Context, in *body[nodeJSON]) (*none, error) {
	return nil, w.desk.changeCluster(ctx, ClusterChange{Promote: in.Body.Node})
}

func (w *web) removeMember(ctx context.Context, in *body[nodeJSON]) (*none, error) {
	return nil, w.desk.changeCluster(ctx, ClusterChange{Remove: in.Body.Node})
}

func (w *web) placeBank(ctx context.Context, in *body[placementJSON]) (*none, error) {
	return nil, w.desk.changeCluster(ctx, ClusterChange{Place: &BankPlacement{Bank: transfer.BankID(in.Body.Bank), Nodes: in.Body.Nodes}})
}

func (w *web) transferLeader(ctx context.Context, in *body[leaderJSON]) (*none, error) {
	return nil, w.desk.changeCluster(ctx, ClusterChange{Transfer: &LeaderTransfer{Group: in.Body.Group, Node: in.Body.Node}})
}
