package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// TestBothFacesHandOverTheSameChange: whatever an operator wants of the cluster, by gRPC or by HTTP.
func TestBothFacesHandOverTheSameChange(t *testing.T) {
	w := open(t, nil)
	admin, ctx := adminv1.NewClusterServiceClient(w.conn), t.Context()
	for _, test := range []struct {
		grpc func() error
		path string
		body string
		want api.ClusterChange
	}{
		{func() error {
			_, err := admin.AddMember(ctx, &adminv1.AddMemberRequest{Node: 4, Peer: "h:1", Grpc: "h:2", Http: "h:3"})
			return err
		}, "addMember", `{"node":4,"peer":"h:1","grpc":"h:2","http":"h:3"}`, api.ClusterChange{Add: &api.NewMember{Node: 4, Peer: "h:1", GRPC: "h:2", HTTP: "h:3"}}},
		{func() error {
			_, err := admin.PromoteMember(ctx, &adminv1.PromoteMemberRequest{Node: 4})
			return err
		}, "promoteMember", `{"node":4}`, api.ClusterChange{Promote: 4}},
		{func() error {
			_, err := admin.RemoveMember(ctx, &adminv1.RemoveMemberRequest{Node: 1})
			return err
		}, "removeMember", `{"node":1}`, api.ClusterChange{Remove: 1}},
		{func() error {
			_, err := admin.PlaceBank(ctx, &adminv1.PlaceBankRequest{Bank: "HOME", Nodes: []uint64{2, 3}})
			return err
		}, "placeBank", `{"bank":"HOME","nodes":[2,3]}`, api.ClusterChange{Place: &api.BankPlacement{Bank: "HOME", Nodes: []uint64{2, 3}}}},
		{func() error {
			_, err := admin.TransferLeader(ctx, &adminv1.TransferLeaderRequest{Group: "coordinator/0", Node: 2})
			return err
		}, "transferLeader", `{"group":"coordinator/0","node":2}`, api.ClusterChange{Transfer: &api.LeaderTransfer{Group: "coordinator/0", Node: 2}}},
	} {
		t.Run(test.path, func(t *testing.T) {
			w.fake.set(func(f *fake) { f.changes, f.fail = nil, nil })
			if err := test.grpc(); err != nil {
				t.Fatal(err)
			}
			if r := w.do(http.MethodPost, "/v1/cluster:"+test.path, test.body); r.status != http.StatusNoContent {
				t.Fatalf("got %d: %s", r.status, r.body)
			}
			if diff := cmp.Diff([]api.ClusterChange{test.want, test.want}, w.fake.changes); diff != "" {
				t.Errorf("handed over (-want +got):\n%s", diff)
			}
			w.fake.set(func(f *fake) { f.fail = fmt.Errorf("%w: node 4 is behind", transfer.ErrMembershipRefused) })
			if err := test.grpc(); err == nil || !strings.Contains(err.Error(), "node 4 is behind") {
				t.Errorf("a refusal by gRPC: %v", err)
			}
			if r := w.do(http.MethodPost, "/v1/cluster:"+test.path, test.body); r.status == http.StatusNoContent || !strings.Contains(r.body, `"membership_refused"`) {
				t.Errorf("a refusal by HTTP: %d %s", r.status, r.body)
			}
		})
	}
}

func TestMembersAreListed(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) {
		f.members = []api.Member{{Node: 4, Role: "learner", Alive: true, Behind: 7, Peer: "h:1", GRPC: "h:2", HTTP: "h:3", Groups: []string{"cluster"}}}
	})
	answer, err := adminv1.NewClusterServiceClient(w.conn).ListMembers(t.Context(), &adminv1.ListMembersRequest{})
	if err != nil || len(answer.GetMembers()) != 1 {
		t.Fatal(answer, err)
	}
	if m := answer.GetMembers()[0]; m.GetNode() != 4 || m.GetRole() != "learner" || !m.GetAlive() || m.GetBehind() != 7 || m.GetHttp() != "h:3" || m.GetGroups()[0] != "cluster" {
		t.Errorf("got %v", m)
	}
	want := `{"data":[{"node":4,"role":"learner","alive":true,"behind":7,"peer":"h:1","grpc":"h:2","http":"h:3","groups":["cluster"]}]}`
	if r := w.do(http.MethodGet, "/v1/cluster/members", ""); r.status != http.StatusOK || strings.TrimSpace(r.body) != want {
		t.Errorf("got %d: %s", r.status, r.body)
	}
}
