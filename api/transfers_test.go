package api_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// listed are five transfers in the order of their numbers, one a second, of a cluster with two coordinator groups; the second has none.
func listed() []transfer.Record {
	var out []transfer.Record
	for i := range 5 {
		r := committed(transfer.Transfer{ID: transfer.ID{15: byte(i + 1)}, Reference: "rent", Legs: []transfer.Leg{
			{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "CZK"},
			{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 1050, Currency: "CZK"},
		}})
		r.CreatedAt = epoch.Add(time.Duration(i) * time.Second)
		out = append(out, r)
	}
	out[1] = aborted(out[1].Transfer)
	out[1].CreatedAt = epoch.Add(time.Second)
	return out
}

// Transfers looks at three records for one page.
func (f *fake) Transfers(_ context.Context, q api.TransferQuery) (api.TransferPage, error) {
	f.set(func(f *fake) { f.queries = append(f.queries, q) })
	page := api.TransferPage{Below: []uint64{0, 1}}
	all := listed()
	number := uint64(len(all)) + 1
	if q.Below != nil {
		number = min(number, q.Below[0])
	}
	for looked := 0; number > 1 && looked < 3 && len(page.Records) < q.Limit; looked++ {
		number--
		r := all[number-1]
		if (q.State == 0 || r.State == q.State) && !r.CreatedAt.Before(q.Since) && (q.Until.IsZero() || r.CreatedAt.Before(q.Until)) {
			page.Records = append(page.Records, r)
		}
	}
	page.Below[0], page.More = number, number > 1
	return page, f.failure()
}

func (f *fake) InDoubt(_ context.Context, limit int) ([]api.Doubt, error) {
	all := listed()
	all[2].State, all[3].State = transfer.Pending, transfer.Pending
	doubts := []api.Doubt{{Record: all[2], Waiting: []transfer.BankID{"CITY"}}, {Record: all[3]}}
	return doubts[:min(limit, len(doubts))], f.failure()
}

func TestTransfersAreListedInPages(t *testing.T) {
	w := open(t, nil)
	ctx := context.Background()
	for _, row := range []struct {
		name    string
		request *quoratev1.ListTransfersRequest
		want    string
		pages   int
	}{
		{"all, on pages of two", &quoratev1.ListTransfersRequest{PageSize: 2}, "[5 4 3 2 1]", 3},
		{"of a state, with an empty page", &quoratev1.ListTransfersRequest{State: quoratev1.TransferState_TRANSFER_STATE_ABORTED}, "[2]", 2},
		{"of a period", &quoratev1.ListTransfersRequest{Since: timestamppb.New(epoch.Add(time.Second)), Until: timestamppb.New(epoch.Add(3 * time.Second))}, "[3 2]", 2},
	} {
		ids, pages := []byte{}, 0
		for more := true; more; pages++ {
			page, err := w.transfers().ListTransfers(ctx, row.request)
			if err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
			for _, r := range page.GetTransfers() {
				id, err := transfer.ParseID(r.GetId())
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id[15])
			}
			row.request.PageToken = page.GetNextPageToken()
			more = row.request.GetPageToken() != ""
		}
		if fmt.Sprint(ids) != row.want || pages != row.pages {
			t.Errorf("%s: %v on %d pages, want %s on %d", row.name, ids, pages, row.want, row.pages)
		}
	}
}

func TestBothFacesHandOverTheSameFilter(t *testing.T) {
	w := open(t, nil)
	_, err := w.transfers().ListTransfers(context.Background(), &quoratev1.ListTransfersRequest{
		PageSize: 7, State: quoratev1.TransferState_TRANSFER_STATE_PENDING, Bank: "HOME", Account: "alice", Reference: "rent",
		Since: timestamppb.New(epoch), Until: timestamppb.New(epoch.Add(time.Hour)), PageToken: "dC83LDQ",
	})
	if err != nil {
		t.Fatal(err)
	}
	r := w.do("GET", "/v1/transfers?limit=7&state=pending&bank=HOME&account=alice&reference=rent&created[gte]=2026-11-23T10:30:00.123456789Z&created[lt]=2026-11-23T11:30:00.123456789Z&cursor=dC83LDQ", "")
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	q := w.fake.queries
	if len(q) != 2 || fmt.Sprint(q[0]) != fmt.Sprint(q[1]) || !slices.Equal(q[0].Below, []uint64{7, 4}) || q[0].Limit != 7 || q[0].Account != "alice" || q[0].State != transfer.Pending {
		t.Errorf("queries %+v", q)
	}
}

func TestFiltersThatMatchNothingAreRefused(t *testing.T) {
	w := open(t, nil)
	for _, r := range []*quoratev1.ListTransfersRequest{
		{Bank: "HO ME"}, {Account: "ali!ce"}, {Reference: string(make([]byte, 300))}, {State: 9}, {PageSize: -1},
		{PageToken: "?"}, {PageToken: "Nyw"}, {PageToken: "LTE"}, {Since: timestamppb.New(epoch), Until: timestamppb.New(epoch.Add(-1))},
		{Until: timestamppb.New(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))},
	} {
		if _, err := w.transfers().ListTransfers(context.Background(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
	for _, query := range []string{"state=done", "bank=HO%20ME", "created[gte]=yesterday", "created[gt]=2026-11-23T10:30:00Z", "cursor=LTE", "limit=-1", "status=pending"} {
		if r := w.do("GET", "/v1/transfers?"+query, ""); r.status != 400 || r.fields(t)["code"] == nil {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	if len(w.fake.queries) != 0 {
		t.Errorf("handed over: %+v", w.fake.queries)
	}
}

func TestInDoubtAndBanksAreListed(t *testing.T) {
	w := open(t, nil)
	ctx := context.Background()
	all, err := w.transfers().ListInDoubt(ctx, &quoratev1.ListInDoubtRequest{})
	if err != nil || len(all.GetDoubts()) != 2 || !slices.Equal(all.GetDoubts()[0].GetWaitingFor(), []string{"CITY"}) || len(all.GetDoubts()[1].GetWaitingFor()) != 0 {
		t.Errorf("in doubt: %v, %v", all, err)
	}
	one, err := w.transfers().ListInDoubt(ctx, &quoratev1.ListInDoubtRequest{PageSize: 1})
	if err != nil || len(one.GetDoubts()) != 1 || one.GetDoubts()[0].GetTransfer().GetState() != quoratev1.TransferState_TRANSFER_STATE_PENDING {
		t.Errorf("one in doubt: %v, %v", one, err)
	}
	banks, err := quoratev1.NewStatusServiceClient(w.conn).ListBanks(ctx, &quoratev1.ListBanksRequest{})
	if err != nil || len(banks.GetBanks()) != 1 || banks.GetBanks()[0].GetId() != "HOME" {
		t.Errorf("banks: %v, %v", banks, err)
	}
	w.fake.set(func(f *fake) { f.fail = transfer.ErrNoLeader })
	for _, path := range []string{"/v1/transfers", "/v1/in-doubt", "/v1/banks"} {
		if r := w.do("GET", path, ""); r.status != 503 || r.fields(t)["code"] != "no_leader" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}
