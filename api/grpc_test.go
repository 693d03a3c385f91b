package api_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func TestSubmitHandsOverWhatWasAsked(t *testing.T) {
	w := open(t, nil)
	before := time.Now()
	s := spec(idText)
	s.Timeout = durationpb.New(3 * time.Second)
	answer, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: s})
	if err != nil {
		t.Fatal(err)
	}
	got := w.fake.seen[0]
	if got.ID.String() != idText || got.Reference != "rent" || len(got.Legs) != 2 || got.Legs[0] != (transfer.Leg{
		Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "CZK",
	}) {
		t.Errorf("handed over %+v", got)
	}
	if d := got.Deadline.Sub(before); d < 3*time.Second || d > 3*time.Second+patience {
		t.Errorf("deadline after %v, want 3 s", d)
	}
	back := answer.GetTransfer()
	if back.GetId() != idText || back.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED || !back.GetSettled() ||
		!back.GetCreatedAt().AsTime().Equal(epoch) || back.GetLegs()[1].GetDirection() != quoratev1.Direction_DIRECTION_CREDIT {
		t.Errorf("answered %v", back)
	}
}

func TestABatchMayLeaveOutWhatTheClientHas(t *testing.T) {
	w := open(t, nil)
	for _, omit := range []bool{false, true} {
		answer, err := w.transfers().SubmitTransfers(context.Background(), &quoratev1.SubmitTransfersRequest{
			Transfers: []*quoratev1.TransferSpec{spec(idText)}, OmitContent: omit,
		})
		if err != nil {
			t.Fatal(err)
		}
		got := answer.GetResults()[0].GetTransfer()
		if (len(got.GetLegs()) == 0) != omit || (got.GetReference() == "") != omit || got.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED {
			t.Errorf("omit %v: %v", omit, got)
		}
	}
}

func TestAnAbortedTransferIsAnAnswer(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) {
		f.submit = func(_ context.Context, t transfer.Transfer) (transfer.Record, error) { return aborted(t), nil }
	})
	answer, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec(idText)})
	if err != nil {
		t.Fatal(err)
	}
	if r := answer.GetTransfer().GetReason(); r.GetCode() != "insufficient_funds" || r.GetBank() != "HOME" || r.GetDetail() == "" {
		t.Errorf("reason %v", r)
	}
	if s := answer.GetTransfer().GetReason().GetShortfall(); s.GetAccount() != "alice" || s.GetCurrency() != "CZK" || s.GetAvailableMinor() != 500 || s.GetNeededMinor() != 1050 {
		t.Errorf("shortfall %v", s)
	}
}

func TestACancelSaysWhatBecameOfTheTransfer(t *testing.T) {
	w := open(t, nil)
	ctx := context.Background()
	cancel := func(id string) (*quoratev1.Transfer, error) {
		answer, err := w.transfers().CancelTransfer(ctx, &quoratev1.CancelTransferRequest{Id: id})
		return answer.GetTransfer(), err
	}
	for range 2 { // again is the same
		got, err := cancel(idText)
		if err != nil || got.GetId() != idText || got.GetState() != quoratev1.TransferState_TRANSFER_STATE_ABORTED || got.GetReason().GetCode() != "cancelled" || len(got.GetLegs()) != 0 {
			t.Errorf("of an unknown id: %v, %v", got, err)
		}
	}
	const other = "01936b2e-0000-7000-8000-00000000000f"
	if _, err := w.transfers().SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: spec(other)}); err != nil {
		t.Fatal(err)
	}
	if got, err := cancel(other); err != nil || got.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED {
		t.Errorf("too late: %v, %v", got, err)
	}
	if _, err := cancel("42"); infoOf(status.Convert(err)).GetReason() != "invalid_id" {
		t.Errorf("of no id: %v", err)
	}
	w.fake.set(func(f *fake) { f.fail = transfer.ErrOutcomeUnknown })
	_, err := cancel(idText)
	info := infoOf(status.Convert(err))
	if status.Code(err) != codes.DeadlineExceeded || info.GetReason() != "outcome_unknown" || info.GetMetadata()["outcome"] != "unknown" || info.GetMetadata()["id"] != idText {
		t.Errorf("unknown: %v, %v", err, info)
	}
}

