package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

func TestAccountsAreChangedByVerbs(t *testing.T) {
	w := open(t, nil)
	for _, c := range []struct {
		path, body string
		status     int
		field      string
		want       any
	}{
		{"alice:freeze", "", 200, "status", "frozen"},
		{"alice:unfreeze", "", 200, "status", "open"},
		{"alice:setLimit", `{"overdraft_minor":"700"}`, 200, "overdraft_minor", "700"},
		{"alice:setLimit", `{"unlimited":true}`, 200, "unlimited", true},
		{"alice:setLimit", `{}`, 400, "code", "invalid_request"},
		{"alice:setLimit", `{"unlimited":true,"overdraft_minor":"0"}`, 400, "code", "invalid_request"},
		{"alice:setLimit", `{"overdraft_minor":"-1"}`, 400, "code", "invalid_overdraft"},
		{"alice:setLimit", `{"overdraft":"1"}`, 400, "code", "invalid_request"},
		{"alice:close", "", 409, "code", "account_not_empty"},
		{"alice:thaw", "", 404, "code", "not_found"},
		{"alice", "", 405, "code", "invalid_request"},
		{"carol:freeze", "", 404, "code", "account_not_found"},
		{"alice:x:freeze", "", 404, "code", "account_not_found"}, // the account alice:x, which isn't there
		{"ali!ce:freeze", "", 400, "code", "invalid_name"},
	} {
		r := w.do("POST", "/v1/banks/HOME/accounts/"+c.path, c.body)
		if r.status != c.status || r.fields(t)[c.field] != c.want {
			t.Errorf("POST %s %s: %d %s, want %d with %s %v", c.path, c.body, r.status, r.body, c.status, c.field, c.want)
		}
	}
	if r := w.do("GET", "/v1/banks/HOME/accounts/alice:freeze", ""); r.status != 404 || r.fields(t)["code"] != "account_not_found" {
		t.Errorf("GET of the account alice:freeze: %d %s", r.status, r.body)
	}
}

func TestAccountsAreChangedOverGRPC(t *testing.T) {
	w := open(t, nil)
	accounts, ctx := quoratev1.NewAccountServiceClient(w.conn), context.Background()
	frozen, err := accounts.FreezeAccount(ctx, &quoratev1.FreezeAccountRequest{Bank: "HOME", Account: "alice"})
	if err != nil || frozen.GetAccount().GetStatus() != quoratev1.AccountStatus_ACCOUNT_STATUS_FROZEN {
		t.Errorf("freeze: %v, %v", frozen, err)
	}
	thawed, err := accounts.UnfreezeAccount(ctx, &quoratev1.UnfreezeAccountRequest{Bank: "HOME", Account: "alice"})
	if err != nil || thawed.GetAccount().GetStatus() != quoratev1.AccountStatus_ACCOUNT_STATUS_OPEN {
		t.Errorf("unfreeze: %v, %v", thawed, err)
	}
	limited, err := accounts.SetAccountLimit(ctx, &quoratev1.SetAccountLimitRequest{Bank: "HOME", Account: "alice", OverdraftMinor: 7})
	if err != nil || limited.GetAccount().GetOverdraftMinor() != 7 {
		t.Errorf("set the limit: %v, %v", limited, err)
	}
	if _, err := accounts.CloseAccount(ctx, &quoratev1.CloseAccountRequest{Bank: "HOME", Account: "alice"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("close an account with money: %v", err)
	}
	if _, err := accounts.SetAccountLimit(ctx, &quoratev1.SetAccountLimitRequest{Bank: "HOME", Account: "alice", OverdraftMinor: -7}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a negative limit: %v", err)
	}
}

func TestAStatementComesInPagesAndPeriods(t *testing.T) {
	w := open(t, nil)
	accounts, ctx := quoratev1.NewAccountServiceClient(w.conn), context.Background()
	var seqs []uint64
	for token := ""; ; {
		page, err := accounts.GetStatement(ctx, &quoratev1.GetStatementRequest{Bank: "HOME", Account: "alice", PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			seqs = append(seqs, e.GetSeq())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if fmt.Sprint(seqs) != "[1 3 5]" {
		t.Errorf("entries %v", seqs)
	}
	later, err := accounts.GetStatement(ctx, &quoratev1.GetStatementRequest{Bank: "HOME", Account: "alice", Since: timestamppb.New(epoch.Add(1))})
	if err != nil || len(later.GetEntries()) != 0 {
		t.Errorf("since after all: %v, %v", later, err)
	}
	for _, r := range []*quoratev1.GetStatementRequest{
		{Bank: "HOME", Account: "alice", Since: timestamppb.New(epoch), Until: timestamppb.New(epoch.Add(-time.Second))},
		{Bank: "HOME", Account: "alice", Since: timestamppb.New(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))},
		{Bank: "HOME", Account: "alice", PageToken: "?"},
		{Bank: "HOME", Account: "alice", PageSize: -1},
		{Bank: "HO ME", Account: "alice"},
	} {
		if _, err := accounts.GetStatement(ctx, r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
	const path = "/v1/banks/HOME/accounts/alice/entries?posted%5Bgte%5D=2026-11-23T10:30:00Z&posted%5Blt%5D=2026-11-23T10:30:01Z&limit=2"
	first := w.do("GET", path, "").fields(t)
	rest := w.do("GET", path+"&cursor="+fmt.Sprint(first["next_cursor"]), "").fields(t)
	if one, _ := first["data"].([]any); len(one) != 2 || first["has_more"] != true {
		t.Errorf("first page: %v", first)
	}
	if two, _ := rest["data"].([]any); len(two) != 1 || rest["has_more"] != false {
		t.Errorf("last page: %v", rest)
	}
	for query, want := range map[string]int{"posted[gte]=yesterday": 400, "posted[lt]=0001-01-01T00:00:01Z": 400, "posted[gt]=2026-11-23T10:30:00Z": 400, "posted[lt]=2026-11-23T10:30:00Z": 200} {
		if r := w.do("GET", "/v1/banks/HOME/accounts/alice/entries?"+query, ""); r.status != want {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
}

// TestNamesThatPathsLeaveOut are given to no account any more, and those that have them can be used.
func TestNamesThatPathsLeaveOut(t *testing.T) {
	w := open(t, nil)
	for name, want := range map[string]int{".": 400, "..": 400, "...": 201, ".a": 201} {
		if r := w.do("POST", "/v1/banks/HOME/accounts", fmt.Sprintf(`{"id":%q,"currency":"CZK"}`, name)); r.status != want || want == 400 && r.fields(t)["code"] != "invalid_name" {
			t.Errorf("open %q: %d %s", name, r.status, r.body)
		}
	}
	_, err := w.accounts().OpenAccount(t.Context(), &quoratev1.OpenAccountRequest{Bank: "HOME", Account: "..", Currency: "CZK"})
	if infoOf(status.Convert(err)).GetReason() != "invalid_name" {
		t.Errorf("open over gRPC: %v", err)
	}
	_, err = w.accounts().GetAccount(t.Context(), &quoratev1.GetAccountRequest{Bank: "HOME", Account: ".."})
	if infoOf(status.Convert(err)).GetReason() != "account_not_found" {
		t.Errorf("read: %v", err)
	}
	from := spec("")
	from.Legs[0].Account = ".."
	if _, err := w.transfers().SubmitTransfer(t.Context(), &quoratev1.SubmitTransferRequest{Transfer: from}); err != nil {
		t.Errorf("submit: %v", err)
	}
}