func TestInvalidTransfersNeverReachTheBackend(t *testing.T) {
	cases := map[transfer.Code]func(*quoratev1.TransferSpec){
		"invalid_id":        func(s *quoratev1.TransferSpec) { s.Id = "42" },
		"invalid_name":      func(s *quoratev1.TransferSpec) { s.Legs[0].Account = "al ice" },
		"invalid_amount":    func(s *quoratev1.TransferSpec) { s.Legs[0].AmountMinor = 0 },
		"invalid_currency":  func(s *quoratev1.TransferSpec) { s.Legs[0].Currency = "czk" },
		"invalid_direction": func(s *quoratev1.TransferSpec) { s.Legs[0].Direction = 9 },
		"too_few_legs":      func(s *quoratev1.TransferSpec) { s.Legs = s.Legs[:1] },
		"too_many_legs": func(s *quoratev1.TransferSpec) {
			for range 300 {
				s.Legs = append(s.Legs, s.Legs[0])
			}
		},
		"unbalanced":        func(s *quoratev1.TransferSpec) { s.Legs[0].AmountMinor++ },
		"invalid_reference": func(s *quoratev1.TransferSpec) { s.Reference = string(make([]byte, 257)) },
		"invalid_deadline":  func(s *quoratev1.TransferSpec) { s.Timeout = durationpb.New(2 * time.Hour) },
	}
	w := open(t, nil)
	batch := &quoratev1.SubmitTransfersRequest{}
	var want []string
	for code, spoil := range cases {
		s := spec(idText)
		spoil(s)
		_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: s})
		if got := infoOf(status.Convert(err)).GetReason(); got != string(code) {
			t.Errorf("got %s, want %s: %v", got, code, err)
		}
		batch.Transfers, want = append(batch.Transfers, s), append(want, string(code))
	}
	batch.Transfers, want = append(batch.Transfers, spec(idText)), append(want, "")
	answer, err := w.transfers().SubmitTransfers(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range answer.GetResults() {
		if got := r.GetError().GetCode(); got != want[i] || r.GetId() != batch.GetTransfers()[i].GetId() {
			t.Errorf("batch, %d: code %q of id %q, want %q of %q", i, got, r.GetId(), want[i], batch.GetTransfers()[i].GetId())
		}
	}
	if len(w.fake.seen) != 1 {
		t.Errorf("%d transfers reached the backend, want the valid one of the batch", len(w.fake.seen))
	}
}

func TestTimeoutsOutsideTheBoundsAreRefused(t *testing.T) {
	w := open(t, nil)
	cases := map[time.Duration]bool{
		0: false, -time.Second: false, time.Millisecond - 1: false, time.Millisecond: true, time.Hour: true, time.Hour + 1: false,
	}
	for timeout, fine := range cases {
		s := spec("") // a new one: of what is known times say nothing
		s.Timeout = durationpb.New(timeout)
		if _, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: s}); (err == nil) != fine {
			t.Errorf("%v: %v", timeout, err)
		}
	}
}

func TestMissingPartsAreRefused(t *testing.T) {
	w := open(t, nil)
	ctx := context.Background()
	if _, err := w.transfers().SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no transfer: %v", err)
	}
	tooMany := make([]*quoratev1.TransferSpec, api.BatchMax+1)
	for i := range tooMany {
		tooMany[i] = &quoratev1.TransferSpec{}
	}
	if _, err := w.transfers().SubmitTransfers(ctx, &quoratev1.SubmitTransfersRequest{Transfers: tooMany}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("too large a batch: %v", err)
	}
	if answer, err := w.transfers().SubmitTransfers(ctx, &quoratev1.SubmitTransfersRequest{}); err != nil || len(answer.GetResults()) != 0 {
		t.Errorf("an empty batch: %v, %v", answer, err)
	}
	if _, err := w.accounts().ListAccounts(ctx, &quoratev1.ListAccountsRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no bank: %v", err)
	}
	if _, err := w.accounts().ListAccounts(ctx, &quoratev1.ListAccountsRequest{Bank: "HOME", PageToken: "?"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a bad token: %v", err)
	}
	if _, err := w.accounts().ListEntries(ctx, &quoratev1.ListEntriesRequest{Bank: "HOME", PageSize: -1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a negative page: %v", err)
	}
	if _, err := w.accounts().OpenAccount(ctx, &quoratev1.OpenAccountRequest{Bank: "HOME", Account: "a", Currency: "CZK", OverdraftMinor: 5, Unlimited: true}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("two overdrafts: %v", err)
	}
}

func TestServerMakesAnIDForWhoHasNone(t *testing.T) {
	w := open(t, nil)
	answer, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec("")})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := transfer.ParseID(answer.GetTransfer().GetId()); err != nil || id[6]>>4 != 7 {
		t.Errorf("id %s, %v: want a UUIDv7", answer.GetTransfer().GetId(), err)
	}
}

func TestPagesListEverythingOnce(t *testing.T) {
	w := open(t, nil)
	ctx := context.Background()
	var accounts []string
	for token := ""; ; {
		page, err := w.accounts().ListAccounts(ctx, &quoratev1.ListAccountsRequest{Bank: "HOME", PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAccounts() {
			accounts = append(accounts, a.GetId())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(accounts) != accountsHeld || accounts[0] != "acct-1" || accounts[4] != "acct-5" {
		t.Errorf("accounts %v", accounts)
	}
	next := uint64(1)
	for token := ""; ; {
		page, err := w.accounts().ListEntries(ctx, &quoratev1.ListEntriesRequest{Bank: "HOME", PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			if e.GetSeq() != next {
				t.Fatalf("entry %d, want %d", e.GetSeq(), next)
			}
			next++
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if next != accountsHeld+1 {
		t.Errorf("%d entries, want %d", next-1, accountsHeld)
	}
}

func TestHealthFollowsTheLeader(t *testing.T) {
	w := open(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	watch, err := healthv1.NewHealthClient(w.conn).Watch(ctx, &healthv1.HealthCheckRequest{Service: "quorate.v1.TransferService"})
	if err != nil {
		t.Fatal(err)
	}
	awaits := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for {
			news, err := watch.Recv()
			if err != nil {
				t.Fatalf("waiting for %v: %v", want, err)
			}
			if news.GetStatus() == want {
				return
			}
		}
	}
	awaits(healthv1.HealthCheckResponse_SERVING)
	w.fake.set(func(f *fake) {
		f.groups = []api.GroupStatus{{Group: "coordinator/0"}, {Group: "bank/HOME", Leader: 1}}
	})
	awaits(healthv1.HealthCheckResponse_NOT_SERVING)
	if r := w.do("GET", "/readyz", ""); r.status != 503 || r.body != "group coordinator/0 knows no leader\n" {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	if r := w.do("GET", "/livez", ""); r.status != 200 {
		t.Errorf("livez without a leader: %d %s", r.status, r.body)
	}
	w.fake.set(func(f *fake) {
		f.groups = []api.GroupStatus{{Group: "coordinator/0", Leader: 2}, {Group: "bank/HOME"}}
	})
	awaits(healthv1.HealthCheckResponse_SERVING)
	if r := w.do("GET", "/readyz", ""); r.status != 200 {
		t.Errorf("readyz with a leader: %d %s", r.status, r.body)
	}
	if err := w.stop(patience); err != nil { // although the watch is open
		t.Errorf("stop: %v", err)
	}
}

// However many ask about a node's health, nobody asks the node more often for it: anybody may ask.
func TestAskingAboutHealthCostsTheNodeNothing(t *testing.T) {
	w := open(t, nil)
	began, before := time.Now(), 0
	w.fake.set(func(f *fake) { before = f.looks })
	for range 100 {
		for _, path := range []string{"/livez", "/readyz"} {
			if r := w.do("GET", path, ""); r.status != 200 {
				t.Fatalf("%s: %d %s", path, r.status, r.body)
			}
		}
	}
	w.fake.set(func(f *fake) {
		if looks, due := f.looks-before, 1+int(time.Since(began)/(250*time.Millisecond)); looks > due {
			t.Errorf("200 probes made %d looks at the node, where %d were due", looks, due)
		}
		f.fail = errors.New("the loop doesn't turn")
	})
	for _, path := range []string{"/livez", "/readyz"} { // and it is noticed
		for deadline := time.Now().Add(patience); w.do("GET", path, "").status != 503; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is still content", path)
			}
		}
	}
}

func TestUnknownHealthServiceIsNotFound(t *testing.T) {
	w := open(t, nil)
	_, err := healthv1.NewHealthClient(w.conn).Check(context.Background(), &healthv1.HealthCheckRequest{Service: "nobody"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
}
